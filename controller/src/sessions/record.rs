//! One journal record, from bytes to something the books can hold. Pure: no clock, no I/O.
//!
//! What cannot be read is not an error of the batch: the edge's history is what it is. It is kept
//! as it came, with the reason, and the records around it count.

use std::net::IpAddr;

use jiff::Timestamp;
use shared::{
    id::{Id, NasId, SessionId, SubscriberId, SubscriptionId},
    net::Mac,
    octets::Counters,
    wire::latest::journal::{self, Event, Metering},
};

use super::effects::Effect;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The edge's clock.
    pub at: Timestamp,
    pub fact: Fact,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    Started(SessionId, Box<Started>),
    Usage(SessionId, Counters),
    /// The cause is RFC 2866's Acct-Terminate-Cause.
    Stopped(SessionId, Counters, i32),
    EdgeStarted {
        version: String,
        birth: i64,
        sessions: i32,
    },
    AuthFailures {
        nas_name: String,
        username: String,
        reason: String,
        count: i64,
    },
    /// It changes no session and no books: a stop does.
    Effect(Effect),
}

/// Who came on-line, where and how. The edge's claims: whose they are is looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    pub subscriber: Option<SubscriberId>,
    pub subscription: Option<SubscriptionId>,
    pub nas: Option<NasId>,
    pub nas_name: String,
    pub username: String,
    pub mac: Option<Mac>,
    pub ip: Option<IpAddr>,
    pub acct_session_id: String,
    pub down_kbps: i32,
    pub up_kbps: i32,
    pub metering: &'static str,
    pub revision: i64,
}

/// Why a record is only kept and not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Odd {
    #[error("not a record")]
    Protobuf,
    #[error("a kind of a later version")]
    Kind,
    #[error("no session id")]
    Session,
    #[error("a number beyond what can be counted")]
    Number,
    #[error("a time beyond the calendar")]
    Time,
    #[error("a session of another edge")]
    Foreign,
}

impl Record {
    pub fn read(bytes: &[u8]) -> Result<Self, Odd> {
        let record: journal::Record = prost::Message::decode(bytes).map_err(|_| Odd::Protobuf)?;
        let at = i64::try_from(record.at_ms)
            .ok()
            .and_then(|at| Timestamp::from_millisecond(at).ok())
            .ok_or(Odd::Time)?;
        let fact = match record.event.ok_or(Odd::Kind)? {
            Event::SessionStarted(started) => {
                Fact::Started(session(&started.session)?, Box::new(read_started(started)?))
            }
            Event::Usage(usage) => Fact::Usage(session(&usage.session)?, counters(usage.octets)?),
            Event::SessionStopped(stopped) => Fact::Stopped(
                session(&stopped.session)?,
                counters(stopped.octets)?,
                small(stopped.cause)?,
            ),
            Event::EdgeStarted(started) => Fact::EdgeStarted {
                version: text(started.version),
                birth: big(started.birth)?,
                sessions: small(started.sessions)?,
            },
            Event::AuthFailures(failures) => Fact::AuthFailures {
                nas_name: text(failures.nas_name),
                username: text(failures.username),
                reason: text(failures.reason),
                count: i64::from(failures.count),
            },
            Event::SessionEffect(effect) => Fact::Effect(read_effect(effect)?),
        };
        Ok(Self { at, fact })
    }
}

fn read_started(started: journal::SessionStarted) -> Result<Started, Odd> {
    let metering = started.metering();
    Ok(Started {
        subscriber: Id::from_slice(&started.subscriber),
        subscription: Id::from_slice(&started.subscription),
        nas: Id::from_slice(&started.nas),
        nas_name: text(started.nas_name),
        username: text(started.username),
        mac: <[u8; 6]>::try_from(&started.mac[..]).ok().map(Mac),
        ip: started.ip.parse().ok(),
        acct_session_id: text(started.acct_session_id),
        down_kbps: small(started.down_kbps)?,
        up_kbps: small(started.up_kbps)?,
        metering: match metering {
            Metering::Unknown => "unknown",
            Metering::Kernel => "kernel",
            Metering::Nas => "nas",
            Metering::Nobody => "nobody",
        },
        revision: big(started.revision)?,
    })
}

fn read_effect(effect: journal::SessionEffect) -> Result<Effect, Odd> {
    let (asked, answered, observed) = (effect.asked(), effect.answered(), effect.observed());
    let asked_at = i64::try_from(effect.asked_at_ms).ok();
    let asked_at = asked_at.and_then(|at| Timestamp::from_millisecond(at).ok());
    Ok(Effect {
        session: session(&effect.session)?,
        nas_name: text(effect.nas_name),
        asked: asked.as_str(),
        asked_at: asked_at.ok_or(Odd::Time)?,
        answered: answered.as_str(),
        error_cause: Some(small(effect.error_cause)?).filter(|cause| *cause > 0),
        observed: observed.as_str(),
        after_ms: i64::from(effect.after_ms),
    })
}

