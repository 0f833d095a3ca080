//! Stories about sessions, with a data plane and a journal that are plain values.

use std::collections::BTreeMap;

use proptest::prelude::*;
use shared::{
    rate::{Kbps, Shape},
    wire::latest::{
        desired::{Desired, Subscriber},
        journal::Event as Told,
    },
};
use uuid::Uuid;

use super::{
    event::{Accounting, AcctStatus, AuthFailure, NasRef, Place},
    *,
};
use crate::{
    dataplane::{AccountNumber, Charge, Happened},
    desired::Snapshot,
};

/// Sessions with a kernel that counts what the test says, and the books that a reader of the
/// journal would keep.
struct World {
    sessions: Sessions,
    kernel: BTreeMap<Slot, (SessionId, Counters)>,
    /// By number: whose, what was charged, and the quota.
    accounts: BTreeMap<AccountNumber, (u128, u64, Option<u64>)>,
    rows: BTreeMap<SessionId, Vec<u8>>,
    /// By session: counters, and the cause when it has stopped.
    books: BTreeMap<SessionId, (Counters, Option<u32>)>,
    /// What really passed, by session.
    truth: BTreeMap<SessionId, Counters>,
    now_ms: u64,
    fresh: u128,
    refuse_installs: bool,
    asks: Vec<Ask>,
    effects: Vec<journal::SessionEffect>,
    leases: Vec<Lease>,
    /// When the journal says that a session began and ended.
    times: BTreeMap<SessionId, (u64, u64)>,
}

mod nases;

const PACE: Pace = Pace { report_ms: 10_000, silence_ms: 300_000 };

fn mac(n: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, n])
}

fn nas(name: &str) -> NasRef {
    NasRef { id: None, name: Arc::from(name) }
}

fn subscriber(name: &str, down_kbps: u32) -> Subscriber {
    let text = format!(
        "[[subscriber]]\nusername = \"{name}\"\npassword = \"x\"\ndown_kbps = {down_kbps}\nup_kbps = 5000"
    );
    let desired: Desired = toml::from_str(&text).unwrap();
    desired.subscribers.into_iter().next().unwrap()
}

fn snapshot(subscribers: Vec<Subscriber>) -> Snapshot {
    Snapshot::new(Desired { revision: 2, subscribers, ..Desired::default() }).unwrap()
}

impl World {
    fn new() -> Self {
        let (sessions, _) = Sessions::restore(([], Vec::new()), &[], 64, PACE, (0, 0));
        Self {
            sessions,
            kernel: BTreeMap::new(),
            accounts: BTreeMap::new(),
            rows: BTreeMap::new(),
            books: BTreeMap::new(),
            truth: BTreeMap::new(),
            now_ms: 0,
            fresh: 0,
            refuse_installs: false,
            asks: Vec::new(),
            effects: Vec::new(),
            leases: Vec::new(),
            times: BTreeMap::new(),
        }
    }

    fn fresh(&mut self) -> SessionId {
        self.fresh += 1;
        SessionId::from_uuid(Uuid::from_u128(self.fresh))
    }

    /// As the desk does it: close, write, act.
    fn carry_out(&mut self, mut decision: Decision) {
        for (id, cause) in std::mem::take(&mut decision.close) {
            let slot = self.sessions.get(id).and_then(Session::installed_slot);
            let last = slot.map(|slot| self.kernel[&slot]);
            let reading = last.map_or(Reading::default(), |(holder, passed)| {
                assert_eq!(holder, id, "the reading is this session's");
                Reading { passed, ..Reading::default() }
            });
            self.sessions.closed(id, reading, cause, self.now_ms, &mut decision);
        }
        self.sessions.leave_closed(&mut decision);
        self.leases.append(&mut decision.leases);
        for record in decision.records {
            let at_ms = record.at_ms;
            let counters = |octets: journal::Octets| Counters::from(octets);
            let session = |bytes: &[u8]| SessionId::from_slice(bytes).unwrap();
            match record.event.unwrap() {
                Told::SessionStarted(started) => {
                    let id = session(&started.session);
                    self.books.entry(id).or_default();
                    self.times.entry(id).or_insert((at_ms, 0));
                }
                Told::Usage(usage) => {
                    let book = self.books.get_mut(&session(&usage.session)).unwrap();
                    assert_eq!(book.0.max(counters(usage.octets)), counters(usage.octets));
                    book.0 = counters(usage.octets);
                }
                Told::SessionStopped(stopped) => {
                    let book = self.books.get_mut(&session(&stopped.session)).unwrap();
                    assert_eq!(book.1, None, "a session stops once");
                    assert_eq!(book.0.max(counters(stopped.octets)), counters(stopped.octets));
                    *book = (counters(stopped.octets), Some(stopped.cause));
                    self.times.get_mut(&session(&stopped.session)).unwrap().1 = at_ms;
                }
                Told::SessionEffect(effect) => self.effects.push(effect),
                Told::EdgeStarted(_) | Told::AuthFailures(_) => {}
            }
        }
        for row in decision.rows {
            match row {
                Row::Put { session, body } => self.rows.insert(session, body),
                Row::Delete { session } => self.rows.remove(&session),
            };
        }
        for account in decision.accounts {
            let held = self.accounts.entry(account.number).or_insert((account.id, 0, None));
            if held.0 != account.id {
                *held = (account.id, 0, None);
            }
            held.2 = account.quota;
        }
        for act in decision.acts {
            match act {
                Act::Install(entry, ticket) => self.install(&entry, ticket),
                Act::Reply(ticket) => ticket.complete(),
                Act::Ask(ask) => self.asks.push(*ask),
                Act::Authorised(verdict, result) => verdict.tell(result),
                Act::Answer(answer, effect) => answer.send(effect).unwrap(),
                Act::Applied(answer) => answer.send(()).unwrap(),
            }
        }
    }

