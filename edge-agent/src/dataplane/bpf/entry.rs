//! Sessions and accounts as the maps have them, and back (pure).

use std::{collections::BTreeSet, net::IpAddr};

use ebpf::{
    clock,
    layout::{self, Binding, Counts, Device, Direction, Lane, Limit, State},
};
use shared::{
    id::SessionId,
    net::Mac,
    octets::Counters,
    rate::{Kbps, Shape},
    wire::latest::desired::Class,
};
use uuid::Uuid;

use super::keys::OfSlot;
use crate::dataplane::{
    Account, AccountNumber, Entry, Happened, Reading, Slot,
    muscle::htb::{Whose, class_of},
};

pub(super) fn to_session(entry: &Entry) -> layout::Session {
    let (high, low) = entry.session.as_uuid().as_u64_pair();
    let limit = |rate, direction| limit(rate, class_of(Whose::Session(entry.slot), direction));
    let v4 = entry.prefixes.iter().find_map(|prefix| match prefix.address() {
        IpAddr::V4(v4) if prefix.is_one_host() => Some(u32::from_ne_bytes(v4.octets())),
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    });
    layout::Session {
        class: to_class(entry.class).0,
        binding: to_binding(entry),
        down: limit(entry.shape.down_kbps, Direction::Down),
        up: limit(entry.shape.up_kbps, Direction::Up),
        account: entry.account.map_or(0, |account| account.0),
        idle_ms: entry.idle_ms.unwrap_or_default(),
        until: entry.until_ns.unwrap_or_default(),
        v4: v4.unwrap_or_default(),
        reserved: 0,
        slow_down: limit(entry.slow.down_kbps, Direction::Down),
        slow_up: limit(entry.slow.up_kbps, Direction::Up),
        id: [high, low],
        device: entry.mac.map_or(0, |mac| Device::from_mac(mac.0).0),
        reserved_too: 0,
    }
}

fn to_binding(entry: &Entry) -> u32 {
    if !entry.is_bound {
        return Binding::FREE.0;
    }
    entry.prefixes.iter().fold(Binding::FREE.0, |bits, prefix| {
        bits | if prefix.address().is_ipv4() { Binding::V4.0 } else { Binding::V6.0 }
    })
}

/// `None` for a slot that was never used.
pub(super) fn from_session(
    slot: Slot,
    session: &layout::Session,
    keys: Option<&OfSlot>,
) -> Option<Entry> {
    let [high, low] = session.id;
    if session.id == [0, 0] {
        return None;
    }
    let shape = |down: Limit, up: Limit| {
        Some(Shape { down_kbps: Kbps::new(down.kbps)?, up_kbps: Kbps::new(up.kbps)? })
    };
    let some = |value: u32| (value != 0).then_some(value);
    Some(Entry {
        slot,
        session: SessionId::from_uuid(Uuid::from_u64_pair(high, low)),
        mac: (session.device != 0).then(|| Mac(Device(session.device).mac())),
        prefixes: keys.map(|keys| keys.prefixes.iter().copied().collect()).unwrap_or_default(),
        is_bound: session.binding != Binding::FREE.0,
        shape: shape(session.down, session.up)?,
        slow: shape(session.slow_down, session.slow_up)?,
        class: from_class(session.class),
        account: some(session.account).map(AccountNumber),
        idle_ms: some(session.idle_ms),
        until_ns: (session.until != 0).then_some(session.until),
    })
}

pub(super) fn to_keys(entry: &Entry) -> OfSlot {
    OfSlot { mac: entry.mac, prefixes: entry.prefixes.iter().copied().collect::<BTreeSet<_>>() }
}

pub(super) fn to_account(account: &Account) -> layout::Account {
    let limit = |shape: Option<Shape>, direction| {
        let class = class_of(Whose::Account(account.number), direction);
        shape.map_or_else(Limit::default, |shape| match direction {
            Direction::Down => limit(shape.down_kbps, class),
            Direction::Up => limit(shape.up_kbps, class),
        })
    };
    let slow = account.slow.or(account.shape);
    let [high, low] = id_words(account.id);
    layout::Account {
        down: limit(account.shape, Direction::Down),
        up: limit(account.shape, Direction::Up),
        quota: account.quota.unwrap_or(layout::Account::WITHOUT_END),
        step: account.step.unwrap_or(layout::Account::WITHOUT_END),
        beyond: to_class(account.beyond).0,
        slow_down: limit(slow, Direction::Down),
        slow_up: limit(slow, Direction::Up),
        reserved_too: [high, low, 0],
        ..layout::Account::default()
    }
}

