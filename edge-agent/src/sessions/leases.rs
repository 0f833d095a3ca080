//! Simultaneous use: which devices of a subscriber are on-line, and whether there is room for one
//! more.
//!
//! An Access-Accept takes a lease for its device, and the session that comes of it holds it. The
//! same device takes its own lease again, so that nobody locks himself out, and a lease of which
//! nobody speaks any more runs out. Who decides is whoever holds the lock: two logins cannot both
//! take the last one.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use shared::{id::SessionId, net::Mac};

use super::event::Place;

/// A change of who is on-line with which device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lease {
    /// `lasting` until something else is said of it; `None`: until it is given back.
    Held {
        username: String,
        device: Device,
        session: SessionId,
        lasting: Option<Duration>,
    },
    GivenBack(SessionId),
}

/// What is told from another by what a NAS says of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Device {
    Mac(Mac),
    /// A port of a NAS.
    Port {
        nas: Arc<str>,
        nas_identifier: String,
        port: u32,
        port_id: String,
    },
    /// Only its session has a name.
    Session {
        nas: Arc<str>,
        acct_session_id: String,
    },
}

impl Device {
    /// `None` if nothing tells it from another.
    pub fn of(
        mac: Option<Mac>,
        nas: &Arc<str>,
        place: &Place,
        acct_session_id: &str,
    ) -> Option<Self> {
        if let Some(mac) = mac {
            return Some(Self::Mac(mac));
        }
        let nas = Arc::clone(nas);
        if let Some(port) = place.port {
            let (nas_identifier, port_id) = (place.nas_identifier.clone(), place.port_id.clone());
            return Some(Self::Port { nas, nas_identifier, port, port_id });
        }
        let acct_session_id = acct_session_id.to_owned();
        (!acct_session_id.is_empty()).then_some(Self::Session { nas, acct_session_id })
    }
}

/// For how long a device counts as on-line whose NAS says nothing: three reports. A NAS that lost
/// its power locks nobody out for longer.
pub const LEASE: Duration = Duration::from_secs(200);

#[derive(Debug, Default)]
pub struct Leases(Mutex<Table>);

/// Pure.
#[derive(Debug, Default)]
struct Table {
    /// By username.
    held: HashMap<String, Vec<Held>>,
    by_session: HashMap<SessionId, String>,
}

#[derive(Debug)]
struct Held {
    /// `None` is not the same as any other.
    device: Option<Device>,
    session: Option<SessionId>,
    /// `None`: until its session gives it back.
    until: Option<Instant>,
}

/// A subscriber's devices are as many as may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{on_line} devices are on-line, and {allowed} may be")]
pub struct Full {
    pub on_line: usize,
    pub allowed: u32,
}

/// How long a device that was let in has until its NAS says that its session has begun.
pub const UNCONFIRMED: Duration = Duration::from_mins(1);

impl Leases {
    /// Lets a device of a subscriber in who may have `allowed` at once.
    pub fn take(
        &self,
        username: &str,
        device: Option<Device>,
        allowed: u32,
        now: Instant,
    ) -> Result<(), Full> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.take(username, device, allowed, now)
    }

    /// What the sessions say of leases.
    pub fn apply(&self, changes: impl IntoIterator<Item = Lease>, now: Instant) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            table.apply(change, now);
        }
    }
}

impl Table {
    fn take(
        &mut self,
        username: &str,
        device: Option<Device>,
        allowed: u32,
        now: Instant,
    ) -> Result<(), Full> {
        let until = Some(now + UNCONFIRMED);
        if !self.held.contains_key(username) {
            self.held.insert(username.to_owned(), Vec::new());
        }
        let Some(held) = self.held.get_mut(username) else { return Ok(()) };
        held.retain(|one| one.until.is_none_or(|until| until > now));
        if let Some(own) =
            device.as_ref().and_then(|_| held.iter_mut().find(|one| one.device == device))
        {
            own.until = own.until.max(until).filter(|_| own.until.is_some());
            return Ok(());
        }
        if usize::try_from(allowed).is_ok_and(|allowed| held.len() >= allowed) {
            let on_line = held.len();
            if on_line == 0 {
                self.held.remove(username);
            }
            return Err(Full { on_line, allowed });
        }
        held.push(Held { device, session: None, until });
        Ok(())
    }

