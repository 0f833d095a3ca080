//! Who is there, for people and for those who ask. Pure.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use shared::{id::SessionId, net::Mac, wire::latest::live::RoundTrips};

use super::{Decision, Held, Sessions, event::Listed, terms::is_of_link};
use crate::dataplane::Reading;

impl Sessions {
    /// A device has this address now: for people, and for those who ask who is there.
    pub fn neighbour(&mut self, mac: Mac, ip: IpAddr, now_ms: u64, decision: &mut Decision) {
        let Some(session) = self.by_mac.get(&mac).and_then(|id| self.live.get_mut(id)) else {
            return;
        };
        // IPv4 says more to people, and a device has many of the other kind.
        let is_better = ip.is_ipv4() || session.ip.is_none_or(|known| known.is_ipv6());
        if session.ip != Some(ip) && is_better && !is_of_link(ip) {
            session.ip = Some(ip);
            decision.started(now_ms, session);
        }
    }

    /// For people; `readings` are the data plane's, now.
    pub fn list(&mut self, readings: &[(SessionId, Reading)], now_ms: u64) -> Vec<Listed> {
        let mut rest = HashMap::new();
        for (id, reading) in readings {
            if let Some(session) = self.live.get_mut(id) {
                session.observe(reading.passed, now_ms);
                rest.insert(*id, *reading);
            }
        }
        let listed = self.live.values().map(|session| Listed {
            session: session.id,
            username: session.username.clone(),
            nas: Arc::clone(&session.nas.name),
            mac: session.mac,
            ip: session.ip,
            slot: session.slot(),
            class: session.class,
            shape: session.shape,
            started_at_ms: session.started_at_ms,
            limits: session.limits,
            left_bytes: self.accounts.get(&session.username).and_then(Held::left),
            reading: Reading {
                passed: session.counters,
                ..rest.get(&session.id).copied().unwrap_or_default()
            },
            round_trips: RoundTrips::default(),
        });
        listed.collect()
    }
}
