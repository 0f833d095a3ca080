//! Stories about sessions that a NAS meters, forgets, and is asked about.

use std::{net::IpAddr, sync::mpsc};

use radius::dynauth::{Action, ErrorCause};
use shared::wire::latest::{
    command::Effect,
    journal::{Answered, Observed, SessionEffect},
};
use tokio::sync::oneshot::{self, Receiver};

use super::{
    event::{Authorise, Change, NasAnswer, Verdict, Which},
    *,
};

const LAB: &str = "[[nas]]\nname = \"lab\"\naddress = \"10.0.0.1\"\nsecret = \"s\"\n";

fn down(bytes: u64) -> Counters {
    Counters { down_bytes: bytes, ..Counters::default() }
}

fn with(subscribers: Vec<Subscriber>, nas: &str) -> Snapshot {
    let desired: Desired = toml::from_str(nas).unwrap();
    Snapshot::new(Desired { revision: 2, subscribers, ..desired }).unwrap()
}

/// What a NAS says of a session that it meters itself.
fn metered(record: &mut Accounting) {
    record.metered_here = false;
    record.subscriber = Some(Arc::new(subscriber("amina", 10_000)));
}

impl World {
    /// With a NAS that can be asked, and amina.
    fn at_lab() -> Self {
        let mut world = Self::new();
        world.want(&with(vec![subscriber("amina", 10_000)], LAB));
        world
    }

    fn want(&mut self, snapshot: &Snapshot) {
        let mut decision = Decision::default();
        self.sessions.desired(snapshot, self.now_ms, &mut decision);
        self.carry_out(decision);
    }

    fn nas_says(&mut self, status: AcctStatus, bytes: u64) {
        self.acct(status, |record| {
            metered(record);
            record.counters = Some(down(bytes));
        });
    }

    fn answer(&mut self, answered: Answered, cause: Option<ErrorCause>) {
        let id = self.asks.last().unwrap().id;
        let mut decision = Decision::default();
        let answer = NasAnswer { answered, cause };
        self.sessions.answered(id, answer, self.now_ms, &mut decision);
        self.carry_out(decision);
    }

    /// amina's session at the lab's NAS is to end.
    fn disconnect(&mut self) -> Receiver<Effect> {
        let id = *self.sessions.live.keys().next().unwrap();
        let (answer, effect) = oneshot::channel();
        let mut decision = Decision::default();
        self.sessions.disconnect(id, answer, self.now_ms, &mut decision);
        self.carry_out(decision);
        effect
    }

    fn seconds(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.tick();
        }
    }

    fn only(&self) -> (Counters, Option<u32>) {
        assert_eq!(self.books.len(), 1, "{:?}", self.books);
        *self.books.values().next().unwrap()
    }

    fn total(&self) -> u64 {
        self.books.values().map(|(counters, _)| counters.down_bytes).sum()
    }

    fn effect(&self) -> &SessionEffect {
        let [effect] = &*self.effects else { panic!("one effect: {:?}", self.effects) };
        effect
    }
}

/// A NAS answers, something happens, and it is told.
#[track_caller]
fn check_disconnect(
    (answered, cause): (Answered, Option<ErrorCause>),
    then: impl FnOnce(&mut World),
    (observed, told): (Observed, &str),
) -> World {
    let mut world = World::at_lab();
    world.nas_says(AcctStatus::Start, 0);
    let mut told_effect = world.disconnect();
    let [ask] = &*world.asks else { panic!("{:?}", world.asks) };
    assert_eq!(
        (ask.want, &*ask.acct_session_id, &*ask.username),
        (Want::Disconnect, "a1", "amina")
    );
    assert_eq!(ask.to, IpAddr::from([10, 0, 0, 1]));
    world.seconds(1);
    assert!(told_effect.try_recv().is_err(), "nothing is known yet");
    world.answer(answered, cause);
    then(&mut world);
    let effect = world.effect();
    assert_eq!((effect.answered(), effect.observed()), (answered, observed));
    assert_eq!(effect.error_cause, cause.map_or(0, |cause| cause.0));
    assert!(effect.after_ms >= 1_000);
    match told_effect.try_recv().unwrap() {
        Effect::Done => assert_eq!(told, "done"),
        Effect::Failed { reason } => assert!(reason.contains(told), "{reason}"),
        other @ (Effect::Nothing | Effect::Expired) => panic!("{other:?}"),
    }
    world
}