    fn install(&mut self, entry: &Entry, ticket: Option<Ticket>) {
        let ok = !self.refuse_installs;
        self.sessions.installed(entry.session, ok);
        if !ok {
            return;
        }
        let held = self.kernel.entry(entry.slot).or_insert((entry.session, Counters::default()));
        if held.0 != entry.session {
            *held = (entry.session, Counters::default());
        }
        if let Some(ticket) = ticket {
            ticket.complete();
        }
    }

    fn open(&mut self, device: u8, who: &str) -> SessionId {
        self.open_named(device, who, "")
    }

    fn open_named(&mut self, device: u8, who: &str, acct_session_id: &str) -> SessionId {
        self.open_as(device, &Arc::new(subscriber(who, 10_000)), acct_session_id)
    }

    fn open_as(&mut self, device: u8, who: &Arc<Subscriber>, acct_session_id: &str) -> SessionId {
        let session = self.fresh();
        let open = Open {
            session,
            mac: Some(mac(device)),
            subscriber: Arc::clone(who),
            nas: nas("lab"),
            ip: None,
            revision: 1,
            place: Place::default(),
            acct_session_id: acct_session_id.to_owned(),
        };
        let mut decision = Decision::default();
        self.sessions.open(open, Ticket::new(|| {}), self.now_ms, &mut decision);
        self.carry_out(decision);
        session
    }

    fn acct(&mut self, status: AcctStatus, change: impl FnOnce(&mut Accounting)) {
        let mut record = Accounting {
            fresh: self.fresh(),
            nas: nas("lab"),
            metered_here: true,
            status,
            acct_session_id: "a1".to_owned(),
            username: "amina".to_owned(),
            subscriber: None,
            class: None,
            mac: None,
            ip: None,
            counters: None,
            has_gigawords: false,
            session_time: None,
            delay_seconds: 0,
            place: Place::default(),
            terminate_cause: 0,
        };
        change(&mut record);
        let mut decision = Decision::default();
        self.sessions.accounting(&record, Ticket::new(|| {}), self.now_ms, &mut decision);
        self.carry_out(decision);
    }

    fn traffic(&mut self, device: u8, bytes: u64) {
        let Some(id) = self.sessions.by_mac.get(&mac(device)) else { return };
        let Some(slot) = self.sessions.get(*id).and_then(Session::installed_slot) else { return };
        let moved =
            Counters { down_bytes: bytes, down_packets: bytes.min(1), ..Counters::default() };
        if let Some(number) = self.sessions.get(*id).and_then(|session| session.account) {
            self.accounts.get_mut(&AccountNumber(number)).unwrap().1 += bytes;
        }
        let (holder, counters) = self.kernel.get_mut(&slot).unwrap();
        *counters = *counters + moved;
        let truth = self.truth.entry(*holder).or_default();
        *truth = *truth + moved;
    }

    fn tick(&mut self) {
        self.now_ms += 1_000;
        let readings: Vec<(SessionId, Reading)> = self
            .sessions
            .metered()
            .into_iter()
            .map(|(id, slot)| (id, Reading { passed: self.kernel[&slot].1, ..Reading::default() }))
            .collect();
        let charges = self.charges();
        let mut decision = Decision::default();
        self.sessions.tick(&readings, &charges, self.now_ms, &mut decision);
        self.carry_out(decision);
    }

