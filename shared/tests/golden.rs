//! The bytes of every message, as a program in the field sends them. Changing one of these lines
//! is a breaking change; adding a line is not.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Debug;

use prost::Message;
use serde::{Serialize, de::DeserializeOwned};
use shared::{
    octets::Counters,
    wire::v1::{
        ack::{Ack, Verdict},
        command::{Action, Command, Effect, Reply},
        desired::{Class, Desired, Enforce, Pointer, Vendor},
        journal::{
            Answered, Asked, AuthFailures, Batch, EdgeStarted, Event, GENESIS, Metering, Observed,
            Octets, Record, SessionEffect, SessionStarted, SessionStopped, Usage, link,
        },
        lease::{Answer, Answers, Question, Questions},
        live::{Live, LiveSession, Percentiles, RoundTrips},
        state::{Birth, State},
    },
};
use uuid::Uuid;

#[track_caller]
fn check_json<T>(message: &T, golden: &str)
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    assert_eq!(serde_json::to_string(message).unwrap(), golden);
    assert_eq!(&serde_json::from_str::<T>(golden).unwrap(), message);
    // A later version adds fields: an older program reads on.
    let later = golden.replacen('{', r#"{"of_a_later_version":{"x":[1]},"#, 1);
    assert_eq!(&serde_json::from_str::<T>(&later).unwrap(), message);
}

#[track_caller]
fn check_record(event: Event, golden: &str) {
    let record = Record { at_ms: 1_700_000_000_000, event: Some(event) };
    assert_eq!(hex(&record.encode_to_vec()), golden.replace(' ', ""));
    assert_eq!(Record::decode(record.encode_to_vec().as_slice()), Ok(record));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn uuid() -> Uuid {
    Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0001)
}

const HEX: &str = "01990000000070008000000000000001";

fn id<K>() -> shared::id::Id<K> {
    shared::id::Id::from_uuid(uuid())
}

fn octets() -> Octets {
    Octets { down_bytes: 300, up_bytes: 2, down_packets: 1, up_packets: 0 }
}