#[test]
fn an_ack_is_believed_when_the_stop_has_come() {
    let world = check_disconnect(
        (Answered::Ack, None),
        |world| {
            world.seconds(2);
            assert!(world.effects.is_empty());
            // hostapd does not say why.
            world.acct(AcctStatus::Stop, metered);
        },
        (Observed::Ended, "done"),
    );
    assert_eq!(world.only().1, Some(Cause::ADMIN_RESET.0));
}

#[test]
fn an_ack_without_a_stop_is_not_an_end() {
    check_disconnect(
        (Answered::Ack, None),
        |world| {
            world.seconds(5);
            world.nas_says(AcctStatus::Interim, 100);
            world.seconds(10);
        },
        (Observed::StillThere, "goes on: its NAS has acknowledged"),
    );
    check_disconnect(
        (Answered::Ack, None),
        |world| world.seconds(11),
        (Observed::Unknown, "nobody has seen"),
    );
}

#[test]
fn a_nas_that_does_not_know_the_session_has_none() {
    let unknown = Some(ErrorCause::SESSION_CONTEXT_NOT_FOUND);
    let answer = (Answered::Nak, unknown);
    let world = check_disconnect(answer, |world| world.seconds(6), (Observed::Ended, "done"));
    assert_eq!(world.only().1, Some(Cause::LOST_SERVICE.0));
    // It may just have ended by itself.
    let says_so = |world: &mut World| {
        world.acct(AcctStatus::Stop, |record| {
            metered(record);
            record.terminate_cause = 1;
        });
    };
    let world = check_disconnect(answer, says_so, (Observed::Ended, "done"));
    assert_eq!(world.only().1, Some(1));
}

#[test]
fn a_refusal_and_a_silence_are_told_as_such() {
    let refusal = Some(ErrorCause::ADMINISTRATIVELY_PROHIBITED);
    check_disconnect(
        (Answered::Nak, refusal),
        |_| {},
        (Observed::StillThere, "refuses (Administratively-Prohibited)"),
    );
    let silence = (Answered::Silence, None);
    check_disconnect(silence, |_| {}, (Observed::Unknown, "does not answer"));
}

#[test]
fn a_nas_that_takes_no_questions_is_asked_none() {
    let mut world = World::new();
    let closed = format!("{LAB}dynauth_port = 0");
    world.want(&with(vec![subscriber("amina", 10_000)], &closed));
    world.nas_says(AcctStatus::Start, 0);
    let mut effect = world.disconnect();
    assert!(matches!(effect.try_recv().unwrap(), Effect::Failed { .. }));
    world.want(&with(Vec::new(), &closed));
    assert!(world.asks.is_empty() && world.effects.is_empty());
}

#[test]
fn a_session_that_ends_here_ends_at_its_nas() {
    let mut world = World::at_lab();
    let id = world.open(1, "amina");
    world.acct(AcctStatus::Start, |record| record.mac = Some(mac(1)));
    world.want(&with(Vec::new(), LAB));
    // The kernel needs no NAS for it.
    assert_eq!(world.books[&id].1, Some(Cause::ADMIN_RESET.0));
    assert_eq!(world.asks.len(), 1);
    world.answer(Answered::Ack, None);
    world.seconds(1);
    assert!(world.effects.is_empty());
    world.acct(AcctStatus::Stop, |record| record.mac = Some(mac(1)));
    assert_eq!(world.effect().observed(), Observed::Ended);
    assert_eq!(SessionId::from_slice(&world.effect().session), Some(id));
    assert_eq!(world.books.len(), 1);
}

#[test]
fn a_device_that_logs_in_again_is_not_thrown_out() {
    let mut world = World::at_lab();
    world.open(1, "amina");
    world.open(1, "amina");
    assert!(world.asks.is_empty());
}

