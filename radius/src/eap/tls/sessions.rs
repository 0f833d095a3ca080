//! TLS sessions that can be resumed, with who it was that authenticated in them.
//!
//! A session is kept only when its conversation has succeeded: who does not know a password
//! leaves nothing to come back to. This is the same for the session ids of TLS 1.2 and the
//! tickets of TLS 1.3, which are names of sessions here.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustls::server::StoresServerSessions;
use sha1::{Digest as _, Sha1};
use zeroize::Zeroizing;

use crate::eap::{Credential, packet::Kind};

/// A hash over what somebody had to prove: it changes with the password.
pub(super) type Proof = [u8; 20];

#[derive(Debug)]
pub(super) struct Sessions {
    seconds: u64,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    by_key: HashMap<Vec<u8>, Session>,
    /// The oldest first.
    order: BTreeMap<u64, Vec<u8>>,
    next: u64,
    octets: usize,
}

#[derive(Debug)]
struct Session {
    number: u64,
    /// A session of one method is not one of another: they prove different things.
    kind: Kind,
    born: u64,
    value: Zeroizing<Vec<u8>>,
    who: Who,
}

/// Who has authenticated in a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Who {
    pub(super) identity: String,
    proof: Proof,
}

impl Who {
    /// Would it still be let in with what it has proved?
    pub(super) fn is_still(&self, known: Option<Credential<'_>>) -> bool {
        known.is_some_and(|known| proof(&self.identity, known) == self.proof)
    }
}

/// Not secret: the password itself is where this is.
fn proof(identity: &str, known: Credential<'_>) -> Proof {
    let mut sha1 = Sha1::new_with_prefix(identity);
    match (known.password, known.nt_hash) {
        (Some(password), _) => sha1.update([&[0], password.as_bytes()].concat()),
        (None, Some(hash)) => sha1.update([&[1], &hash[..]].concat()),
        (None, None) => {}
    }
    sha1.finalize().into()
}

impl Sessions {
    pub(super) fn new(seconds: u32) -> Self {
        Self { seconds: u64::from(seconds), kept: Mutex::default() }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_valid(&self, session: &Session, kind: Kind, now: u64) -> bool {
        session.kind == kind && now.saturating_sub(session.born) < self.seconds
    }
}

impl Kept {
    fn insert(&mut self, key: Vec<u8>, session: Session) {
        self.remove(&key);
        self.octets += weight(&key, &session);
        self.order.insert(session.number, key.clone());
        self.by_key.insert(key, session);
        while self.octets > OCTETS_MAX {
            let Some((_, oldest)) = self.order.pop_first() else { break };
            self.remove(&oldest);
        }
    }

    fn remove(&mut self, key: &[u8]) -> Option<Session> {
        let session = self.by_key.remove(key)?;
        self.order.remove(&session.number);
        self.octets -= weight(key, &session);
        Some(session)
    }
}

fn weight(key: &[u8], session: &Session) -> usize {
    // The key is there twice; maps are at most half empty.
    2 * (key.len() + size_of::<Session>() + size_of::<Vec<u8>>())
        + session.value.len()
        + session.who.identity.len()
}

/// About 10,000 sessions of PEAP; fewer of EAP-TLS, which hold certificates.
const OCTETS_MAX: usize = 8 << 20;

/// The view that one connection has of the sessions.
#[derive(Debug)]
pub(super) struct Visit {
    sessions: Arc<Sessions>,
    kind: Kind,
    now: u64,
    found: Mutex<Found>,
}

#[derive(Debug, Default)]
struct Found {
    resumed: Option<(Vec<u8>, Who)>,
    fresh: Option<(Vec<u8>, Zeroizing<Vec<u8>>)>,
}

impl Visit {
    pub(super) fn new(sessions: &Arc<Sessions>, kind: Kind, now: u64) -> Self {
        Self { sessions: Arc::clone(sessions), kind, now, found: Mutex::default() }
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who it was in the session that this connection resumes.
    pub(super) fn resumed(&self) -> Option<Who> {
        self.found().resumed.as_ref().map(|(_, who)| who.clone())
    }

    /// The conversation has succeeded: who it was may come back.
    pub(super) fn keep(&self, identity: &str, known: Option<Credential<'_>>) {
        let Some((key, value)) = self.found().fresh.take() else { return };
        if self.sessions.seconds == 0 {
            return;
        }
        let proof = known.map_or([0; 20], |known| proof(identity, known));
        let who = Who { identity: identity.to_owned(), proof };
        let mut kept = self.sessions.kept();
        kept.next += 1;
        let session = Session { number: kept.next, kind: self.kind, born: self.now, value, who };
        kept.insert(key, session);
    }

    /// The session that was resumed is over: it is not to be resumed again.
    pub(super) fn forget(&self) {
        if let Some((key, _)) = self.found().resumed.take() {
            self.sessions.kept().remove(&key);
        }
    }
}

impl StoresServerSessions for Visit {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.found().fresh = Some((key, Zeroizing::new(value)));
        true
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let kept = self.sessions.kept();
        let session = kept.by_key.get(key)?;
        if !self.sessions.is_valid(session, self.kind, self.now) {
            return None;
        }
        self.found().resumed = Some((key.to_vec(), session.who.clone()));
        Some(session.value.to_vec())
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        let mut kept = self.sessions.kept();
        let session = kept.by_key.get(key)?;
        if !self.sessions.is_valid(session, self.kind, self.now) {
            return None;
        }
        let session = kept.remove(key)?;
        self.found().resumed = Some((key.to_vec(), session.who));
        Some(session.value.to_vec())
    }

