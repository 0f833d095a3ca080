//! How often somebody may try a password (pure).

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use shared::net::Mac;

/// Who guesses, and whose password is guessed: both are slowed down.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Who {
    Device(Mac),
    Username(String),
}

/// Token buckets as clocks: a try takes its share of the time to come.
#[derive(Debug, Default)]
pub(super) struct Tries {
    /// When the allowance is whole again; who is not here has all of it.
    whole_at: HashMap<Who, Instant>,
}

impl Tries {
    /// May it be tried once more?
    pub(super) fn take(&mut self, who: Who, now: Instant) -> bool {
        let burst = match who {
            Who::Device(_) => DEVICE_BURST,
            Who::Username(_) => USERNAME_BURST,
        };
        let whole_at = self.whole_at.get(&who).map_or(now, |&at| at.max(now)) + STEP;
        if whole_at > now + STEP * burst {
            return false;
        }
        if self.whole_at.len() >= KEPT_MAX && !self.whole_at.contains_key(&who) {
            self.make_room(now);
        }
        self.whole_at.insert(who, whole_at);
        true
    }

    /// Forgets those who have all of their allowance again, or at least who is nearest to it.
    fn make_room(&mut self, now: Instant) {
        self.whole_at.retain(|_, at| *at > now);
        if self.whole_at.len() >= KEPT_MAX {
            let nearest = self.whole_at.iter().min_by_key(|(_, at)| **at);
            if let Some(who) = nearest.map(|(who, _)| who.clone()) {
                self.whole_at.remove(&who);
            }
        }
    }
}

/// One try comes back after this time.
const STEP: Duration = Duration::from_secs(10);

/// Tries at once: of somebody who looks for the slip of paper, and of a family with one name.
const DEVICE_BURST: u32 = 5;
const USERNAME_BURST: u32 = 10;

/// About a megabyte.
const KEPT_MAX: usize = 8_192;

#[cfg(test)]
mod tests {
    use super::*;

    fn device(n: u32) -> Who {
        let mut mac = [2; 6];
        mac[2..].copy_from_slice(&n.to_be_bytes());
        Who::Device(Mac(mac))
    }

    fn taken(tries: &mut Tries, who: &Who, now: Instant) -> usize {
        (0..100).filter(|_| tries.take(who.clone(), now)).count()
    }

    #[test]
    fn a_device_has_five_tries_and_one_more_every_ten_seconds() {
        let (mut tries, t0) = (Tries::default(), Instant::now());
        assert_eq!(taken(&mut tries, &device(1), t0), 5);
        assert_eq!(taken(&mut tries, &device(2), t0), 5);
        assert_eq!(taken(&mut tries, &device(1), t0 + Duration::from_millis(9_999)), 0);
        assert_eq!(taken(&mut tries, &device(1), t0 + STEP), 1);
        assert_eq!(taken(&mut tries, &device(1), t0 + 100 * STEP), 5);
    }

    #[test]
    fn a_username_is_slowed_down_whoever_guesses() {
        let (mut tries, t0) = (Tries::default(), Instant::now());
        assert_eq!(taken(&mut tries, &Who::Username("amina".to_owned()), t0), 10);
        assert_eq!(taken(&mut tries, &Who::Username("brian".to_owned()), t0), 10);
    }

    #[test]
    fn a_flood_of_devices_takes_no_more_room_and_frees_nobody_who_has_tried_more() {
        let (mut tries, t0) = (Tries::default(), Instant::now());
        assert_eq!(taken(&mut tries, &device(0), t0), 5);
        for n in 1..10_000 {
            assert!(tries.take(device(n), t0));
        }
        assert_eq!(tries.whole_at.len(), KEPT_MAX);
        assert!(!tries.take(device(0), t0));
        assert!(tries.take(device(99_999), t0 + STEP));
        assert!(tries.whole_at.len() < 10, "those who have waited are forgotten");
    }
}