#[test]
fn who_was_removed_or_blocked_is_asked_off_and_not_every_second() {
    let blocked = || {
        let mut amina = subscriber("amina", 10_000);
        amina.class = shared::wire::latest::desired::Class::Blocked;
        vec![amina]
    };
    for subscribers in [Vec::new(), blocked()] {
        let mut world = World::at_lab();
        world.nas_says(AcctStatus::Start, 0);
        world.acct(AcctStatus::Start, |record| {
            record.metered_here = false;
            record.acct_session_id = "b2".to_owned();
            record.username = "of another provider".to_owned();
        });
        let wanted = with(subscribers, LAB);
        world.want(&wanted);
        world.want(&wanted);
        let asked: Vec<&str> = world.asks.iter().map(|ask| &*ask.username).collect();
        assert_eq!(asked, ["amina"]);
        assert_eq!(world.sessions.len(), 2, "its NAS has not said anything yet");
        world.answer(Answered::Silence, None);
        world.seconds(299);
        assert_eq!(world.asks.len(), 1);
        world.seconds(2);
        assert_eq!(world.asks.len(), 2, "after a while it is asked again");
        // Who is wanted again is let be.
        world.want(&with(vec![subscriber("amina", 10_000)], LAB));
        world.seconds(600);
        assert_eq!(world.asks.len(), 2);
    }
}

#[test]
fn who_has_used_up_the_plan_is_asked_off_again_after_a_while() {
    let mut world = World::new();
    let mut amina = subscriber("amina", 10_000);
    amina.data_bytes = Some(1_000);
    world.want(&with(vec![amina], LAB));
    world.nas_says(AcctStatus::Start, 0);
    world.want(&with(
        vec![{
            let mut amina = subscriber("amina", 10_000);
            amina.data_bytes = Some(1_000);
            amina
        }],
        LAB,
    ));
    world.nas_says(AcctStatus::Interim, 999);
    world.tick();
    assert!(world.asks.is_empty());
    world.nas_says(AcctStatus::Interim, 1_000);
    world.seconds(3);
    assert_eq!(world.asks.len(), 1);
    world.answer(Answered::Silence, None);
    for _ in 0..5 {
        world.seconds(60);
        world.nas_says(AcctStatus::Interim, 1_001);
    }
    world.seconds(2);
    assert_eq!(world.asks.len(), 2);
}

#[test]
fn a_nas_keeps_the_limits_that_it_was_told() {
    let mut world = World::new();
    let limited = || {
        let mut amina = subscriber("amina", 10_000);
        (amina.session_timeout, amina.idle_timeout) = (Some(100), Some(20));
        amina
    };
    world.want(&with(vec![limited()], LAB));
    world.acct(AcctStatus::Start, |record| {
        metered(record);
        record.subscriber = Some(Arc::new(limited()));
    });
    world.seconds(129);
    assert!(world.asks.is_empty());
    world.seconds(1);
    assert_eq!(world.asks.len(), 1, "its time is over, and it has not ended it");
    world.answer(Answered::Ack, None);
    world.acct(AcctStatus::Stop, metered);
    assert_eq!(world.only().1, Some(Cause::SESSION_TIMEOUT.0));
}

#[test]
fn a_changed_plan_is_asked_for_and_seen_in_the_traffic() {
    // kbit/s before and after, what passes in the minute after it, and what that says.
    for (before, after, passed, observed) in [
        (10_000, 50_000, 200_000_000, Observed::Changed),
        (10_000, 50_000, 60_000_000, Observed::Unknown),
        (10_000, 2_000, 14_000_000, Observed::Changed),
        (10_000, 2_000, 60_000_000, Observed::StillThere),
        (10_000, 2_000, 1_000, Observed::Unknown),
    ] {
        let mut world = World::new();
        world.want(&with(vec![subscriber("amina", before)], LAB));
        world.acct(AcctStatus::Start, |record| {
            metered(record);
            record.subscriber = Some(Arc::new(subscriber("amina", before)));
        });
        world.want(&with(vec![subscriber("amina", after)], LAB));
        let [ask] = &*world.asks else { panic!("{:?}", world.asks) };
        let Want::Change { after: asked, .. } = ask.want else { panic!("{ask:?}") };
        assert_eq!(asked.down_kbps.get(), after);
        world.answer(Answered::Ack, None);
        world.seconds(30);
        world.nas_says(AcctStatus::Interim, 5_000);
        world.seconds(60);
        world.nas_says(AcctStatus::Interim, 5_000 + passed);
        world.seconds(120);
        assert_eq!(world.effect().observed(), observed, "{before} {after} {passed}");
        // It is not asked for again.
        world.want(&with(vec![subscriber("amina", after)], LAB));
        assert_eq!(world.asks.len(), 1);
    }
}

