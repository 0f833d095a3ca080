//! A whole provider in a lab: controller, edge, subscribers, an internet, and somebody who logs
//! in, moves bytes and counts them.
//!
//! The controller runs on the host's loopback and the edge in its namespace; a [`lab::Cable`]
//! joins them. What the office does goes through the REST API, what the NAS does through
//! `radclient`, what the subscribers do through `iperf3`. Start at [`Provider::open`], then
//! [`visit`], which is one session from login to the books.
//!
//! [`lab::Cable`]: crate::lab::Cable

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use crate::{
    lab::{Cable, Lab, Network, Offload, Process, Seat},
    provider::{
        broker::Broker,
        controller::{Controller, Office, text},
        edge::{API_PORT, Edge, MQTT_PORT, Orders},
        radclient::{Nas, Password},
        traffic::Family,
    },
    workspace,
};

pub mod authority;
pub mod broker;
pub mod controller;
pub mod edge;
pub mod hostapd;
pub mod http;
pub mod radclient;
pub mod radsecproxy;
pub mod supplicant;
pub mod traffic;
pub mod visit;
pub mod vpn;
pub mod wifi;

/// Fields are dropped in this order: what runs in the lab before the lab.
#[derive(Debug)]
pub struct Provider {
    pub cable: Cable,
    pub edge: Edge,
    pub controller: Controller,
    pub broker: Option<Broker>,
    pub office: Office,
    pub households: Vec<Household>,
    pub servers: Vec<Process>,
    pub network: Network,
    pub lab: Lab,
}

/// A subscriber with a plan and a device.
#[derive(Clone, Debug)]
pub struct Household {
    pub username: &'static str,
    pub password: &'static str,
    pub chap: bool,
    pub family: Family,
    pub plan: Plan,
    pub seat: Seat,
    pub port: u16,
    /// Its id at the controller.
    pub subscription: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    pub code: &'static str,
    pub name: &'static str,
    pub down_kbps: u32,
    pub up_kbps: u32,
    pub price_cents: u32,
}

/// Whose broker carries the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Messages {
    /// The controller's own.
    Embedded,
    /// A mosquitto beside it.
    Mosquitto,
}

impl Household {
    pub fn password(&self) -> Password<'static> {
        if self.chap { Password::Chap(self.password) } else { Password::Pap(self.password) }
    }
}

impl Provider {
    /// Everything up, every subscriber known at the edge, nobody logged in.
    pub fn open(people: &[Person], messages: Messages, offload: Offload) -> Result<Self> {
        let binaries = workspace::binaries()?;
        let count = u8::try_from(people.len()).context("too many subscribers for one lab")?;
        let lab = Lab::new()?;
        lab.keep_logs(true);
        let network = Network::build(&lab, count, offload)?;
        let servers = traffic::serve(&lab, &network.internet, u16::from(count))?;
        let broker = match messages {
            Messages::Embedded => None,
            Messages::Mosquitto => Some(Broker::start(&lab)?),
        };
        let controller = Controller::start(&lab, &binaries, broker.as_ref().map(|it| it.address))?;
        let office = Office::open(controller.http)?;

        let made = json!({ "name": "Demo edge", "site": "Demo village" });
        let made = office.post("/api/network/edges", &made)?;
        let (edge_id, secret) = (text(&made, "/id")?, text(&made, "/secret")?);
        office.post(
            "/api/network/nas",
            &json!({
                "edge": edge_id, "name": "lab", "address": "127.0.0.0/8",
                "secret": NAS_SECRET, "enforce": "edge",
            }),
        )?;
        let mut plans = BTreeMap::new();
        let mut households = Vec::new();
        let ports = traffic::FIRST_PORT..;
        for ((person, seat), port) in people.iter().zip(&network.seats).zip(ports) {
            let subscription = subscribe(&office, person, &mut plans)?;
            let Person { username, password, chap, family, plan } = *person;
            let seat = seat.clone();
            households.push(Household {
                username,
                password,
                chap,
                family,
                plan,
                seat,
                port,
                subscription,
            });
        }

        let cable = Cable::lay(
            &network.edge,
            &[(MQTT_PORT, controller.mqtt.port()), (API_PORT, controller.http.port())],
        )?;
        let orders = Orders::Controller { edge: &edge_id, secret: &secret };
        let mut edge = Edge::start(&lab, &binaries, &network.edge, orders)?;
        let at = format!("/api/network/edges/{edge_id}");
        edge.process.wait_until("at the desired state", Duration::from_secs(30), || {
            let state = office.get(&at)?;
            let desired = controller::number(&state, "/desired_revision")?;
            let applied = controller::number(&state, "/applied_revision")?;
            Ok(desired > 0 && applied == desired)
        })?;
        Ok(Self { cable, edge, controller, broker, office, households, servers, network, lab })
    }