    fn apply(&mut self, change: Lease, now: Instant) {
        match change {
            Lease::Held { username, device, session, lasting } => {
                let until = lasting.map(|lasting| now + lasting);
                let held = self.held.entry(username.clone()).or_default();
                let device = Some(device);
                match held.iter_mut().find(|one| one.device == device) {
                    Some(own) => {
                        if let Some(before) = own.session.replace(session)
                            && before != session
                        {
                            self.by_session.remove(&before);
                        }
                        own.until = until;
                    }
                    None => held.push(Held { device, session: Some(session), until }),
                }
                self.by_session.insert(session, username);
            }
            Lease::GivenBack(session) => {
                let Some(username) = self.by_session.remove(&session) else { return };
                let Some(held) = self.held.get_mut(&username) else { return };
                held.retain(|one| one.session != Some(session));
                if held.is_empty() {
                    self.held.remove(&username);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn device(n: u8) -> Device {
        Device::Mac(Mac([2, 0, 0, 0, 0, n]))
    }

    fn session(n: u8) -> SessionId {
        SessionId::from_uuid(Uuid::from_u128(u128::from(n)))
    }

    fn held(n: u8, lasting: Option<Duration>) -> Lease {
        let username = "amina".to_owned();
        Lease::Held { username, device: device(n), session: session(n), lasting }
    }

    #[test]
    fn the_second_device_waits_for_the_first_and_the_first_never_for_itself() {
        let (leases, t0) = (Leases::default(), Instant::now());
        let take = |n, now| leases.take("amina", Some(device(n)), 1, now);
        assert_eq!(take(1, t0), Ok(()));
        assert_eq!(take(1, t0), Ok(()));
        assert_eq!(take(2, t0), Err(Full { on_line: 1, allowed: 1 }));
        assert_eq!(leases.take("brian", Some(device(2)), 1, t0), Ok(()));
        leases.apply([held(1, None)], t0);
        let later = t0 + 10 * UNCONFIRMED;
        assert_eq!(take(2, later), Err(Full { on_line: 1, allowed: 1 }));
        assert_eq!(take(1, later), Ok(()));
        leases.apply([Lease::GivenBack(session(1))], later);
        assert_eq!(take(2, later), Ok(()));
    }

    #[test]
    fn a_login_that_came_to_nothing_is_forgotten() {
        let (leases, t0) = (Leases::default(), Instant::now());
        assert_eq!(leases.take("amina", Some(device(1)), 1, t0), Ok(()));
        assert!(leases.take("amina", Some(device(2)), 1, t0 + UNCONFIRMED / 2).is_err());
        assert_eq!(leases.take("amina", Some(device(2)), 1, t0 + UNCONFIRMED), Ok(()));
    }

    #[test]
    fn a_nas_that_lost_its_power_locks_nobody_out() {
        let (leases, t0) = (Leases::default(), Instant::now());
        let lasting = Duration::from_secs(200);
        leases.apply([held(1, Some(lasting))], t0);
        leases.apply([held(1, Some(lasting))], t0 + lasting / 2);
        let at = t0 + lasting;
        assert!(leases.take("amina", Some(device(2)), 1, at).is_err(), "it was heard of meanwhile");
        let at = t0 + lasting + lasting / 2;
        assert_eq!(leases.take("amina", Some(device(2)), 1, at), Ok(()));
    }

    #[test]
    fn an_older_session_of_a_device_does_not_give_back_the_newer_ones_lease() {
        let (leases, t0) = (Leases::default(), Instant::now());
        leases.apply([held(1, None)], t0);
        let newer = Lease::Held {
            username: "amina".to_owned(),
            device: device(1),
            session: session(9),
            lasting: None,
        };
        leases.apply([newer, Lease::GivenBack(session(1))], t0);
        assert!(leases.take("amina", Some(device(2)), 1, t0).is_err());
        leases.apply([Lease::GivenBack(session(9))], t0);
        assert!(leases.take("amina", Some(device(2)), 1, t0).is_ok());
    }

    #[test]
    fn what_nothing_tells_apart_counts_each_time() {
        let (leases, t0) = (Leases::default(), Instant::now());
        assert_eq!(leases.take("amina", None, 2, t0), Ok(()));
        assert_eq!(leases.take("amina", None, 2, t0), Ok(()));
        assert!(leases.take("amina", None, 2, t0).is_err());
    }

    #[test]
    fn of_many_at_once_as_many_come_in_as_may() {
        let leases = Leases::default();
        let t0 = Instant::now();
        let let_in: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8_u8)
                .map(|thread| {
                    let leases = &leases;
                    scope.spawn(move || {
                        let mine = (0..16).map(|n| device(thread * 16 + n));
                        mine.filter(|one| leases.take("amina", Some(one.clone()), 3, t0).is_ok())
                            .count()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(let_in, 3);
    }

    proptest! {
        /// Never more than allowed are let in that are not given back, and nothing is left of
        /// those who are gone.
        #[test]
        fn there_are_never_more_than_may_be(
            steps in prop::collection::vec((0..3_u8, 0..6_u8, 0..90_u64), 1..200),
            allowed in 1..4_u32,
        ) {
            let mut table = Table::default();
            let mut now = Instant::now();
            for (what, n, seconds) in steps {
                now += Duration::from_secs(seconds);
                match what {
                    0 => {
                        if table.take("amina", Some(device(n)), allowed, now).is_ok() {
                            table.apply(held(n, None), now);
                        }
                    }
                    1 => { let _ = table.take("amina", Some(device(n)), allowed, now); }
                    _ => table.apply(Lease::GivenBack(session(n)), now),
                }
                let held = table.held.get("amina").map_or(0, |held| {
                    held.iter().filter(|one| one.until.is_none_or(|until| until > now)).count()
                });
                prop_assert!(held <= usize::try_from(allowed).unwrap());
            }
            for n in 0..6 {
                table.apply(Lease::GivenBack(session(n)), now);
            }
            prop_assert!(table.by_session.is_empty());
            let later = now + UNCONFIRMED;
            for n in 0..u8::try_from(allowed).unwrap() {
                prop_assert!(table.take("amina", Some(device(100 + n)), allowed, later).is_ok());
            }
        }
    }
}