#[test]
fn a_nas_that_restarts_takes_its_own_sessions_with_it() {
    let mut world = World::at_lab();
    let place = |identifier: &str, called: &str| Place {
        nas_identifier: identifier.to_owned(),
        called: called.to_owned(),
        ..Place::default()
    };
    for (session, at) in [
        ("a1", place("ap-1", "radio-1")),
        ("a2", place("ap-1", "radio-2")),
        ("a3", place("ap-2", "radio-1")),
    ] {
        world.acct(AcctStatus::Start, |record| {
            metered(record);
            record.acct_session_id = session.to_owned();
            record.username = session.to_owned();
            record.place = at;
        });
    }
    world.acct(AcctStatus::On, |record| record.place = place("ap-1", "radio-2"));
    assert_eq!(world.sessions.len(), 2);
    world.acct(AcctStatus::Off, |record| record.place = place("ap-1", ""));
    assert_eq!(world.sessions.len(), 1);
    let causes: Vec<u32> = world.books.values().filter_map(|(_, cause)| *cause).collect();
    assert_eq!(causes, [Cause::NAS_REBOOT.0; 2]);
}

#[test]
fn a_nas_that_says_nothing_any_more_has_lost_the_session() {
    let mut world = World::at_lab();
    world.nas_says(AcctStatus::Start, 0);
    world.seconds(60);
    world.nas_says(AcctStatus::Interim, 100);
    world.seconds(300);
    assert_eq!(world.sessions.len(), 1);
    world.seconds(1);
    assert_eq!(world.only(), (down(100), Some(Cause::LOST_SERVICE.0)));
    assert_eq!(world.times.values().next().unwrap().1, 60_000, "when it was last heard of");

    // It was only away, and everything since counts once.
    world.nas_says(AcctStatus::Interim, 250);
    world.nas_says(AcctStatus::Interim, 400);
    world.nas_says(AcctStatus::Stop, 450);
    assert_eq!((world.books.len(), world.total()), (2, 450));
}

#[test]
fn a_nas_that_reports_seldom_or_never_is_waited_for() {
    let mut world = World::at_lab();
    world.nas_says(AcctStatus::Start, 0);
    world.seconds(1_000);
    assert_eq!(world.sessions.len(), 1, "it may be one that reports only the end");
    world.nas_says(AcctStatus::Interim, 1);
    world.seconds(2_999);
    assert_eq!(world.sessions.len(), 1, "three of its intervals");
    world.seconds(2);
    assert_eq!(world.sessions.len(), 0);
}

#[test]
fn a_repeated_stop_counts_once_also_after_a_restart() {
    for restart in [false, true] {
        let mut world = World::at_lab();
        world.nas_says(AcctStatus::Start, 0);
        world.nas_says(AcctStatus::Stop, 500);
        if restart {
            world.restart(false);
        }
        // With another Acct-Delay-Time it is another packet.
        world.acct(AcctStatus::Stop, |record| {
            metered(record);
            record.counters = Some(down(500));
            record.delay_seconds = 5;
        });
        // A Start that comes late is of that session, too.
        world.acct(AcctStatus::Start, |record| {
            metered(record);
            record.delay_seconds = 30;
        });
        assert_eq!(world.only(), (down(500), Some(Cause::NAS_REQUEST.0)));
        assert!(world.sessions.is_empty());
        // Hours later nobody asks.
        world.now_ms += 7 * 60 * 60 * 1_000;
        world.tick();
        assert!(world.rows.is_empty());
    }
}

