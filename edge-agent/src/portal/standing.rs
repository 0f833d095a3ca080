//! Whether a device is on-line, and with what is left (pure).

use std::{collections::HashMap, net::IpAddr};

use shared::{
    id::SessionId, net::Mac, octets::Counters, rate::Shape, wire::latest::desired::Class,
};

use crate::sessions::{Limits, event::Listed};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    OnLine(Line),
    /// It has a session in which nothing passes.
    Blocked,
    /// It has a session, in the walled garden: what was bought is used up.
    UsedUp,
    OffLine,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) session: SessionId,
    pub(super) username: String,
    pub(super) shape: Shape,
    pub(super) used: Counters,
    /// `None` without a limit.
    pub(super) bytes_left: Option<u64>,
    pub(super) seconds_left: Option<u64>,
}

/// The sessions of one moment, by device and by address.
#[derive(Debug, Default)]
pub(super) struct OnLine {
    by_mac: HashMap<Mac, Listed>,
    /// Of sessions without a device.
    by_ip: HashMap<IpAddr, Listed>,
    /// Of the others: whose device is not known here, as behind a router, has an address only.
    mac_at: HashMap<IpAddr, Mac>,
}

impl OnLine {
    pub(super) fn new(sessions: Vec<Listed>) -> Self {
        let mut all = Self::default();
        for listed in sessions {
            match (listed.mac, listed.ip.map(|ip| ip.to_canonical())) {
                (Some(mac), ip) => {
                    if insert_better(&mut all.by_mac, mac, listed)
                        && let Some(ip) = ip
                    {
                        all.mac_at.insert(ip, mac);
                    }
                }
                (None, Some(ip)) => {
                    insert_better(&mut all.by_ip, ip, listed);
                }
                (None, None) => {}
            }
        }
        all
    }

    /// Of the device at `ip`. An address changes hands, a device does not: where it is known, no
    /// session of another device counts.
    pub(super) fn standing(&self, mac: Option<Mac>, ip: IpAddr, now_ms: u64) -> Standing {
        let ip = ip.to_canonical();
        let listed = match mac {
            Some(mac) => self.by_mac.get(&mac),
            None => self.mac_at.get(&ip).and_then(|mac| self.by_mac.get(mac)),
        };
        let Some(listed) = listed.or_else(|| self.by_ip.get(&ip)) else {
            return Standing::OffLine;
        };
        match listed.class {
            // Beyond its quota the kernel treats it as one of the garden.
            Class::Active | Class::Throttled if listed.left_bytes == Some(0) => Standing::UsedUp,
            Class::Active | Class::Throttled => Standing::OnLine(Line::of(listed, now_ms)),
            Class::Garden => Standing::UsedUp,
            Class::Blocked => Standing::Blocked,
        }
    }
}

/// A session that this host meters says more than one of a NAS, a newer one more than an older.
/// Was it better than what was there?
fn insert_better<K: std::hash::Hash + Eq>(
    into: &mut HashMap<K, Listed>,
    key: K,
    listed: Listed,
) -> bool {
    let rank = |one: &Listed| (one.slot.is_some(), one.started_at_ms, one.session);
    let better = into.get(&key).is_none_or(|other| rank(&listed) > rank(other));
    if better {
        into.insert(key, listed);
    }
    better
}

impl Line {
    fn of(listed: &Listed, now_ms: u64) -> Self {
        let Limits { data_bytes, session_seconds, idle_seconds: _ } = listed.limits;
        let used = listed.reading.passed;
        let seconds = now_ms.saturating_sub(listed.started_at_ms) / 1_000;
        Self {
            session: listed.session,
            username: listed.username.clone(),
            shape: listed.shape,
            used,
            // Of all devices together where this host meters; else what the NAS has told.
            bytes_left: listed
                .left_bytes
                .or_else(|| data_bytes.map(|all| all.saturating_sub(used.total_bytes()))),
            seconds_left: session_seconds.map(|all| all.saturating_sub(seconds)),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use shared::{rate::Kbps, wire::latest::live::RoundTrips};
    use uuid::Uuid;

    use super::*;
    use crate::dataplane::{Reading, Slot};

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 20));