    fn charges(&self) -> Vec<Charge> {
        let charge = |(number, id)| match self.accounts.get(&number) {
            Some(&(whose, charged, quota)) if whose == id => {
                let is_used_up = quota.is_some_and(|quota| charged >= quota);
                let bit = if is_used_up { ebpf::layout::EventKind::QUOTA.bit() } else { 0 };
                Charge { charged, happened: Happened(bit) }
            }
            Some(_) | None => Charge::default(),
        };
        self.sessions.accounts().into_iter().map(charge).collect()
    }

    /// The process dies; `reboot` takes the kernel's memory with it.
    fn restart(&mut self, reboot: bool) {
        if reboot {
            self.kernel.clear();
            self.accounts.clear();
            // What was not reported before a power cut is not in anybody's books.
            for (id, truth) in &mut self.truth {
                *truth = self.books[id].0;
            }
        }
        let accounts = self.rows.values().filter_map(|row| Held::from_row(row)).collect();
        let rows = self.rows.values().filter_map(|row| {
            let mut kept = Session::from_row(row)?;
            if let Kept::Live(session) = &mut kept {
                session.catch_up(self.books[&session.id].0);
            }
            Some(kept)
        });
        let shape = Shape { down_kbps: Kbps::new(1).unwrap(), up_kbps: Kbps::new(1).unwrap() };
        let observed: Vec<Entry> = self
            .kernel
            .iter()
            .map(|(&slot, &(session, _))| Entry::of_device(slot, session, mac(0), shape))
            .collect();
        let rows: Vec<Kept> = rows.collect();
        let (sessions, decision) =
            Sessions::restore((rows, accounts), &observed, 64, PACE, (self.now_ms, 0));
        self.sessions = sessions;
        self.carry_out(decision);
    }

    fn close_all(&mut self) {
        self.refuse_installs = false;
        self.tick();
        let mut decision = Decision::default();
        self.sessions.desired(&snapshot(Vec::new()), self.now_ms, &mut decision);
        self.carry_out(decision);
    }
}

#[test]
fn devices_of_a_subscriber_share_its_data_and_end_together() {
    let mut world = World::new();
    let who = Arc::new(Subscriber { data_bytes: Some(1_000), ..subscriber("amina", 10_000) });
    let first = world.open_as(1, &who, "");
    let second = world.open_as(2, &who, "");
    world.traffic(1, 600);
    world.tick();
    assert_eq!(world.sessions.len(), 2);
    // Across a restart of the process, and a login in between.
    world.restart(false);
    world.traffic(2, 400);
    world.tick();
    assert!(world.sessions.is_empty());
    for (session, bytes) in [(first, 600), (second, 400)] {
        let (counters, cause) = world.books[&session];
        assert_eq!((counters.down_bytes, cause), (bytes, Some(Cause::SERVICE_UNAVAILABLE.0)));
    }
    // What is used up stays used up until more is said to be there.
    let third = world.open_as(1, &who, "");
    world.tick();
    assert!(world.books[&third].1.is_some());
    let more = Arc::new(Subscriber { data_bytes: Some(50), ..subscriber("amina", 10_000) });
    world.open_as(1, &more, "");
    world.traffic(1, 49);
    world.tick();
    assert_eq!(world.sessions.len(), 1);
}

#[test]
fn data_goes_on_in_the_walled_garden_where_that_is_wanted() {
    let mut world = World::new();
    let who = Subscriber {
        data_bytes: Some(100),
        used_up: shared::wire::latest::desired::UsedUp::Garden,
        ..subscriber("amina", 10_000)
    };
    world.open_as(1, &Arc::new(who), "");
    world.traffic(1, 100);
    world.tick();
    assert_eq!(world.sessions.len(), 1);
}

#[test]
fn a_session_is_opened_bound_to_its_accounting_and_stopped() {
    let mut world = World::new();
    let id = world.open(1, "amina");
    world.acct(AcctStatus::Start, |record| record.mac = Some(mac(1)));
    assert_eq!(world.sessions.get(id).unwrap().acct_session_id, "a1");
    world.traffic(1, 1_000);
    // What a NAS counts does not matter for a session that this host's kernel meters.
    let other = Counters { down_bytes: 7, ..Counters::default() };
    world.acct(AcctStatus::Interim, |record| record.counters = Some(other));
    world.acct(AcctStatus::Stop, |record| record.terminate_cause = 1);
    assert!(world.sessions.is_empty());
    let stopped = Counters { down_bytes: 1_000, down_packets: 1, ..Counters::default() };
    assert_eq!(world.books[&id], (stopped, Some(1)));
    assert!(world.rows.is_empty());
    // The NAS repeats itself: nothing more happens.
    world.acct(AcctStatus::Stop, |record| record.terminate_cause = 1);
    assert_eq!(world.books.len(), 1);
}