#[test]
fn the_same_port_again_ends_who_was_there() {
    let at = |port, port_type| Place {
        port: Some(port),
        port_type: Some(port_type),
        ..Place::default()
    };
    let start = |world: &mut World, n: u8, place: Place| {
        world.acct(AcctStatus::Start, |record| {
            metered(record);
            record.subscriber = None;
            record.acct_session_id = format!("s{n}");
            record.username = format!("user{n}");
            record.mac = Some(mac(n));
            record.place = place;
        });
    };
    let mut world = World::at_lab();
    start(&mut world, 1, at(7, 15));
    start(&mut world, 2, at(8, 15));
    start(&mut world, 3, at(7, 15));
    let causes: Vec<Option<u32>> = world.books.values().map(|(_, cause)| *cause).collect();
    assert_eq!(causes, [Some(Cause::PORT_REINITIALIZED.0), None, None]);

    // The first was not gone after all: this NAS has several sessions at a port.
    world.acct(AcctStatus::Interim, |record| {
        metered(record);
        record.subscriber = None;
        record.acct_session_id = "s1".to_owned();
        record.username = "user1".to_owned();
        record.mac = Some(mac(1));
        record.counters = Some(down(10));
        record.place = at(7, 15);
    });
    assert_eq!(world.sessions.len(), 3);
    start(&mut world, 4, at(8, 15));
    assert_eq!(world.sessions.len(), 4);

    // A radio's number says nothing of a place; its device does.
    let mut world = World::at_lab();
    start(&mut world, 1, at(1, 19));
    start(&mut world, 2, at(1, 19));
    assert_eq!(world.sessions.len(), 2);
    world.acct(AcctStatus::Start, |record| {
        metered(record);
        record.subscriber = None;
        record.acct_session_id = "s9".to_owned();
        record.username = "user1".to_owned();
        record.mac = Some(mac(1));
        record.place = at(1, 19);
    });
    assert_eq!(world.sessions.len(), 2);
}

#[test]
fn a_name_that_is_given_again_is_another_session() {
    let say = |world: &mut World, status, time: u32, bytes| {
        world.acct(status, |record| {
            metered(record);
            record.session_time = Some(time);
            record.counters = Some(down(bytes));
        });
    };
    let mut world = World::at_lab();
    say(&mut world, AcctStatus::Start, 0, 0);
    world.seconds(600);
    say(&mut world, AcctStatus::Interim, 600, 9_000);
    // Its power was off, and nobody has said so.
    world.seconds(100);
    say(&mut world, AcctStatus::Interim, 60, 70);
    say(&mut world, AcctStatus::Stop, 61, 80);
    let causes: Vec<Option<u32>> = world.books.values().map(|(_, cause)| *cause).collect();
    assert_eq!(causes, [Some(Cause::NAS_REBOOT.0), Some(Cause::NAS_REQUEST.0)]);
    assert_eq!(world.total(), 9_080);

    // The same with a Start; and the same name of two subscribers is two sessions.
    let mut world = World::at_lab();
    say(&mut world, AcctStatus::Start, 0, 0);
    say(&mut world, AcctStatus::Start, 0, 0);
    assert_eq!(world.books.len(), 1, "one that is repeated");
    world.seconds(120);
    say(&mut world, AcctStatus::Start, 0, 0);
    assert_eq!((world.books.len(), world.sessions.len()), (2, 1));
    world.acct(AcctStatus::Start, |record| {
        metered(record);
        record.username = "brian".to_owned();
    });
    assert_eq!(world.sessions.len(), 2);
    // A NAS that does not repeat the User-Name means the one that it has.
    let mut world = World::at_lab();
    say(&mut world, AcctStatus::Start, 0, 0);
    world.acct(AcctStatus::Stop, |record| {
        metered(record);
        record.username = String::new();
    });
    assert!(world.sessions.is_empty());
    assert_eq!(world.books.len(), 1);
}

#[test]
fn what_a_nas_could_not_say_at_once_happened_when_it_happened() {
    let mut world = World::at_lab();
    world.now_ms = 10_000_000;
    world.acct(AcctStatus::Start, |record| {
        metered(record);
        record.delay_seconds = 30;
    });
    world.seconds(100);
    world.acct(AcctStatus::Stop, |record| {
        metered(record);
        record.session_time = Some(110);
        record.delay_seconds = 20;
    });
    let times: Vec<(u64, u64)> = world.times.values().copied().collect();
    assert_eq!(times, [(9_970_000, 10_080_000)]);

    // Only the Stop has come: its time says when the session began.
    let mut world = World::at_lab();
    world.now_ms = 10_000_000;
    world.acct(AcctStatus::Stop, |record| {
        metered(record);
        record.counters = Some(down(77));
        record.session_time = Some(600);
    });
    assert_eq!(world.only(), (down(77), Some(Cause::NAS_REQUEST.0)));
    assert_eq!(*world.times.values().next().unwrap(), (9_400_000, 10_000_000));
}

