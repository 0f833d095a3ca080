//! A client and a server over a link that loses, doubles, delays and forges, in virtual time.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::SocketAddr,
    time::{Duration, Instant},
};

use proptest::prelude::*;
use radius::{
    AttrType, Client, Code, LEN_MAX, Packet, Secret, Server, Writer,
    client::{Counts, Due, Exchange, Ignored, Outcome, RequestError, Schedule},
    server,
};

const MS: Duration = Duration::from_millis(1);

fn secret() -> Secret {
    Secret::new(b"testing123")
}

fn address(n: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, n], 3799))
}

fn ask(client: &mut Client, now: Instant, to: SocketAddr, schedule: Schedule) -> Exchange {
    client
        .request(now, to, &secret(), schedule, |id, buffer| {
            Writer::change_request(buffer, Code::DISCONNECT_REQUEST, id).sign(&secret())
        })
        .unwrap()
}

/// What goes out now.
fn sent(client: &mut Client, now: Instant, random: u32) -> Vec<u8> {
    match client.handle_timeout(now, random) {
        Some(Due::Send { packet, .. }) => packet.to_vec(),
        other => panic!("nothing is sent, but {other:?}"),
    }
}

fn reply(request: &[u8], code: Code, secret: &Secret) -> Vec<u8> {
    let mut buffer = [0; LEN_MAX];
    let writer = Writer::reply(&mut buffer, code, &Packet::decode(request).unwrap());
    writer.sign(secret).unwrap().to_vec()
}

fn take(client: &mut Client, from: SocketAddr, reply: &[u8]) -> Outcome {
    client.handle_reply(from, &Packet::decode(reply).unwrap())
}

#[test]
fn waits_double_up_to_the_longest_and_end_with_the_duration() {
    let (mut client, t0) = (Client::default(), Instant::now());
    let exchange = ask(&mut client, t0, address(1), Schedule::default());
    let first = sent(&mut client, t0, 500);
    // The random number in the middle: no jitter. 2, 4, 8, 16 s, but not beyond 30 s in all.
    for after in [2, 6, 14] {
        let at = t0 + Duration::from_secs(after);
        assert_eq!(client.poll_timeout(), Some(at));
        assert_eq!(client.handle_timeout(at.checked_sub(MS).unwrap(), 500), None);
        assert_eq!(sent(&mut client, at, 500), first);
    }
    let end = t0 + Duration::from_secs(30);
    assert_eq!(client.poll_timeout(), Some(end));
    assert_eq!(client.handle_timeout(end, 500), Some(Due::GivenUp(exchange)));
    assert_eq!((client.poll_timeout(), client.len()), (None, 0));
    let counts = client.counts();
    assert_eq!((counts.requests, counts.retransmissions, counts.given_up), (1, 3, 1));
    // Its answer comes after all.
    let late = reply(&first, Code::DISCONNECT_ACK, &secret());
    assert_eq!(take(&mut client, address(1), &late), Outcome::Ignored(Ignored::Late));
}

#[test]
fn only_the_servers_own_answer_to_this_very_request_is_taken() {
    let (mut client, t0) = (Client::default(), Instant::now());
    let exchange = ask(&mut client, t0, address(1), Schedule::default());
    let request = sent(&mut client, t0, 0);
    let right = reply(&request, Code::DISCONNECT_ACK, &secret());

    // Somebody else's address; another secret; another code; an answer to an older request; the
    // right one with one bit changed, wherever; with a Message-Authenticator that is not right.
    let ignored = Outcome::Ignored(Ignored::Late);
    assert_eq!(take(&mut client, address(2), &right), ignored);
    let wrong = reply(&request, Code::DISCONNECT_ACK, &Secret::new(b"guess"));
    assert_eq!(take(&mut client, address(1), &wrong), Outcome::Ignored(Ignored::Forged));
    let wrong = reply(&request, Code::COA_ACK, &secret());
    assert_eq!(take(&mut client, address(1), &wrong), Outcome::Ignored(Ignored::Code));
    let mut older = request.clone();
    older[5] ^= 1;
    let wrong = reply(&older, Code::DISCONNECT_ACK, &secret());
    assert_eq!(take(&mut client, address(1), &wrong), Outcome::Ignored(Ignored::Forged));
    for at in 4..right.len() {
        for bit in 0..8 {
            let mut wrong = right.clone();
            wrong[at] ^= 1 << bit;
            let Ok(wrong) = Packet::decode(&wrong) else { continue };
            assert_eq!(client.handle_reply(address(1), &wrong), Outcome::Ignored(Ignored::Forged));
        }
    }
    let mut buffer = [0; LEN_MAX];
    let asked = Packet::decode(&request).unwrap();
    let mut writer = Writer::accounting_request(&mut buffer, Code::DISCONNECT_ACK, asked.id());
    writer.attr(AttrType::MESSAGE_AUTHENTICATOR, &[0; 16]);
    let mut wrong = writer.sign(&secret()).unwrap().to_vec();
    sign_as_reply(&mut wrong, &asked);
    assert_eq!(take(&mut client, address(1), &wrong), Outcome::Ignored(Ignored::Forged));

    assert_eq!(take(&mut client, address(1), &right), Outcome::Answers(exchange));
    assert_eq!(take(&mut client, address(1), &right), ignored);
    assert!(client.is_empty());
}