    fn listed(session: u128, mac: Option<Mac>, ip: Option<IpAddr>) -> Listed {
        let passed = Counters { down_bytes: 700, up_bytes: 34, down_packets: 7, up_packets: 3 };
        Listed {
            session: SessionId::from_uuid(Uuid::from_u128(session)),
            username: format!("user{session}"),
            nas: Arc::from("portal"),
            mac,
            ip,
            slot: Some(Slot(1)),
            class: Class::Active,
            shape: Shape {
                down_kbps: Kbps::new(10_000).unwrap(),
                up_kbps: Kbps::new(512).unwrap(),
            },
            limits: Limits {
                data_bytes: Some(1_000),
                session_seconds: Some(60),
                idle_seconds: Some(5),
            },
            started_at_ms: 10_000,
            left_bytes: None,
            reading: Reading { passed, ..Reading::default() },
            round_trips: RoundTrips::default(),
        }
    }

    pub(in crate::portal) fn line() -> Line {
        Line::of(&listed(1, Some(MAC), Some(IP)), 20_999)
    }

    /// The number of the session that counts.
    #[track_caller]
    fn check(sessions: &[Listed], mac: Option<Mac>, expected: Option<&str>) {
        let mut sessions = sessions.to_vec();
        for _ in 0..2 {
            let standing = OnLine::new(sessions.clone()).standing(mac, IP, 0);
            let name = match &standing {
                Standing::OnLine(line) => Some(line.username.as_str()),
                Standing::Blocked | Standing::UsedUp | Standing::OffLine => None,
            };
            assert_eq!(name, expected);
            sessions.reverse();
        }
    }

    #[test]
    fn what_is_left_is_what_there_was_without_what_is_used() {
        let line = line();
        assert_eq!((line.bytes_left, line.seconds_left), (Some(266), Some(50)));
        let mut over = listed(1, None, None);
        over.reading.passed.down_bytes = 5_000;
        let over = Line::of(&over, 1_000_000);
        assert_eq!((over.bytes_left, over.seconds_left), (Some(0), Some(0)));
        // Of all devices together.
        let shared = Listed { left_bytes: Some(7), ..listed(1, None, None) };
        assert_eq!(Line::of(&shared, 20_000).bytes_left, Some(7));
        let mut free = listed(1, None, None);
        free.limits = Limits { idle_seconds: Some(5), ..Limits::default() };
        let free = Line::of(&free, 20_000);
        assert_eq!((free.bytes_left, free.seconds_left), (None, None));
    }

    #[test]
    fn a_device_is_known_by_its_mac_and_not_by_an_address_that_was_anothers() {
        let other = Some(Mac([2, 0, 0, 0, 0, 9]));
        let (mine, theirs) = (listed(1, Some(MAC), None), listed(2, other, Some(IP)));
        check(&[mine.clone(), theirs.clone()], Some(MAC), Some("user1"));
        check(std::slice::from_ref(&theirs), Some(MAC), None);
        check(&[mine, theirs], None, Some("user2"));
        check(&[listed(3, None, Some(IP))], Some(MAC), Some("user3"));
        check(&[listed(3, None, Some(IP))], None, Some("user3"));
        check(&[listed(4, None, None)], None, None);
        check(&[], Some(MAC), None);
    }

    #[test]
    fn of_two_sessions_of_a_device_the_one_that_is_metered_here_counts_then_the_newer() {
        let at_nas = Listed { slot: None, started_at_ms: 90_000, ..listed(1, Some(MAC), Some(IP)) };
        let here = listed(2, Some(MAC), Some(IP));
        let newer = Listed { started_at_ms: 10_001, ..listed(3, Some(MAC), None) };
        check(&[at_nas.clone(), here.clone()], Some(MAC), Some("user2"));
        check(&[at_nas, here, newer], Some(MAC), Some("user3"));
    }

    #[test]
    fn who_is_blocked_is_not_on_line() {
        let blocked = Listed { class: Class::Blocked, ..listed(1, Some(MAC), None) };
        let on_line = OnLine::new(vec![blocked]);
        assert_eq!(on_line.standing(Some(MAC), IP, 0), Standing::Blocked);
    }
}
