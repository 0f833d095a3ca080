//! The state that the controller wants on an edge. JSON over HTTPS, and the form of a
//! `desired.toml`.
//!
//! `down/desired` carries only a [`Pointer`]; the state itself is fetched from
//! `GET /edge/v1/desired?since=REVISION`.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{
    id::{NasId, SubscriberId, SubscriptionId},
    net::{Mac, Prefix},
    rate::{Kbps, Shape},
    secret::Secret,
};

/// `down/desired`: there is something newer to fetch. It carries no decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    pub revision: u64,
    /// SHA-256 of the snapshot's canonical JSON, lower-case hexadecimal.
    pub hash: String,
}

/// A complete state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    /// Grows with every change. A file has none: 0.
    #[serde(default)]
    pub revision: u64,
    #[serde(default)]
    pub nas: Vec<Nas>,
    #[serde(default, rename = "subscriber")]
    pub subscribers: Vec<Subscriber>,
}

/// A RADIUS client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nas {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<NasId>,
    pub name: String,
    /// Packets from here are this NAS's. The longest prefix wins.
    pub address: Prefix,
    pub secret: Secret,
    #[serde(default)]
    pub enforce: Enforce,
    #[serde(default)]
    pub vendor: Vendor,
    /// RFC 2869 §5.14 and CVE-2024-3596: drop an Access-Request without one.
    #[serde(default = "yes")]
    pub require_message_authenticator: bool,
}

/// Who shapes and meters the sessions of a NAS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Enforce {
    /// Traffic passes this host's data plane.
    Edge,
    /// The NAS does, told by reply attributes.
    #[default]
    Nas,
}

/// Whose words a reply speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Vendor {
    /// RFC attributes and WISPr.
    #[default]
    Standard,
    Mikrotik,
}

/// Somebody who may be online, and how fast.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscriber {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<SubscriberId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<SubscriptionId>,
    pub username: String,
    /// Without one, only the `macs` can log in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// MD4 of the UTF-16LE password, 32 hexadecimal digits; instead of `password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nt_hash: Option<Secret>,
    #[serde(default)]
    pub class: Class,
    pub down_kbps: Kbps,
    pub up_kbps: Kbps,
    /// What is left to use, down and up together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_bytes: Option<u64>,
    /// What is left of time on-line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub online_seconds: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_timeout: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_sessions: Option<u32>,
    /// MAC authentication: these devices need no password.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub macs: Vec<Mac>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub static_ip: Option<IpAddr>,
}

impl Subscriber {
    pub const fn shape(&self) -> Shape {
        Shape { down_kbps: self.down_kbps, up_kbps: self.up_kbps }
    }
}

/// What a session may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    #[default]
    Active,
    /// Nothing passes.
    Blocked,
}

const fn yes() -> bool {
    true
}
