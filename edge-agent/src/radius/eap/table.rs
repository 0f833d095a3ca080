//! Conversations between two packets: so many in all and of one NAS, and no longer than a while
//! (pure).

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    time::{Duration, Instant},
};

/// What a conversation is found by: the State attribute, which nobody can guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct State([u8; 16]);

impl State {
    pub(super) const fn new(random: [u8; 16]) -> Self {
        Self(random)
    }

    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        value.try_into().ok().map(Self)
    }

    pub(super) const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

#[derive(Debug)]
pub(super) struct Table<T> {
    by_state: HashMap<State, Waiting<T>>,
    /// Of each NAS, by number: the oldest first.
    by_nas: HashMap<IpAddr, BTreeMap<u64, State>>,
    /// All, by number.
    order: BTreeMap<u64, State>,
    next: u64,
}

#[derive(Debug)]
struct Waiting<T> {
    number: u64,
    nas: IpAddr,
    since: Instant,
    what: T,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { by_state: HashMap::new(), by_nas: HashMap::new(), order: BTreeMap::new(), next: 0 }
    }
}

impl<T> Table<T> {
    /// A conversation that waits for the next packet. When there are too many, the oldest of the
    /// NAS that has too many goes: no NAS takes another's place.
    pub(super) fn put(&mut self, now: Instant, nas: IpAddr, state: State, what: T) {
        self.remove(state);
        if self.of_nas(nas) >= OF_NAS_MAX {
            self.remove_oldest_of(nas);
        } else if self.by_state.len() >= ALL_MAX {
            let greediest = self.by_nas.iter().max_by_key(|(_, waiting)| waiting.len());
            if let Some(nas) = greediest.map(|(&nas, _)| nas) {
                self.remove_oldest_of(nas);
            }
        }
        self.next += 1;
        let number = self.next;
        self.by_nas.entry(nas).or_default().insert(number, state);
        self.order.insert(number, state);
        self.by_state.insert(state, Waiting { number, nas, since: now, what });
    }

    /// The conversation, if it is of this NAS and not too old.
    pub(super) fn take(&mut self, now: Instant, nas: IpAddr, state: State) -> Option<T> {
        let waiting = self.by_state.get(&state)?;
        if waiting.nas != nas {
            return None;
        }
        let waiting = self.remove(state)?;
        (now.saturating_duration_since(waiting.since) < PATIENCE).then_some(waiting.what)
    }

    /// Those that nobody has gone on with.
    pub(super) fn sweep(&mut self, now: Instant) -> Vec<T> {
        let mut left = Vec::new();
        while let Some((_, &state)) = self.order.first_key_value() {
            let is_old =
                |waiting: &Waiting<T>| now.saturating_duration_since(waiting.since) >= PATIENCE;
            if !self.by_state.get(&state).is_none_or(is_old) {
                break;
            }
            left.extend(self.remove(state).map(|waiting| waiting.what));
        }
        left
    }

    fn of_nas(&self, nas: IpAddr) -> usize {
        self.by_nas.get(&nas).map_or(0, BTreeMap::len)
    }

    fn remove_oldest_of(&mut self, nas: IpAddr) {
        let oldest = self.by_nas.get(&nas).and_then(|waiting| waiting.first_key_value());
        if let Some((_, &state)) = oldest {
            self.remove(state);
        }
    }

    fn remove(&mut self, state: State) -> Option<Waiting<T>> {
        let waiting = self.by_state.remove(&state)?;
        self.order.remove(&waiting.number);
        if let Some(of_nas) = self.by_nas.get_mut(&waiting.nas) {
            of_nas.remove(&waiting.number);
            if of_nas.is_empty() {
                self.by_nas.remove(&waiting.nas);
            }
        }
        Some(waiting)
    }
}

/// As long as a NAS waits for the peer (RFC 3748 §4.3 has it try again for half of that).
const PATIENCE: Duration = Duration::from_secs(30);

/// A site after a power cut: 1,000 devices log in at once. In the middle of a handshake one takes
/// some 20 KiB.
const OF_NAS_MAX: usize = 1024;

/// Four such sites.
const ALL_MAX: usize = 4 * OF_NAS_MAX;

#[cfg(test)]
mod tests {
    use super::*;

    fn nas(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn state(nas: u8, number: u32) -> State {
        let mut octets = [nas; 16];
        octets[..4].copy_from_slice(&number.to_be_bytes());
        State::new(octets)
    }

    #[test]
    fn a_conversation_goes_on_once_and_only_with_its_nas_in_time() {
        let (mut table, t0) = (Table::default(), Instant::now());
        table.put(t0, nas(1), state(1, 1), 'a');
        assert_eq!(table.take(t0, nas(2), state(1, 1)), None);
        assert_eq!(table.take(t0, nas(1), state(1, 2)), None);
        assert_eq!(table.take(t0, nas(1), state(1, 1)), Some('a'));
        assert_eq!(table.take(t0, nas(1), state(1, 1)), None);
        table.put(t0, nas(1), state(1, 1), 'b');
        assert_eq!(table.take(t0 + PATIENCE, nas(1), state(1, 1)), None);
        assert!(table.by_nas.is_empty() && table.order.is_empty());
    }

    #[test]
    fn who_does_not_go_on_is_forgotten() {
        let (mut table, t0) = (Table::default(), Instant::now());
        table.put(t0, nas(1), state(1, 1), 'a');
        table.put(t0 + PATIENCE / 2, nas(2), state(2, 1), 'b');
        assert_eq!(table.sweep(t0 + PATIENCE), ['a']);
        assert_eq!(table.by_state.len(), 1);
        assert_eq!(table.sweep(t0 + 2 * PATIENCE), ['b']);
        assert!(table.by_state.is_empty() && table.by_nas.is_empty() && table.order.is_empty());
    }

    #[test]
    fn a_nas_that_begins_too_many_loses_its_own_oldest() {
        let (mut table, t0) = (Table::default(), Instant::now());
        table.put(t0, nas(2), state(2, 0), 'b');
        for number in 0..10_000 {
            table.put(t0, nas(1), state(1, number), 'a');
        }
        assert_eq!(table.by_state.len(), OF_NAS_MAX + 1);
        assert_eq!(table.take(t0, nas(2), state(2, 0)), Some('b'));
        assert_eq!(table.take(t0, nas(1), state(1, 0)), None);
        assert_eq!(table.take(t0, nas(1), state(1, 9_999)), Some('a'));
    }

    #[test]
    fn many_greedy_nases_do_not_take_the_place_of_a_modest_one() {
        let (mut table, t0) = (Table::default(), Instant::now());
        table.put(t0, nas(200), state(200, 0), 'b');
        for number in 0..2_000 {
            for greedy in 0..16 {
                table.put(t0, nas(greedy), state(greedy, number), 'a');
            }
        }
        assert_eq!(table.by_state.len(), ALL_MAX);
        assert_eq!(table.order.len(), ALL_MAX);
        table.put(t0, nas(201), state(201, 0), 'c');
        assert_eq!(table.by_state.len(), ALL_MAX);
        assert_eq!(table.take(t0, nas(200), state(200, 0)), Some('b'));
        assert_eq!(table.take(t0, nas(201), state(201, 0)), Some('c'));
    }
}