#[test]
fn a_device_that_logs_in_again_has_a_new_session_and_the_old_one_keeps_its_bytes() {
    let mut world = World::new();
    let first = world.open(1, "amina");
    world.traffic(1, 500);
    let second = world.open(1, "amina");
    world.traffic(1, 30);
    world.close_all();
    assert_eq!(world.books[&first].0.down_bytes, 500);
    assert_eq!(world.books[&first].1, Some(Cause::PORT_REINITIALIZED.0));
    assert_eq!(world.books[&second].0.down_bytes, 30);
}

#[test]
fn a_switch_that_looks_again_who_it_is_begins_no_other_session() {
    let mut world = World::new();
    let first = world.open_named(1, "amina", "a1");
    world.acct(AcctStatus::Start, |record| record.mac = Some(mac(1)));
    world.traffic(1, 500);
    let again = world.open_named(1, "amina", "a1");
    world.traffic(1, 30);
    assert!(world.sessions.get(first).is_some() && world.sessions.get(again).is_none());
    // Somebody else at that port, or another session of the NAS: the first one is over.
    for (who, named) in [("baraka", "a1"), ("baraka", "a2")] {
        let before = world.sessions.by_mac[&mac(1)];
        let other = world.open_named(1, who, named);
        assert!(world.sessions.get(before).is_none() && world.sessions.get(other).is_some());
    }
    world.close_all();
    assert_eq!(world.books[&first].0.down_bytes, 530);
    assert_eq!(world.books[&first].1, Some(Cause::PORT_REINITIALIZED.0));
}

#[test]
fn another_logins_accounting_does_not_end_a_bound_session() {
    let mut world = World::new();
    let id = world.open(1, "amina");
    world.acct(AcctStatus::Start, |record| record.mac = Some(mac(1)));
    world.acct(AcctStatus::Stop, |record| {
        record.mac = Some(mac(1));
        record.acct_session_id = "a0".to_owned();
    });
    assert!(world.sessions.get(id).is_some());
    // Nor does the same Acct-Session-Id at another NAS.
    world.acct(AcctStatus::Stop, |record| record.nas = nas("elsewhere"));
    assert!(world.sessions.get(id).is_some());
}

#[test]
fn a_nas_that_meters_itself_is_believed_and_never_backwards() {
    let mut world = World::new();
    let counted = |bytes| Counters { down_bytes: bytes, ..Counters::default() };
    let mut say = |status, bytes| {
        world.acct(status, |record| {
            record.metered_here = false;
            record.counters = Some(counted(bytes));
        });
    };
    // The Start was lost; the first Interim opens the session.
    say(AcctStatus::Interim, 100);
    say(AcctStatus::Interim, 300);
    say(AcctStatus::Interim, 200);
    // A Stop without counters does not set them to zero.
    say(AcctStatus::Stop, 0);
    assert_eq!(world.books.len(), 1);
    let book = world.books.values().next().unwrap();
    assert_eq!(*book, (counted(300), Some(Cause::NAS_REQUEST.0)));
}

#[test]
fn a_nas_that_restarts_has_no_sessions_left_and_others_keep_theirs() {
    let mut world = World::new();
    let id = world.open(1, "amina");
    world.acct(AcctStatus::On, |record| record.nas = nas("elsewhere"));
    assert!(world.sessions.get(id).is_some());
    world.acct(AcctStatus::Off, |_| {});
    assert_eq!(world.books[&id].1, Some(Cause::NAS_REBOOT.0));
}

#[test]
fn a_changed_plan_reaches_a_live_session_and_a_removed_subscriber_is_off_line() {
    let mut world = World::new();
    let (amina, brian) = (world.open(1, "amina"), world.open(2, "brian"));
    let mut decision = Decision::default();
    let wanted = snapshot(vec![subscriber("amina", 50_000)]);
    world.sessions.desired(&wanted, 5, &mut decision);
    let installs: Vec<u32> = decision
        .acts
        .iter()
        .filter_map(|act| match act {
            Act::Install(entry, _) => Some(entry.shape.down_kbps.get()),
            Act::Reply(_)
            | Act::Ask(_)
            | Act::Authorised(..)
            | Act::Answer(..)
            | Act::Applied(_) => None,
        })
        .collect();
    assert_eq!(installs, [50_000]);
    world.carry_out(decision);
    assert!(world.sessions.get(amina).is_some());
    assert_eq!(world.books[&brian].1, Some(Cause::ADMIN_RESET.0));
}