#[test]
fn acknowledgements() {
    for (verdict, word) in
        [(Verdict::Committed, "committed"), (Verdict::Gap, "gap"), (Verdict::Forked, "forked")]
    {
        let golden = format!(r#"{{"epoch":"epoch_{HEX}","next_seq":42,"verdict":"{word}"}}"#);
        check_json(&Ack { epoch: id(), next_seq: 42, verdict }, &golden);
    }
}

#[test]
fn commands_and_replies() {
    let command = |action| Command { id: id(), expires_at_ms: 5, action };
    check_json(
        &command(Action::Disconnect { session: id() }),
        &format!(
            r#"{{"id":"cmd_{HEX}","expires_at_ms":5,"action":"disconnect","session":"ses_{HEX}"}}"#
        ),
    );
    check_json(
        &command(Action::Reload),
        &format!(r#"{{"id":"cmd_{HEX}","expires_at_ms":5,"action":"reload"}}"#),
    );
    check_json(
        &Reply { id: id(), effect: Effect::Done },
        &format!(r#"{{"id":"cmd_{HEX}","effect":{{"effect":"done"}}}}"#),
    );
    check_json(
        &Reply { id: id(), effect: Effect::Failed { reason: "no".into() } },
        &format!(r#"{{"id":"cmd_{HEX}","effect":{{"effect":"failed","reason":"no"}}}}"#),
    );
}

#[test]
fn state() {
    check_json(&State::Offline { birth: 7 }, r#"{"state":"offline","birth":7}"#);
    let birth = Birth {
        birth: 7,
        version: "0.1.0".into(),
        epoch: id(),
        applied_revision: 3,
        clock_ms: 9,
        journal_depth: 2,
        interfaces: vec!["lan0".into()],
        capabilities: vec!["shape:htb".into()],
    };
    check_json(
        &State::Online(birth),
        &format!(
            r#"{{"state":"online","birth":7,"version":"0.1.0","epoch":"epoch_{HEX}","applied_revision":3,"clock_ms":9,"journal_depth":2,"interfaces":["lan0"],"capabilities":["shape:htb"]}}"#
        ),
    );
}

#[test]
fn live_counters() {
    let counters = Counters::from(octets());
    let live = |round_trips| Live {
        at_ms: 9,
        sessions: vec![LiveSession { session: id(), counters, round_trips }],
    };
    let subscriber = Some(Percentiles { p50_us: 4, p95_us: 8 });
    check_json(
        &live(RoundTrips { subscriber, internet: None }),
        &format!(
            r#"{{"at_ms":9,"sessions":[{{"session":"ses_{HEX}","down_bytes":300,"up_bytes":2,"down_packets":1,"up_packets":0,"round_trips":{{"subscriber":{{"p50_us":4,"p95_us":8}}}}}}]}}"#
        ),
    );
    // As it was said before there were round-trip times.
    let live = live(RoundTrips::default());
    check_json(
        &live,
        &format!(
            r#"{{"at_ms":9,"sessions":[{{"session":"ses_{HEX}","down_bytes":300,"up_bytes":2,"down_packets":1,"up_packets":0}}]}}"#
        ),
    );
}

#[test]
fn leases() {
    let question = Question {
        subscriber: id(),
        counted_from_ms: 1_700_000_000_000,
        fence: 7,
        used_bytes: 300,
        more_bytes: 1_000,
    };
    check_json(
        &Questions { epoch: id(), questions: vec![question] },
        &format!(
            r#"{{"epoch":"epoch_{HEX}","questions":[{{"subscriber":"sub_{HEX}","counted_from_ms":1700000000000,"fence":7,"used_bytes":300,"more_bytes":1000}}]}}"#
        ),
    );
    let answer = Answer {
        subscriber: id(),
        counted_from_ms: 1_700_000_000_000,
        fence: 7,
        bytes: 1_300,
        free_bytes: 5,
        elsewhere_bytes: 0,
    };
    check_json(
        &Answers { answers: vec![answer] },
        &format!(
            r#"{{"answers":[{{"subscriber":"sub_{HEX}","counted_from_ms":1700000000000,"fence":7,"bytes":1300,"free_bytes":5,"elsewhere_bytes":0}}]}}"#
        ),
    );
}

#[test]
fn desired_state() {
    check_json(&Pointer { revision: 3, hash: "ab".into() }, r#"{"revision":3,"hash":"ab"}"#);
    let golden = format!(
        r#"{{"revision":3,"nas":[{{"id":"nas_{HEX}","name":"lab","address":"127.0.0.0/8","secret":"s","enforce":"edge","vendor":"mikrotik","require_message_authenticator":true}}],"subscriber":[{{"id":"sub_{HEX}","subscription":"subn_{HEX}","username":"amina","password":"p","class":"active","down_kbps":10000,"up_kbps":5000,"data_bytes":1,"macs":["02:00:00:00:00:01"],"static_ip":"10.0.0.20"}}]}}"#
    );
    let desired: Desired = serde_json::from_str(&golden).unwrap();
    check_json(&desired, &golden);
    let [nas] = desired.nas.as_slice() else { panic!("one NAS") };
    assert_eq!((nas.enforce, nas.vendor), (Enforce::Edge, Vendor::Mikrotik));
    let [amina] = desired.subscribers.as_slice() else { panic!("one subscriber") };
    assert_eq!((amina.class, amina.data_bytes), (Class::Active, Some(1)));

    let golden = r#"{"revision":4,"nas":[{"name":"n","address":"10.0.0.1/32","secret":"s","enforce":"nas","vendor":"chillispot","require_message_authenticator":"auto","requests_per_second":50,"dynauth_port":1700,"tls_name":"nas.example","reply":["Filter-Id = gold"]},{"name":"o","address":"10.0.0.2/32","secret":"s","enforce":"nas","vendor":"omada","require_message_authenticator":false}],"subscriber":[{"username":"juma","password":"p","class":"blocked","down_kbps":1,"up_kbps":1,"pool":"home","delegated_prefix":"2001:db8:0:100::/56","vlan":100,"filter":"gold","policy":"10m"}],"realms":["wisp.example"]}"#;
    check_json(&serde_json::from_str::<Desired>(golden).unwrap(), golden);
}

#[test]
fn records() {
    let bytes = || uuid().as_bytes().to_vec();
    let started = SessionStarted {
        session: bytes(),
        subscriber: bytes(),
        subscription: bytes(),
        nas: bytes(),
        username: "a".into(),
        nas_name: "n".into(),
        mac: vec![2, 0, 0, 0, 0, 1],
        ip: "::1".into(),
        acct_session_id: "s".into(),
        down_kbps: 1,
        up_kbps: 2,
        metering: Metering::Kernel.into(),
        revision: 3,
    };
    check_record(
        Event::SessionStarted(started),
        &format!(
            "0880d095ffbc31 5266 0a10{HEX} 1210{HEX} 1a10{HEX} 2210{HEX} 2a0161 32016e \
             3a06020000000001 42033a3a31 4a0173 5001 5802 6001 6803"
        ),
    );
    check_record(
        Event::Usage(Usage { session: bytes(), octets: octets() }),
        &format!("0880d095ffbc31 5a1b 0a10{HEX} 120708ac0210021801"),
    );
    check_record(
        Event::SessionStopped(SessionStopped { session: bytes(), octets: octets(), cause: 1 }),
        &format!("0880d095ffbc31 621d 0a10{HEX} 120708ac0210021801 1801"),
    );
    check_record(
        Event::EdgeStarted(EdgeStarted { version: "1".into(), birth: 2, sessions: 3 }),
        "0880d095ffbc31 6a07 0a0131 1002 1803",
    );
    check_record(
        Event::AuthFailures(AuthFailures {
            nas_name: "n".into(),
            username: "u".into(),
            reason: "r".into(),
            count: 4,
        }),
        "0880d095ffbc31 720b 0a016e 120175 1a0172 2004",
    );
    check_record(
        Event::SessionEffect(SessionEffect {
            session: bytes(),
            asked: Asked::Disconnect.into(),
            asked_at_ms: 5,
            answered: Answered::Nak.into(),
            error_cause: 503,
            observed: Observed::Ended.into(),
            after_ms: 6,
            nas_name: "n".into(),
        }),
        &format!("0880d095ffbc31 7a22 0a10{HEX} 1001 1805 2002 28f703 3001 3806 42016e"),
    );
}

#[test]
fn a_record_of_an_unknown_kind_is_no_error() {
    // Field 99, length 1.
    let record = Record::decode([0x08, 0x05, 0x9a, 0x06, 0x01, 0x00].as_slice()).unwrap();
    assert_eq!(record, Record { at_ms: 5, event: None });
}

#[test]
fn the_chain_is_sha_256_of_hash_and_record() {
    let hash = link(&GENESIS, b"abc");
    // printf '\0%.0s' {1..32} | cat - <(printf abc) | sha256sum
    assert_eq!(hex(&hash), CHAIN);
    let batch =
        Batch { epoch: vec![1], first_seq: 2, prev_hash: vec![3], records: vec![b"abc".to_vec()] };
    assert_eq!(batch.encode_to_vec(), b"\x0a\x01\x01\x10\x02\x1a\x01\x03\x22\x03abc");
}

const CHAIN: &str = "365aa7d8f7f9402c4b9434502b4cc89ddb09fe50d7cd95b493b834c62d5a5370";