/// Of its class: the account's own rates, or the slow ones where it has no others.
pub(super) fn account_rates(account: &layout::Account) -> Option<[Kbps; 2]> {
    let rates = |down: Limit, up: Limit| Some([Kbps::new(down.kbps)?, Kbps::new(up.kbps)?]);
    rates(account.down, account.up).or_else(|| rates(account.slow_down, account.slow_up))
}

/// Where an account's id is among its words.
pub(super) const ACCOUNT_ID: usize = layout::Account::FAIR_UP + 1;

pub(super) fn id_words(id: u128) -> [u64; 2] {
    let (high, low) = Uuid::from_u128(id).as_u64_pair();
    [high, low]
}

/// The highest rate that can be said stands for none.
pub(super) fn limit(rate: Kbps, priority: u32) -> Limit {
    match rate.get() {
        // Neither the clock nor a queue of its own.
        kbps @ u32::MAX => Limit { ns_per_byte: 0, priority: 0, kbps },
        kbps => Limit { ns_per_byte: clock::ns_per_byte(kbps), priority, kbps },
    }
}

pub(super) const fn to_class(class: Class) -> layout::Class {
    match class {
        Class::Active => layout::Class::ACTIVE,
        Class::Blocked => layout::Class::BLOCKED,
        Class::Throttled => layout::Class::THROTTLED,
        Class::Garden => layout::Class::GARDEN,
    }
}

const fn from_class(class: u32) -> Class {
    match layout::Class(class) {
        layout::Class::ACTIVE => Class::Active,
        layout::Class::THROTTLED => Class::Throttled,
        layout::Class::GARDEN => Class::Garden,
        _ => Class::Blocked,
    }
}

/// From what all CPUs have counted, and all words of a state.
pub(super) fn reading(counts: &[u64; Counts::WORDS], words: &[u64; State::WORDS]) -> Reading {
    let of = |at: usize| words.get(at).copied().unwrap_or_default();
    let passed = |at: usize| {
        let of = |at: usize| counts.get(at).copied().unwrap_or_default();
        Counters {
            down_bytes: of(at),
            down_packets: of(at + 1),
            up_bytes: of(at + Counts::UP),
            up_packets: of(at + Counts::UP + 1),
        }
    };
    Reading {
        passed: passed(Counts::PASSED),
        dropped: Counters {
            down_bytes: of(State::DOWN + Lane::DROPPED_BYTES),
            up_bytes: of(State::UP + Lane::DROPPED_BYTES),
            down_packets: of(State::DOWN + Lane::DROPPED_PACKETS),
            up_packets: of(State::UP + Lane::DROPPED_PACKETS),
        },
        free: passed(Counts::FREE),
        happened: Happened(of(State::EVENTS)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_comes_back_as_it_went_in() {
        let rate = |kbps| Kbps::new(kbps).unwrap();
        let shape = |down, up| Shape { down_kbps: rate(down), up_kbps: rate(up) };
        let id = SessionId::from_uuid(Uuid::from_u128(7));
        let mac = Mac([2, 0, 0, 0, 0, 1]);
        for class in [Class::Active, Class::Blocked, Class::Throttled, Class::Garden] {
            let entry = Entry {
                prefixes: vec!["10.0.0.7".parse().unwrap()],
                is_bound: true,
                slow: shape(1, u32::MAX),
                class,
                account: Some(AccountNumber(3)),
                idle_ms: Some(600_000),
                until_ns: Some(1),
                ..Entry::of_device(Slot(9), id, mac, shape(10_000, 5_000))
            };
            let session = to_session(&entry);
            assert_eq!(session.v4.to_ne_bytes(), [10, 0, 0, 7]);
            assert_eq!(from_session(Slot(9), &session, Some(&to_keys(&entry))), Some(entry));
        }
    }
}