    fn can_cache(&self) -> bool {
        self.sessions.seconds > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(password: &str) -> Credential<'_> {
        Credential { password: Some(password), nt_hash: None }
    }

    fn visit(sessions: &Arc<Sessions>, now: u64) -> Visit {
        Visit::new(sessions, Kind::PEAP, now)
    }

    /// A session of amina.
    fn sessions(seconds: u32) -> Arc<Sessions> {
        let sessions = Arc::new(Sessions::new(seconds));
        let first = visit(&sessions, 100);
        first.put(b"key".to_vec(), b"value".to_vec());
        first.keep("amina", Some(known("simba")));
        sessions
    }

    #[test]
    fn who_has_succeeded_may_come_back_for_a_time() {
        let sessions = sessions(60);
        let second = visit(&sessions, 159);
        assert_eq!(second.get(b"key"), Some(b"value".to_vec()));
        let who = second.resumed().unwrap();
        assert_eq!(who.identity, "amina");
        assert!(who.is_still(Some(known("simba"))));
        assert!(!who.is_still(Some(known("changed"))));
        assert!(!who.is_still(None));
        assert_eq!(visit(&sessions, 160).get(b"key"), None);
        assert_eq!(Visit::new(&sessions, Kind::TTLS, 101).get(b"key"), None);
        second.forget();
        assert_eq!(visit(&sessions, 101).get(b"key"), None);
    }

    #[test]
    fn a_session_that_is_taken_is_gone() {
        let sessions = sessions(60);
        assert_eq!(visit(&sessions, 101).take(b"key"), Some(b"value".to_vec()));
        assert_eq!(visit(&sessions, 101).take(b"key"), None);
        assert_eq!(sessions.kept().octets, 0);
        assert!(sessions.kept().order.is_empty());
    }

    #[test]
    fn who_has_not_succeeded_leaves_nothing() {
        let sessions = Arc::new(Sessions::new(60));
        visit(&sessions, 100).put(b"key".to_vec(), b"value".to_vec());
        assert_eq!(visit(&sessions, 100).get(b"key"), None);
    }

    #[test]
    fn the_oldest_sessions_make_room() {
        let sessions = Arc::new(Sessions::new(60));
        for number in 0..100_000_u32 {
            let one = visit(&sessions, 100);
            one.put(number.to_be_bytes().to_vec(), vec![0; 200]);
            one.keep("amina", Some(known("simba")));
        }
        let kept = sessions.kept();
        assert!(kept.octets <= OCTETS_MAX);
        assert!(kept.by_key.len() > 5_000, "{}", kept.by_key.len());
        assert_eq!(kept.by_key.len(), kept.order.len());
        assert!(kept.by_key.contains_key(&99_999_u32.to_be_bytes()[..]));
        assert!(!kept.by_key.contains_key(&0_u32.to_be_bytes()[..]));
    }
}
