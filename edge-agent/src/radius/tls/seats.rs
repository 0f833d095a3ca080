//! How many connections there may be: of one address, of one NAS, of all (pure).

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

/// Taken seats, by who sits there.
#[derive(Clone, Debug, Default)]
pub(super) struct Seats(Arc<Mutex<HashMap<Guest, usize>>>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Guest {
    /// A connection.
    Anybody,
    /// Somebody whose certificate has not been seen.
    Stranger,
    Source(IpAddr),
    Nas(Arc<str>),
}

impl Guest {
    const fn seats(&self) -> usize {
        match self {
            Self::Anybody => CONNECTIONS_MAX,
            Self::Stranger => HANDSHAKES_MAX,
            Self::Source(_) | Self::Nas(_) => PER_NAS_MAX,
        }
    }
}

/// As many as a large site's proxies keep open; each has some 10 KiB of buffers.
const CONNECTIONS_MAX: usize = 1024;

/// Strangers cannot take the seats of those who are known.
const HANDSHAKES_MAX: usize = 128;

/// A pool of connections of one NAS or proxy. FreeRADIUS opens up to 32.
const PER_NAS_MAX: usize = 64;

/// Free again when it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Seats,
    guest: Guest,
}

impl Seats {
    pub(super) fn take(&self, guest: Guest) -> Option<Seat> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(guest.clone()).or_default();
        if *count >= guest.seats() {
            return None;
        }
        *count += 1;
        drop(taken);
        Some(Seat { seats: self.clone(), guest })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.guest) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.guest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_guest_cannot_take_the_seats_of_another() {
        let seats = Seats::default();
        let guest = |octet| Guest::Source(IpAddr::from([192, 0, 2, octet]));
        let mut taken: Vec<_> =
            std::iter::from_fn(|| seats.take(guest(1))).take(PER_NAS_MAX + 1).collect();
        assert_eq!(taken.len(), PER_NAS_MAX);
        assert!(seats.take(guest(1)).is_none());
        taken.extend(seats.take(guest(2)));
        assert_eq!(taken.len(), PER_NAS_MAX + 1);
        taken.swap_remove(0);
        assert!(seats.take(guest(1)).is_some());
        taken.clear();
        assert!(seats.0.lock().unwrap().is_empty());
    }
}