/// A right Response Authenticator around whatever is inside.
fn sign_as_reply(packet: &mut [u8], request: &Packet<'_>) {
    use md5::Digest as _;
    packet.get_mut(4..20).unwrap().copy_from_slice(request.authenticator());
    let hash = md5::Md5::new().chain_update(&*packet).chain_update(b"testing123").finalize();
    packet.get_mut(4..20).unwrap().copy_from_slice(&hash);
}

#[test]
fn an_access_request_with_a_proof_wants_a_reply_with_one() {
    let (mut client, t0) = (Client::default(), Instant::now());
    let ask = |client: &mut Client, proved: bool| {
        let schedule = Schedule::default();
        client
            .request(t0, address(1), &secret(), schedule, |id, buffer| {
                let nonce = [7; 16];
                if proved {
                    Writer::request(buffer, Code::ACCESS_REQUEST, id, nonce).sign(&secret())
                } else {
                    Writer::unsigned_request(buffer, Code::ACCESS_REQUEST, id, nonce)
                        .sign(&secret())
                }
            })
            .unwrap()
    };
    for (proved, expected) in [(true, false), (false, true)] {
        let exchange = ask(&mut client, proved);
        let request = sent(&mut client, t0, 0);
        let asked = Packet::decode(&request).unwrap();
        let mut bare = vec![Code::ACCESS_ACCEPT.0, asked.id(), 0, 20];
        bare.extend([0; 16]);
        sign_as_reply(&mut bare, &asked);
        let outcome = take(&mut client, address(1), &bare);
        let answers = Outcome::Answers(exchange);
        assert_eq!(outcome == answers, expected, "{outcome:?}");
        let full = reply(&request, Code::ACCESS_REJECT, &secret());
        assert_eq!(take(&mut client, address(1), &full) == answers, !expected);
    }
}

#[test]
fn a_server_has_256_requests_at_a_time_and_another_has_its_own() {
    let (mut client, t0) = (Client::default(), Instant::now());
    let schedule = Schedule::default();
    let mut exchanges: Vec<Exchange> =
        (0..256).map(|_| ask(&mut client, t0, address(1), schedule)).collect();
    let more = client.request(t0, address(1), &secret(), schedule, |id, buffer| {
        Writer::change_request(buffer, Code::COA_REQUEST, id).sign(&secret())
    });
    assert_eq!(more, Err(RequestError::Exhausted(address(1))));
    ask(&mut client, t0, address(2), schedule);
    assert!(client.cancel(exchanges.swap_remove(77)));
    ask(&mut client, t0, address(1), schedule);
    assert_eq!((client.waiting(address(1)), client.waiting(address(2))), (256, 1));
}

#[test]
fn what_changes_with_time_is_written_again_with_another_identifier() {
    let (mut client, t0) = (Client::default(), Instant::now());
    let schedule = Schedule { changes: true, ..Schedule::default() };
    let exchange = client
        .request(t0, address(1), &secret(), schedule, |id, buffer| {
            Writer::accounting_request(buffer, Code::ACCOUNTING_REQUEST, id).sign(&secret())
        })
        .unwrap();
    let first = sent(&mut client, t0, 500);
    let t1 = t0 + Duration::from_secs(2);
    assert_eq!(client.handle_timeout(t1, 500), Some(Due::Write(exchange)));
    client
        .rewrite(exchange, |id, buffer| {
            let mut writer = Writer::accounting_request(buffer, Code::ACCOUNTING_REQUEST, id);
            writer.integer(AttrType::ACCT_DELAY_TIME, 2);
            writer.sign(&secret())
        })
        .unwrap();
    let second = sent(&mut client, t1, 500);
    assert_ne!(first[1], second[1], "the identifiers");
    assert_eq!(client.poll_timeout(), Some(t1 + Duration::from_secs(4)));
    let old = reply(&first, Code::ACCOUNTING_RESPONSE, &secret());
    assert_eq!(take(&mut client, address(1), &old), Outcome::Ignored(Ignored::Late));
    let new = reply(&second, Code::ACCOUNTING_RESPONSE, &secret());
    assert_eq!(take(&mut client, address(1), &new), Outcome::Answers(exchange));
}