#[test]
fn a_counter_that_goes_round_is_followed_over_a_restart() {
    let mut world = World::at_lab();
    let mut seconds = 0;
    let mut say = |world: &mut World, low: u64| {
        seconds += 60;
        world.seconds(1);
        world.acct(AcctStatus::Interim, |record| {
            metered(record);
            record.session_time = Some(seconds);
            record.counters = Some(down(low));
        });
    };
    say(&mut world, 3_000_000_000);
    say(&mut world, 4_200_000_000);
    world.restart(false);
    say(&mut world, 500_000_000);
    assert_eq!(world.total(), (1 << 32) + 500_000_000);
    world.restart(false);
    say(&mut world, 600_000_000);
    assert_eq!(world.total(), (1 << 32) + 600_000_000);
}

#[test]
fn devices_that_are_on_line_hold_their_leases() {
    let mut world = World::at_lab();
    let one_at_a_time = || {
        let mut amina = subscriber("amina", 10_000);
        amina.max_sessions = Some(1);
        Some(Arc::new(amina))
    };
    let mut id = None;
    for status in [AcctStatus::Start, AcctStatus::Interim, AcctStatus::Stop] {
        world.acct(status, |record| {
            metered(record);
            id.get_or_insert(record.fresh);
            record.subscriber = one_at_a_time();
            record.mac = Some(mac(1));
        });
    }
    let held = |lasting| Lease::Held {
        username: "amina".to_owned(),
        device: Device::Mac(mac(1)),
        session: id.unwrap(),
        lasting,
    };
    let for_a_while = held(Some(LEASE));
    let expected =
        [for_a_while.clone(), for_a_while.clone(), for_a_while, Lease::GivenBack(id.unwrap())];
    assert_eq!(world.leases, expected);

    // Who is on-line when the program starts is so for those who count devices, too.
    let mut world = World::at_lab();
    let id = world.open(1, "amina");
    world.restart(false);
    let before = world.leases.len();
    world.want(&with(vec![one_at_a_time().unwrap().as_ref().clone()], LAB));
    let username = "amina".to_owned();
    let device = Device::Mac(mac(1));
    let here = Lease::Held { username, device, session: id, lasting: None };
    assert_eq!(world.leases[before..], [here]);
}

/// What comes of a question about amina's session here.
fn authorise(world: &mut World, asked: &Authorise) -> Result<(), ErrorCause> {
    let (tell, told) = mpsc::sync_channel(1);
    let verdict = Verdict::new(move |result| tell.send(result).unwrap());
    let mut decision = Decision::default();
    world.sessions.authorise(asked, verdict, world.now_ms, &mut decision);
    world.carry_out(decision);
    told.try_recv().unwrap()
}

#[test]
fn others_end_and_change_sessions_here() {
    let named = |username: &str| Which { username: Some(username.to_owned()), ..Which::default() };
    let asked = |action, which, change| Authorise { action, which, change };
    let disconnect = |which| asked(Action::Disconnect, which, Change::default());
    let mut world = World::at_lab();
    let id = world.open(1, "amina");
    world.acct(AcctStatus::Start, |record| record.mac = Some(mac(1)));

    let faster =
        Change { down_kbps: Kbps::new(20_000), session_seconds: Some(60), ..Change::default() };
    assert_eq!(authorise(&mut world, &asked(Action::Change, named("amina"), faster)), Ok(()));
    let session = world.sessions.get(id).unwrap();
    assert_eq!((session.shape.down_kbps.get(), session.shape.up_kbps.get()), (20_000, 5_000));
    assert_eq!(session.limits.session_seconds, Some(60));
    // It stays until something else is wanted.
    world.want(&with(vec![subscriber("amina", 10_000)], LAB));
    assert_eq!(world.sessions.get(id).unwrap().shape.down_kbps.get(), 20_000);
    world.want(&with(vec![subscriber("amina", 30_000)], LAB));
    let session = world.sessions.get(id).unwrap();
    assert_eq!(session.shape.down_kbps.get(), 30_000);
    assert_eq!(session.limits.session_seconds, None);

    let not_found = Err(ErrorCause::SESSION_CONTEXT_NOT_FOUND);
    assert_eq!(authorise(&mut world, &disconnect(named("brian"))), not_found);
    let elsewhere = Which { nas_identifier: Some("ap-7".to_owned()), ..named("amina") };
    let mismatch = Err(ErrorCause::NAS_IDENTIFICATION_MISMATCH);
    assert_eq!(authorise(&mut world, &disconnect(elsewhere)), mismatch);
    world.open(2, "amina");
    let several = Err(ErrorCause::MULTIPLE_SESSION_SELECTION_UNSUPPORTED);
    assert_eq!(authorise(&mut world, &disconnect(named("amina"))), several);
    let by_name = Which { acct_session_id: Some("a1".to_owned()), ..named("amina") };
    assert_eq!(authorise(&mut world, &disconnect(by_name.clone())), Ok(()));
    assert_eq!(world.books[&id].1, Some(Cause::ADMIN_RESET.0));
    assert_eq!(authorise(&mut world, &disconnect(by_name)), not_found);
    // What a NAS meters is the NAS's.
    world.acct(AcctStatus::Start, |record| {
        metered(record);
        record.username = "zawadi".to_owned();
        record.acct_session_id = "z".to_owned();
    });
    let theirs = Which { acct_session_id: Some("z".to_owned()), ..Which::default() };
    let stays = Err(ErrorCause::SESSION_CONTEXT_NOT_REMOVABLE);
    assert_eq!(authorise(&mut world, &disconnect(theirs)), stays);
}

