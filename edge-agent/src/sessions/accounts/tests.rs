//! Quotas, leases, steps and time of accounts, without a kernel.

use shared::rate::Kbps;

use super::*;
use crate::dataplane::Happened;

fn shape(kbps: u32) -> Shape {
    let kbps = Kbps::new(kbps).unwrap();
    Shape { down_kbps: kbps, up_kbps: kbps }
}

fn amina() -> Subscriber {
    Subscriber { data_bytes: Some(1_000), ..Subscriber::new("amina".to_owned(), shape(10_000)) }
}

fn charged(bytes: u64) -> Charge {
    Charge { charged: bytes, happened: Happened::default() }
}

#[test]
fn devices_share_a_quota_and_it_goes_on_in_the_next_session() {
    let mut accounts = Accounts::new(8, Vec::new());
    let number = accounts.arrive(&amina(), 0).unwrap();
    assert_eq!(accounts.arrive(&amina(), 0), Some(number));
    assert_eq!(accounts.account("amina").unwrap().quota, Some(1_000));
    accounts.observe(&[charged(300)], 0);
    accounts.leave("amina", 0);
    accounts.leave("amina", 0);
    assert_eq!(accounts.account("amina"), None);
    let again = accounts.arrive(&amina(), 0).unwrap();
    assert_ne!(again, AccountNumber::SITE);
    assert_eq!(accounts.account("amina").unwrap().quota, Some(700));
    assert_eq!(accounts.get("amina").unwrap().left(), Some(700));
    assert_eq!(accounts.observe(&[charged(700)], 0).ended, ["amina"]);
}

#[test]
fn more_that_is_said_counts_from_then_on() {
    let mut accounts = Accounts::new(8, Vec::new());
    accounts.arrive(&amina(), 0);
    accounts.observe(&[charged(300)], 0);
    assert!(!accounts.want(&amina(), 0));
    assert!(accounts.want(&Subscriber { data_bytes: Some(5_000), ..amina() }, 0));
    assert_eq!(accounts.account("amina").unwrap().quota, Some(5_300));
}

#[test]
fn more_of_the_same_term_counts_what_was_used_and_the_next_term_does_not() {
    let of_term = |from, bytes| Subscriber {
        data_bytes: Some(bytes),
        counted_from_ms: Some(from),
        ..amina()
    };
    let mut accounts = Accounts::new(8, Vec::new());
    accounts.arrive(&of_term(7, 1_000), 0);
    accounts.observe(&[charged(300)], 0);
    assert!(accounts.want(&of_term(7, 5_000), 0));
    assert_eq!(accounts.get("amina").unwrap().left(), Some(4_700));
    // Renewed: as much as before, and nothing of it is used.
    assert!(accounts.want(&of_term(8, 5_000), 0));
    assert_eq!(accounts.get("amina").unwrap().left(), Some(5_000));
}

#[test]
fn steps_follow_each_other() {
    let step = |after_bytes, kbps| Step { after_bytes, shape: shape(kbps) };
    let amina = Subscriber {
        data_bytes: None,
        used_bytes: 100,
        together: Some(shape(50_000)),
        steps: vec![step(1_000, 2_000), step(5_000, 500)],
        ..amina()
    };
    let mut accounts = Accounts::new(8, Vec::new());
    accounts.arrive(&amina, 0);
    let account = accounts.account("amina").unwrap();
    assert_eq!((account.step, account.slow), (Some(900), Some(shape(2_000))));
    assert_eq!(account.shape, Some(shape(50_000)));
    let stepped = Charge { charged: 901, happened: Happened(ebpf::layout::EventKind::STEP.bit()) };
    assert_eq!(accounts.observe(&[stepped], 0).changed, ["amina"]);
    let account = accounts.account("amina").unwrap();
    assert_eq!((account.shape, account.step), (Some(shape(2_000)), Some(4_900)));
    accounts.observe(&[charged(6_000)], 0);
    let account = accounts.account("amina").unwrap();
    assert_eq!((account.shape, account.step), (Some(shape(500)), None));
}

#[test]
fn a_host_that_forgot_does_not_give_it_all_again() {
    let mut accounts = Accounts::new(8, Vec::new());
    accounts.arrive(&amina(), 0);
    accounts.observe(&[charged(300)], 0);
    let row = accounts.get("amina").unwrap().to_row();
    let mut accounts = Accounts::new(8, vec![Held::from_row(&row).unwrap()]);
    assert!(accounts.stays("amina", 0).is_some());
    assert_eq!(accounts.observe(&[charged(10)], 0).changed, ["amina"]);
    assert_eq!(accounts.account("amina").unwrap().quota, Some(700));
    assert_eq!(accounts.get("amina").unwrap().left(), Some(690));
}

#[test]
fn whose_sessions_are_lost_gives_the_number_back() {
    let mut accounts = Accounts::new(2, Vec::new());
    accounts.arrive(&amina(), 0);
    accounts.observe(&[charged(300)], 0);
    let kept = accounts.get("amina").unwrap().clone();
    let kept = Held::from_row(&kept.to_row()).unwrap();
    let mut accounts = Accounts::new(2, vec![kept]);
    accounts.sweep();
    assert!(accounts.numbers().is_empty());
    let other = Subscriber { username: "other".to_owned(), ..amina() };
    assert!(accounts.arrive(&other, 0).is_some());
    assert_eq!(accounts.get("amina").unwrap().left(), Some(700));
}

fn shared() -> Subscriber {
    Subscriber {
        id: Some(SubscriberId::from_uuid(uuid::Uuid::from_u128(7))),
        leased: true,
        counted_from_ms: Some(5),
        ..amina()
    }
}