#[test]
fn what_cannot_be_written_leaves_nothing_behind() {
    let (mut client, t0) = (Client::default(), Instant::now());
    let other_id = client.request(t0, address(1), &secret(), Schedule::default(), |id, buffer| {
        Writer::change_request(buffer, Code::COA_REQUEST, id.wrapping_add(1)).sign(&secret())
    });
    assert_eq!(other_id, Err(RequestError::Identifier));
    let no_request =
        client.request(t0, address(1), &secret(), Schedule::default(), |id, buffer| {
            Writer::change_request(buffer, Code::COA_ACK, id).sign(&secret())
        });
    assert_eq!(no_request, Err(RequestError::Identifier));
    let too_long = client.request(t0, address(1), &secret(), Schedule::default(), |id, buffer| {
        let mut writer = Writer::change_request(buffer, Code::COA_REQUEST, id);
        writer.attr(AttrType::CLASS, &[0; 254]);
        writer.sign(&secret())
    });
    assert!(matches!(too_long, Err(RequestError::Encode(_))), "{too_long:?}");
    assert_eq!((client.len(), client.waiting(address(1))), (0, 0));
    assert_eq!(client.counts(), Counts::default());
}

/// What the link does with a packet.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Lose,
    Deliver(u16),
    Double(u16, u16),
    /// It comes, and a forgery of it before.
    Forge(u16),
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        2 => Just(Fate::Lose),
        4 => (0..4_000_u16).prop_map(Fate::Deliver),
        1 => (0..9_000_u16, 0..9_000_u16).prop_map(|(one, two)| Fate::Double(one, two)),
        1 => (0..4_000_u16).prop_map(Fate::Forge),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    ToServer,
    ToClient,
}

/// Packets on their way, by when they arrive.
#[derive(Default)]
struct Link {
    packets: BTreeMap<(Instant, usize), (Way, SocketAddr, Vec<u8>)>,
    number: usize,
}

impl Link {
    fn put(&mut self, at: Instant, way: Way, server: SocketAddr, packet: Vec<u8>) {
        self.number += 1;
        self.packets.insert((at, self.number), (way, server, packet));
    }