fn session(bytes: &[u8]) -> Result<SessionId, Odd> {
    SessionId::from_slice(bytes).ok_or(Odd::Session)
}

/// Each of the four, and their sum, fit the database's numbers; clamping would be inventing.
fn counters(octets: journal::Octets) -> Result<Counters, Odd> {
    let counters = Counters::from(octets);
    let Counters { down_bytes, up_bytes, down_packets, up_packets } = counters;
    for (down, up) in [(down_bytes, up_bytes), (down_packets, up_packets)] {
        big(down.checked_add(up).ok_or(Odd::Number)?)?;
    }
    Ok(counters)
}

fn big(number: u64) -> Result<i64, Odd> {
    i64::try_from(number).map_err(|_| Odd::Number)
}

fn small(number: u32) -> Result<i32, Odd> {
    i32::try_from(number).map_err(|_| Odd::Number)
}

/// Postgres stores no NUL, and nobody reads a name longer than this.
fn text(mut text: String) -> String {
    if text.contains('\0') {
        text = text.replace('\0', "\u{fffd}");
    }
    if let Some((end, _)) = text.char_indices().nth(TEXT_MAX) {
        text.truncate(end);
    }
    text
}

/// RADIUS attributes are at most 253 octets.
const TEXT_MAX: usize = 253;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;
    use shared::wire::latest::journal::{
        Answered, Asked, Observed, Octets, SessionEffect, SessionStarted, SessionStopped, Usage,
    };
    use uuid::Uuid;

    use super::*;

    fn check(at_ms: u64, event: Option<Event>, want: &Result<Fact, Odd>) {
        let bytes = journal::Record { at_ms, event }.encode_to_vec();
        assert_eq!(&Record::read(&bytes).map(|record| record.fact), want);
    }

    fn id() -> SessionId {
        SessionId::from_uuid(Uuid::from_u128(9))
    }

    #[test]
    fn numbers_that_cannot_be_counted_are_not_clamped() {
        let usage = |down_bytes, up_bytes| {
            let octets = Octets { down_bytes, up_bytes, ..Octets::default() };
            Some(Event::Usage(Usage { session: id().to_vec(), octets }))
        };
        let most = i64::MAX as u64;
        let fact = Fact::Usage(
            id(),
            Counters { down_bytes: most - 1, up_bytes: 1, ..Counters::default() },
        );
        check(1, usage(most - 1, 1), &Ok(fact));
        check(1, usage(most, 1), &Err(Odd::Number));
        check(1, usage(u64::MAX, 1), &Err(Odd::Number));
        check(1, usage(0, most + 1), &Err(Odd::Number));
    }

    #[test]
    fn what_cannot_be_understood_says_why() {
        check(1, None, &Err(Odd::Kind));
        check(u64::MAX, None, &Err(Odd::Time));
        let stopped = SessionStopped { session: vec![1], octets: Octets::default(), cause: 1 };
        check(1, Some(Event::SessionStopped(stopped)), &Err(Odd::Session));
        let effect = SessionEffect { session: vec![1], ..SessionEffect::default() };
        check(1, Some(Event::SessionEffect(effect)), &Err(Odd::Session));
        assert_eq!(Record::read(&[0xff]), Err(Odd::Protobuf));
    }

    #[test]
    fn what_came_of_asking_a_nas_is_what_it_said_and_what_was_seen() {
        let effect = SessionEffect {
            session: id().to_vec(),
            asked: Asked::Disconnect.into(),
            asked_at_ms: 5,
            answered: Answered::Nak.into(),
            error_cause: 503,
            observed: Observed::StillThere.into(),
            after_ms: 180,
            nas_name: "tower".to_owned(),
        };
        let want = Effect {
            session: id(),
            nas_name: "tower".to_owned(),
            asked: "disconnect",
            asked_at: Timestamp::from_millisecond(5).unwrap(),
            answered: "nak",
            error_cause: Some(503),
            observed: "still_there",
            after_ms: 180,
        };
        check(1, Some(Event::SessionEffect(effect)), &Ok(Fact::Effect(want)));
    }

    #[test]
    fn names_are_made_storable() {
        let started = SessionStarted {
            session: id().to_vec(),
            username: format!("a\0{}", "é".repeat(300)),
            ip: "not an address".to_owned(),
            mac: vec![2, 0, 0, 0, 0, 1],
            ..SessionStarted::default()
        };
        let bytes = journal::Record { at_ms: 1, event: Some(Event::SessionStarted(started)) }
            .encode_to_vec();
        let Fact::Started(_, started) = Record::read(&bytes).unwrap().fact else {
            panic!("a session started");
        };
        assert_eq!(started.username.chars().count(), TEXT_MAX);
        assert!(started.username.starts_with("a\u{fffd}é"));
        assert_eq!((started.ip, started.mac), (None, Some(Mac([2, 0, 0, 0, 0, 1]))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_kept(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = Record::read(&bytes);
        }
    }
}
