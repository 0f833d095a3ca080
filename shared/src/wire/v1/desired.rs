//! The state that the controller wants on an edge. JSON over HTTPS, and the form of a
//! `desired.toml`.
//!
//! `down/desired` carries only a [`Pointer`]; the state itself is fetched from
//! `GET /edge/v1/desired?since=REVISION`.

use std::{fmt, net::IpAddr, num::NonZeroU32};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, Visitor},
};

use crate::{
    id::{NasId, SubscriberId, SubscriptionId},
    net::{Ipv6Prefix, Mac, Prefix, Vlan},
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
    /// What all sessions of the site together may move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<Shape>,
    #[serde(default, skip_serializing_if = "Garden::is_default")]
    pub garden: Garden,
    /// Realms of this provider: `amina@wisp.example` and `WISP.EXAMPLE\amina` are `amina`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub realms: Vec<String>,
}

/// What is open to everybody, without a session and without being charged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Garden {
    /// Everybody may speak with these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<Prefix>,
    /// With these, too; whoever does so with a session is not charged for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub free: Vec<Prefix>,
    /// Names whose addresses are open, with all that is below them. They are learnt from answers
    /// of the edge's host and of the servers in `dns`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Whom devices without a session may ask for names, besides the edge's host; anybody if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<Prefix>,
    /// What one device without a session may move, each way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kbps: Option<Kbps>,
    /// And of names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns_kbps: Option<Kbps>,
}

impl Garden {
    /// Nothing is said of it.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
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
    /// Whether an Access-Request without Message-Authenticator is dropped.
    #[serde(default)]
    pub require_message_authenticator: Require,
    /// What this NAS may ask in a second, on average; more is dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<NonZeroU32>,
    /// UDP port where the NAS takes Disconnect- and CoA-Requests (RFC 5176); 0: it takes none.
    #[serde(default = "dynauth_port", skip_serializing_if = "is_dynauth_port")]
    pub dynauth_port: u16,
    /// RADIUS over TLS: the name (SAN dNSName, else CN) in the client certificate of this NAS,
    /// which may then come from any address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_name: Option<String>,
    /// Attributes that every Access-Accept to this NAS carries besides, as `Name = value`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reply: Vec<String>,
}

impl Nas {
    /// With the defaults for everything else.
    pub const fn new(name: String, address: Prefix, secret: Secret) -> Self {
        Self {
            id: None,
            name,
            address,
            secret,
            enforce: Enforce::Nas,
            vendor: Vendor::Standard,
            require_message_authenticator: Require::Yes,
            requests_per_second: None,
            dynauth_port: DYNAUTH_PORT,
            tls_name: None,
            reply: Vec::new(),
        }
    }
}

/// Whether something is demanded; against CVE-2024-3596 a Message-Authenticator should be.
/// `true`, `false` or `"auto"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Require {
    #[default]
    Yes,
    /// From the first time on that it was there.
    Auto,
    No,
}

impl Serialize for Require {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Yes => serializer.serialize_bool(true),
            Self::No => serializer.serialize_bool(false),
            Self::Auto => serializer.serialize_str("auto"),
        }
    }
}

impl<'de> Deserialize<'de> for Require {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;

        impl Visitor<'_> for Words {
            type Value = Require;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false or \"auto\"")
            }

            fn visit_bool<E: de::Error>(self, yes: bool) -> Result<Require, E> {
                Ok(if yes { Require::Yes } else { Require::No })
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Require, E> {
                match word {
                    "auto" => Ok(Require::Auto),
                    _ => Err(E::invalid_value(de::Unexpected::Str(word), &self)),
                }
            }
        }

        deserializer.deserialize_any(Words)
    }
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
    /// CoovaChilli and its kin.
    Chillispot,
    /// Policies by name, as AV pairs.
    Cisco,
    /// airMAX and EdgeRouter: WISPr, and rates in Filter-Id.
    Ubiquiti,
    /// ePMP and cnPilot.
    Cambium,
    /// Motorola's and Cambium's PMP.
    Canopy,
    /// Aruba: roles by name.
    Aruba,
    /// TP-Link's Omada.
    Omada,
    Huawei,
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
    /// In class throttled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow: Option<Shape>,
    /// Of all the subscriber's devices together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub together: Option<Shape>,
    /// What is left to use, down and up together, by all devices; counted from when it was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_bytes: Option<u64>,
    /// `data_bytes` may be used on other edges, too: here no more than is leased
    /// ([`lease`](super::lease)).
    #[serde(default, skip_serializing_if = "is_false")]
    pub leased: bool,
    /// What a session is when that is used up.
    #[serde(default, skip_serializing_if = "UsedUp::is_end")]
    pub used_up: UsedUp,
    /// What was used of the plan before now: where `steps` begin.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub used_bytes: u64,
    /// Rates of all devices together from some usage on (a fair use policy), in ascending order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// From when `data_bytes`, `steps` and `online_seconds` are counted, in milliseconds since 1970: as
    /// long as it is the same, what was used stays used, whatever else is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted_from_ms: Option<u64>,
    /// When all that ends, in milliseconds since 1970, if nothing else is said before: from then on
    /// nobody knows the subscriber here, whether the controller can be heard or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
    /// What is left of time on-line, of all devices together and each moment once; counted from when
    /// it was said.
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
    /// Framed-Pool: where the NAS takes an address from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// Delegated-IPv6-Prefix, RFC 4818.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegated_prefix: Option<Ipv6Prefix>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<Vlan>,
    /// Filter-Id: a filter that the NAS has by this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// A role, group or QoS policy that the NAS has by this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
}

impl Subscriber {
    /// Without a password and without limits.
    pub const fn new(username: String, shape: Shape) -> Self {
        Self {
            id: None,
            subscription: None,
            username,
            password: None,
            nt_hash: None,
            class: Class::Active,
            down_kbps: shape.down_kbps,
            up_kbps: shape.up_kbps,
            slow: None,
            together: None,
            data_bytes: None,
            leased: false,
            used_up: UsedUp::End,
            used_bytes: 0,
            steps: Vec::new(),
            counted_from_ms: None,
            until_ms: None,
            online_seconds: None,
            session_timeout: None,
            idle_timeout: None,
            max_sessions: None,
            macs: Vec::new(),
            static_ip: None,
            pool: None,
            delegated_prefix: None,
            vlan: None,
            filter: None,
            policy: None,
        }
    }

    pub const fn shape(&self) -> Shape {
        Shape { down_kbps: self.down_kbps, up_kbps: self.up_kbps }
    }
}

/// From some usage on, other rates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub after_bytes: u64,
    #[serde(flatten)]
    pub shape: Shape,
}

/// What becomes of sessions whose data is used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsedUp {
    /// They end.
    #[default]
    End,
    /// They go on in the walled garden, where more can be bought.
    Garden,
}

impl UsedUp {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    const fn is_end(&self) -> bool {
        matches!(self, Self::End)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_false(yes: &bool) -> bool {
    !*yes
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_zero(bytes: &u64) -> bool {
    *bytes == 0
}

/// What a session may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    #[default]
    Active,
    /// Nothing passes.
    Blocked,
    /// As active, at the slow rates.
    Throttled,
    /// Names, the portal, and what the tenant allows everybody.
    Garden,
}

/// RFC 5176 §5.
const DYNAUTH_PORT: u16 = 3799;

const fn dynauth_port() -> u16 {
    DYNAUTH_PORT
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_dynauth_port(port: &u16) -> bool {
    *port == DYNAUTH_PORT
}