fn answer(to: &Question, bytes: u64, free_bytes: u64, elsewhere_bytes: u64) -> Answer {
    let Question { subscriber, counted_from_ms, fence, .. } = *to;
    Answer { subscriber, counted_from_ms, fence, bytes, free_bytes, elsewhere_bytes }
}

fn used_up(bytes: u64) -> Charge {
    Charge { charged: bytes, happened: Happened(ebpf::layout::EventKind::QUOTA.bit()) }
}

#[test]
fn nothing_passes_that_is_not_leased_and_more_is_asked_for_in_time() {
    let mut accounts = Accounts::new(8, Vec::new());
    accounts.arrive(&shared(), 10);
    assert!(accounts.take_asks());
    assert_eq!(accounts.account("amina").unwrap().quota, Some(0));
    // Nobody has said yet that there is nothing.
    assert!(accounts.observe(&[used_up(0)], 10).ended.is_empty());
    let [first] = accounts.questions(10)[..] else { panic!("one") };
    assert_eq!((first.used_bytes, first.more_bytes), (0, 1_000));
    assert!(accounts.questions(11).is_empty(), "it is asked already");
    assert_eq!(accounts.answered(&[answer(&first, 600, 0, 400)], 20), ["amina"]);
    assert_eq!(accounts.account("amina").unwrap().quota, Some(600));
    assert_eq!(accounts.get("amina").unwrap().left(), Some(1_000));
    accounts.observe(&[charged(50)], 30);
    assert!(accounts.questions(30).is_empty(), "there is enough");
    accounts.observe(&[charged(100)], 40);
    let [second] = accounts.questions(40)[..] else { panic!("one") };
    assert_eq!((second.used_bytes, second.fence > first.fence), (100, true));
    // An answer to the first that comes once more says nothing any more.
    assert!(accounts.answered(&[answer(&first, 999, 0, 0)], 45).is_empty());
    // It is used up here, while another edge has the rest: who waits is not thrown out.
    assert!(accounts.answered(&[answer(&second, 600, 0, 400)], 50).is_empty());
    assert!(accounts.observe(&[used_up(600)], 60).ended.is_empty());
    let [third] = accounts.questions(50 + 5_000)[..] else { panic!("one") };
    assert_eq!(accounts.answered(&[answer(&third, 700, 0, 0)], 6_000), ["amina"]);
    assert_eq!(accounts.account("amina").unwrap().quota, Some(700));
    assert!(accounts.questions(60_000).is_empty(), "there is nothing more to ask for");
    assert_eq!(accounts.observe(&[used_up(700)], 60_001).ended, ["amina"]);
}

#[test]
fn who_has_gone_gives_back_what_nobody_uses() {
    let mut accounts = Accounts::new(8, Vec::new());
    accounts.arrive(&shared(), 10);
    let [first] = accounts.questions(10)[..] else { panic!("one") };
    accounts.answered(&[answer(&first, 600, 400, 0)], 20);
    accounts.observe(&[charged(250)], 30);
    let [open] = accounts.questions(30)[..] else { panic!("one") };
    accounts.leave("amina", 40);
    // What comes for a question of before is too late.
    assert!(accounts.answered(&[answer(&open, 1_000, 0, 0)], 45).is_empty());
    // Also after a restart it goes back.
    let row = accounts.get("amina").unwrap().to_row();
    let mut accounts = Accounts::new(8, vec![Held::from_row(&row).unwrap()]);
    let [back] = accounts.questions(50)[..] else { panic!("one") };
    assert_eq!((back.used_bytes, back.more_bytes), (250, 0));
    accounts.answered(&[answer(&back, 250, 750, 0)], 60);
    assert!(accounts.questions(100_000).is_empty());
    // Somebody comes: the next lease begins at what was used.
    accounts.arrive(&shared(), 70);
    assert_eq!(accounts.account("amina").unwrap().quota, Some(0));
    let [again] = accounts.questions(70)[..] else { panic!("one") };
    assert_eq!(again.used_bytes, 250);
    accounts.answered(&[answer(&again, 850, 150, 0)], 80);
    assert_eq!(accounts.account("amina").unwrap().quota, Some(600));
    assert_eq!(accounts.get("amina").unwrap().left(), Some(750));
}

#[test]
fn time_is_counted_once_for_all_devices_and_anew_for_another_term() {
    let of_term = |from| Subscriber {
        data_bytes: None,
        online_seconds: Some(100),
        counted_from_ms: Some(from),
        ..amina()
    };
    let left = |accounts: &Accounts, now_ms| accounts.left_seconds("amina", now_ms);
    let mut accounts = Accounts::new(8, Vec::new());
    accounts.arrive(&of_term(7), 1_000);
    accounts.arrive(&of_term(7), 11_000);
    assert_eq!(left(&accounts, 21_000), Some(80));
    accounts.leave("amina", 31_000);
    accounts.leave("amina", 41_500);
    // Nobody is on-line.
    assert_eq!(left(&accounts, 900_000), Some(60));
    let row = accounts.get("amina").unwrap().to_row();
    let mut accounts = Accounts::new(8, vec![Held::from_row(&row).unwrap()]);
    accounts.arrive(&of_term(7), 1_000_000);
    assert_eq!(left(&accounts, 1_010_000), Some(50));
    // Renewed: as much as before, from now on.
    assert!(accounts.want(&of_term(8), 1_020_000));
    assert_eq!(left(&accounts, 1_025_000), Some(95));
}