#[derive(Clone, Debug)]
enum Word {
    Move(u32),
    Interim,
    /// The last record once more, with another identifier.
    Repeat,
    /// The NAS is cut off for a while, and what it would have said is lost.
    Silence(u16),
    Crash,
    Stop,
    /// Its power was off: it counts from zero, under the same name.
    PowerCut,
}

fn word() -> impl Strategy<Value = Word> {
    prop_oneof![
        4 => (1..1_000_000_u32).prop_map(Word::Move),
        4 => Just(Word::Interim),
        2 => Just(Word::Repeat),
        1 => (1..900_u16).prop_map(Word::Silence),
        1 => Just(Word::Crash),
        1 => Just(Word::Stop),
        1 => Just(Word::PowerCut),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever a NAS says, repeats or forgets to say, with whatever causes sessions end here:
    /// what it has said of its bytes is in the books once.
    #[test]
    fn what_a_nas_has_said_counts_once(words in prop::collection::vec(word(), 1..60)) {
        let mut world = World::at_lab();
        world.now_ms = 1_000_000_000;
        let mut last: Option<(AcctStatus, u32, u64, u64)> = None;
        let (mut began, mut moved, mut said, mut books) = (world.now_ms, 0_u64, 0_u64, 0_u64);
        let mut on_line = false;
        let say = |world: &mut World, (status, time, bytes, at): (AcctStatus, u32, u64, u64)| {
            let delay = u32::try_from((world.now_ms - at) / 1_000).unwrap();
            world.acct(status, |record| {
                metered(record);
                record.session_time = Some(time);
                record.counters = Some(down(bytes));
                record.delay_seconds = delay;
            });
        };
        for word in words {
            world.seconds(3);
            if !on_line {
                (began, moved, said, on_line) = (world.now_ms, 0, 0, true);
                last = Some((AcctStatus::Start, 0, 0, world.now_ms));
                say(&mut world, last.unwrap());
                world.seconds(100);
            }
            let time = u32::try_from((world.now_ms - began) / 1_000).unwrap();
            match word {
                Word::Move(bytes) => moved += u64::from(bytes),
                Word::Interim => {
                    said = moved;
                    last = Some((AcctStatus::Interim, time, moved, world.now_ms));
                    say(&mut world, last.unwrap());
                }
                Word::Repeat => say(&mut world, last.unwrap()),
                Word::Silence(seconds) => world.seconds(seconds.into()),
                Word::Crash => {
                    world.restart(false);
                    world.want(&with(vec![subscriber("amina", 10_000)], LAB));
                }
                Word::Stop => {
                    last = Some((AcctStatus::Stop, time, moved, world.now_ms));
                    say(&mut world, last.unwrap());
                    books += moved;
                    (said, on_line) = (0, false);
                }
                Word::PowerCut => {
                    books += said;
                    (said, on_line) = (0, false);
                    // It takes a while to come back; it does not repeat what it has forgotten.
                    world.seconds(120);
                }
            }
            prop_assert_eq!(world.total(), books + said);
        }
    }
}

#[derive(Clone, Debug)]
enum Doing {
    Login(u8),
    Start(u8),
    Interim(u8),
    Stop(u8),
    Disconnect(u8),
    /// Of the questions that are open, by number: what its NAS says.
    Says(u8, Answered, Option<u32>),
    Want(bool, u16),
    Wait(u8),
}

fn doing() -> impl Strategy<Value = Doing> {
    let answer = prop_oneof![
        Just((Answered::Ack, None)),
        Just((Answered::Nak, Some(503))),
        Just((Answered::Nak, Some(501))),
        Just((Answered::Nak, None)),
        Just((Answered::Silence, None)),
        Just((Answered::NotAsked, None)),
    ];
    prop_oneof![
        2 => (0..3_u8).prop_map(Doing::Login),
        2 => (0..6_u8).prop_map(Doing::Start),
        2 => (0..6_u8).prop_map(Doing::Interim),
        2 => (0..6_u8).prop_map(Doing::Stop),
        2 => (0..6_u8).prop_map(Doing::Disconnect),
        4 => (any::<u8>(), answer).prop_map(|(n, (answered, why))| Doing::Says(n, answered, why)),
        1 => (any::<bool>(), 1..9_u16).prop_map(|(there, rate)| Doing::Want(there, rate)),
        2 => (1..120_u8).prop_map(Doing::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever is asked, answered and heard in whatever order: every question ends in one record,
    /// everybody who gave a command is told something once, and nothing is left behind.
    #[test]
    fn every_question_ends_in_one_record(steps in prop::collection::vec(doing(), 1..80)) {
        let mut world = World::at_lab();
        let mut commands: Vec<Receiver<Effect>> = Vec::new();
        let mut answered = BTreeSet::new();
        // The first three devices are metered here, the others by their NAS.
        let name = |n: u8| format!("s{n}");
        let say = |world: &mut World, status, n: u8| world.acct(status, |record| {
            record.metered_here = n < 3;
            record.subscriber = Some(Arc::new(subscriber("amina", 10_000)));
            record.acct_session_id = name(n);
            record.mac = (n < 3).then(|| mac(n));
        });
        let answer = |world: &mut World, id, answered, cause: Option<u32>| {
            let mut decision = Decision::default();
            let answer = NasAnswer { answered, cause: cause.map(ErrorCause) };
            world.sessions.answered(id, answer, world.now_ms, &mut decision);
            world.carry_out(decision);
        };
        for step in steps {
            match step {
                Doing::Login(n) => { world.open(n, "amina"); }
                Doing::Start(n) => say(&mut world, AcctStatus::Start, n),
                Doing::Interim(n) => say(&mut world, AcctStatus::Interim, n),
                Doing::Stop(n) => say(&mut world, AcctStatus::Stop, n),
                Doing::Disconnect(n) => {
                    let of_name = |session: &&Session| session.acct_session_id == name(n);
                    let found = world.sessions.live.values().find(of_name);
                    let Some(id) = found.map(|session| session.id) else { continue };
                    let (tell, effect) = oneshot::channel();
                    let mut decision = Decision::default();
                    world.sessions.disconnect(id, tell, world.now_ms, &mut decision);
                    world.carry_out(decision);
                    commands.push(effect);
                }
                Doing::Says(n, said, why) => {
                    let open: Vec<_> = world.asks.iter().map(|ask| ask.id)
                        .filter(|id| !answered.contains(id)).collect();
                    if let Some(&id) = open.get(usize::from(n) % open.len().max(1)) {
                        answered.insert(id);
                        answer(&mut world, id, said, why);
                    }
                }
                Doing::Want(there, rate) => {
                    let amina = there.then(|| subscriber("amina", u32::from(rate) * 1_000));
                    world.want(&with(amina.into_iter().collect(), LAB));
                }
                Doing::Wait(seconds) => world.seconds(seconds.into()),
            }
            prop_assert!(world.effects.len() <= answered.len());
        }
        let open: Vec<_> = world.asks.iter().map(|ask| ask.id)
            .filter(|id| !answered.contains(id)).collect();
        for id in open {
            answer(&mut world, id, Answered::Silence, None);
        }
        let asked = world.asks.len();
        world.sessions.nas.clear();
        world.seconds(250);
        prop_assert_eq!(world.effects.len(), asked);
        prop_assert!(world.sessions.asks.is_empty());
        for mut command in commands {
            prop_assert!(command.try_recv().is_ok(), "nobody has told");
        }
    }
}