    /// The NAS that these subscribers log in at.
    pub fn nas(&self) -> Nas<'_> {
        Nas { lab: &self.lab, namespace: &self.network.edge, secret: NAS_SECRET }
    }

    /// Stops edge and controller as systemd would; both must end well.
    pub fn close(self) -> Result<()> {
        let Self { cable, edge, controller, broker, servers, network, lab, .. } = self;
        let status = edge.process.stop(Duration::from_secs(15))?;
        ensure!(status.success(), "the edge ended with {status}");
        let status = controller.process.stop(Duration::from_secs(30))?;
        ensure!(status.success(), "the controller ended with {status}");
        drop((cable, broker, servers, network));
        lab.keep_logs(false);
        drop(lab);
        Ok(())
    }
}

/// Who a subscriber is, before there is a seat.
#[derive(Clone, Copy, Debug)]
pub struct Person {
    pub username: &'static str,
    pub password: &'static str,
    pub chap: bool,
    pub family: Family,
    pub plan: Plan,
}

/// Returns the subscription's id. `plans` has the versions of those that were made already, by code.
fn subscribe(
    office: &Office,
    person: &Person,
    plans: &mut BTreeMap<&'static str, String>,
) -> Result<String> {
    let Plan { code, name, down_kbps, up_kbps, price_cents } = person.plan;
    if !plans.contains_key(code) {
        let terms = json!({
            "access": "hotspot", "billing": "prepaid", "price_cents": price_cents,
            "validity_seconds": 86_400, "down_kbps": down_kbps, "up_kbps": up_kbps,
        });
        let plan = json!({ "code": code, "name": name, "terms": terms });
        plans.insert(code, text(&office.post("/api/plans", &plan)?, "/latest/id")?);
    }
    let subscriber = office.post(
        "/api/subscribers",
        &json!({
            "username": person.username, "password": person.password,
            "full_name": person.username,
        }),
    )?;
    let subscription = office.post(
        "/api/subscriptions",
        &json!({
            "subscriber": text(&subscriber, "/id")?,
            "plan_version": plans.get(code),
            "activate": true,
        }),
    )?;
    text(&subscription, "/id")
}

pub const NAS_SECRET: &str = "testing123";

pub const SMALL: Plan = Plan {
    code: "small",
    name: "Small 10/5",
    down_kbps: 10_000,
    up_kbps: 5_000,
    price_cents: 5_000,
};
pub const HOME: Plan = Plan {
    code: "home",
    name: "Home 20/10",
    down_kbps: 20_000,
    up_kbps: 10_000,
    price_cents: 150_000,
};
pub const OFFICE: Plan = Plan {
    code: "office",
    name: "Office 50/50",
    down_kbps: 50_000,
    up_kbps: 50_000,
    price_cents: 500_000,
};

/// Three subscribers on three plans; one logs in with CHAP, one moves its bytes over IPv6.
pub const PEOPLE: [Person; 3] = [
    Person {
        username: "amina",
        password: "jasmine-1",
        chap: false,
        family: Family::V4,
        plan: SMALL,
    },
    Person {
        username: "baraka",
        password: "acacia-22",
        chap: true,
        family: Family::V6,
        plan: HOME,
    },
    Person {
        username: "chausiku",
        password: "baobab-333",
        chap: false,
        family: Family::V4,
        plan: OFFICE,
    },
];