    fn send(&mut self, now: Instant, fate: Fate, way: Way, server: SocketAddr, packet: &[u8]) {
        let after = |ms: u16| now + MS * u32::from(ms);
        match fate {
            Fate::Lose => {}
            Fate::Deliver(ms) => self.put(after(ms), way, server, packet.to_vec()),
            Fate::Double(one, two) => {
                self.put(after(one), way, server, packet.to_vec());
                self.put(after(two), way, server, packet.to_vec());
            }
            Fate::Forge(ms) => {
                let mut forged = packet.to_vec();
                *forged.last_mut().unwrap() ^= 0x40;
                self.put(now, way, server, forged);
                self.put(after(ms), way, server, packet.to_vec());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// However bad the link: every request comes to exactly one end, in bounded time; the server
    /// decides each at most once; and an answer is never another request's or a forger's.
    #[test]
    fn every_request_comes_to_one_end(
        fates in prop::collection::vec(fate(), 1..64),
        requests in prop::collection::vec((0..30_u8, 0..3_u8), 1..40),
        randoms in prop::collection::vec(any::<u32>(), 1..16),
    ) {
        let t0 = Instant::now();
        let mut client = Client::default();
        let mut servers: HashMap<SocketAddr, Server> = HashMap::new();
        let mut link = Link::default();
        let (mut fates, mut randoms) = (fates.iter().cycle(), randoms.iter().cycle());
        let mut starts: Vec<(Instant, SocketAddr)> = requests
            .iter()
            .map(|&(second, n)| (t0 + Duration::from_secs(second.into()), address(n)))
            .collect();
        starts.sort_by(|one, two| two.cmp(one));
        // By exchange: what was asked, and whether it came to an end.
        let mut open: HashMap<Exchange, (Instant, [u8; 16])> = HashMap::new();
        let mut decided: HashSet<(SocketAddr, [u8; 16])> = HashSet::new();
        let (mut answered, mut given_up) = (0, 0);
        let mut unique = 0_u32;

        loop {
            let times = [
                starts.last().map(|&(at, _)| at),
                client.poll_timeout(),
                link.packets.first_key_value().map(|(&(at, _), _)| at),
            ];
            let Some(now) = times.into_iter().flatten().min() else { break };
            while let Some((_, to)) = starts.pop_if(|(at, _)| *at <= now) {
                unique += 1;
                let exchange = client.request(
                    now, to, &secret(), Schedule::default(), |id, buffer| {
                        let code = Code::DISCONNECT_REQUEST;
                        let mut writer = Writer::change_request(buffer, code, id);
                        writer.integer(AttrType::NAS_PORT, unique);
                        writer.sign(&secret())
                    },
                ).unwrap();
                let authenticator = *client.authenticator(exchange).unwrap();
                prop_assert!(open.insert(exchange, (now, authenticator)).is_none());
            }
            loop {
                match client.handle_timeout(now, *randoms.next().unwrap()) {
                    None => break,
                    Some(Due::Send { exchange, to, packet }) => {
                        prop_assert!(open.contains_key(&exchange));
                        link.send(now, *fates.next().unwrap(), Way::ToServer, to, packet);
                    }
                    Some(Due::Write(_)) => prop_assert!(false, "nothing changes with time"),
                    Some(Due::GivenUp(exchange)) => {
                        let (began, _) = open.remove(&exchange).unwrap();
                        prop_assert!(now - began <= Duration::from_secs(30) + MS);
                        given_up += 1;
                    }
                }
            }
            while let Some(first) = link.packets.first_entry() {
                if first.key().0 > now {
                    break;
                }
                let (way, at, bytes) = first.remove();
                let Ok(packet) = Packet::decode(&bytes) else { continue };
                match way {
                    Way::ToServer => {
                        if radius::authenticator::verify_accounting(&packet, &secret()).is_err() {
                            continue;
                        }
                        let server = servers.entry(at).or_default();
                        let from = SocketAddr::from(([127, 0, 0, 1], 5));
                        let stored = match server.handle_request(now, from, &packet) {
                            server::Outcome::New(pending) => {
                                let made = reply(&bytes, Code::DISCONNECT_ACK, &secret());
                                // Within the time that an answer is kept.
                                decided.insert((at, *packet.authenticator()));
                                prop_assert!(server.finish(now, pending, &made));
                                made
                            }
                            server::Outcome::Answered(stored) => stored.to_vec(),
                            other @ (server::Outcome::InWork | server::Outcome::Overloaded) => {
                                panic!("{other:?}")
                            }
                        };
                        link.send(now, *fates.next().unwrap(), Way::ToClient, at, &stored);
                    }
                    Way::ToClient => match client.handle_reply(at, &packet) {
                        Outcome::Answers(exchange) => {
                            let (_, authenticator) = open.remove(&exchange).unwrap();
                            radius::authenticator::verify_reply(
                                &packet, &authenticator, &secret(),
                            ).unwrap();
                            prop_assert!(decided.contains(&(at, authenticator)));
                            answered += 1;
                        }
                        Outcome::Ignored(_) => {}
                    },
                }
            }
        }
        prop_assert!(open.is_empty());
        prop_assert!(client.is_empty());
        prop_assert_eq!(client.poll_timeout(), None);
        prop_assert_eq!(answered + given_up, requests.len());
        let counts = client.counts();
        prop_assert_eq!(counts.requests, requests.len() as u64);
        prop_assert_eq!((counts.answers, counts.given_up), (answered as u64, given_up as u64));
    }

    /// RFC 5080 §2.2.1: each wait is within a tenth of twice the one before.
    #[test]
    fn waits_stay_within_their_jitter(randoms in prop::collection::vec(any::<u32>(), 12)) {
        let (mut client, mut now) = (Client::default(), Instant::now());
        let schedule = Schedule { sends: None, duration: None, ..Schedule::default() };
        ask(&mut client, now, address(1), schedule);
        let mut before: Option<Duration> = None;
        for random in randoms {
            sent(&mut client, now, random);
            let next = client.poll_timeout().unwrap();
            let wait = next - now;
            let longest = schedule.longest.unwrap();
            let within = |of: Duration, least: u32, most: u32| {
                (of * least / 10..=of * most / 10).contains(&wait)
            };
            let right = match before {
                None => within(schedule.initial, 9, 11),
                Some(before) if before * 19 / 10 > longest => within(longest, 9, 11),
                Some(before) if before * 21 / 10 <= longest => within(before, 19, 21),
                Some(before) => within(longest, 9, 11) || within(before, 19, 21),
            };
            prop_assert!(right, "{wait:?} after {before:?}");
            (before, now) = (Some(wait), next);
        }
    }
}