#[test]
fn limits_of_a_session_end_it_with_their_own_cause() {
    let check = |line: &str, bytes: u64, seconds: u64, cause: Cause| {
        let mut world = World::new();
        let id = world.open(1, "amina");
        let text = format!(
            "[[subscriber]]\nusername = \"amina\"\npassword = \"x\"\ndown_kbps = 10000\nup_kbps = 5000\n{line}"
        );
        let desired: Desired = toml::from_str(&text).unwrap();
        let mut decision = Decision::default();
        world.sessions.desired(&snapshot(desired.subscribers), 0, &mut decision);
        world.carry_out(decision);
        for second in 1..seconds {
            world.traffic(1, bytes);
            world.tick();
            assert!(world.sessions.get(id).is_some(), "{line}: still on-line after {second} s");
        }
        world.traffic(1, bytes);
        world.tick();
        assert_eq!(world.books[&id].1, Some(cause.0), "{line}");
    };
    check("session_timeout = 3", 1, 3, Cause::SESSION_TIMEOUT);
    check("online_seconds = 4\nsession_timeout = 60", 1, 4, Cause::SESSION_TIMEOUT);
    check("data_bytes = 500", 100, 5, Cause::SERVICE_UNAVAILABLE);
    check("idle_timeout = 2", 0, 2, Cause::IDLE_TIMEOUT);
}

#[test]
fn a_session_that_the_kernel_refuses_is_tried_again_and_counts_nothing_until_then() {
    let mut world = World::new();
    world.refuse_installs = true;
    let id = world.open(1, "amina");
    assert!(world.sessions.metered().is_empty());
    world.refuse_installs = false;
    world.tick();
    assert_eq!(world.sessions.metered().len(), 1);
    world.traffic(1, 10);
    world.close_all();
    assert_eq!(world.books[&id].0.down_bytes, 10);
}

#[test]
fn refused_logins_are_told_once_a_round_with_their_number() {
    let mut world = World::new();
    for _ in 0..3 {
        let username = "amina".to_owned();
        world.sessions.auth_failure(AuthFailure {
            nas: Arc::from("lab"),
            username,
            reason: "password",
        });
    }
    let mut decision = Decision::default();
    world.sessions.report(1, &mut decision);
    let told: Vec<u32> = decision
        .records
        .iter()
        .filter_map(|record| match &record.event {
            Some(Told::AuthFailures(failures)) => Some(failures.count),
            Some(_) | None => None,
        })
        .collect();
    assert_eq!(told, [3]);
}

#[derive(Clone, Debug)]
enum Step {
    Open(u8),
    Traffic(u8, u16),
    Tick,
    Stop(u8),
    Crash,
    Reboot,
    RefuseInstalls(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..4_u8).prop_map(Step::Open),
        6 => (0..4_u8, 1..2_000_u16).prop_map(|(device, bytes)| Step::Traffic(device, bytes)),
        3 => Just(Step::Tick),
        2 => (0..4_u8).prop_map(Step::Stop),
        1 => Just(Step::Crash),
        1 => Just(Step::Reboot),
        1 => any::<bool>().prop_map(Step::RefuseInstalls),
    ]
}

proptest! {
    /// Whatever happens in whatever order, every byte that passed is in the books of the session
    /// that it passed in, once.
    #[test]
    fn the_books_equal_the_kernel(steps in prop::collection::vec(step(), 0..60)) {
        let mut world = World::new();
        for step in steps {
            match step {
                Step::Open(device) => { world.open(device, "amina"); }
                Step::Traffic(device, bytes) => world.traffic(device, u64::from(bytes)),
                Step::Tick => world.tick(),
                Step::Stop(device) => world.acct(AcctStatus::Stop, |record| {
                    record.mac = Some(mac(device));
                    record.acct_session_id = format!("s{device}");
                }),
                Step::Crash => world.restart(false),
                Step::Reboot => world.restart(true),
                Step::RefuseInstalls(refuse) => world.refuse_installs = refuse,
            }
        }
        world.close_all();
        prop_assert!(world.sessions.is_empty());
        prop_assert!(world.rows.is_empty());
        for (id, (counters, cause)) in &world.books {
            prop_assert_eq!(*counters, world.truth.get(id).copied().unwrap_or_default());
            prop_assert!(cause.is_some());
        }
    }
}
