//! What the edge says about a session (pure).

use super::{halves, pair};

/// What the edge says about a slot. Two cache lines; as a rule the programs look at the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Session {
    /// A [`Class`]. One write changes what the next packet may do.
    pub class: u32,
    /// A [`Binding`].
    pub binding: u32,
    pub down: Limit,
    pub up: Limit,
    /// Number among accounts; zero: none.
    pub account: u32,
    /// Without a packet for so long, the session is over; zero: never.
    pub idle_ms: u32,
    /// On `CLOCK_MONOTONIC`: from then on the session is over; zero: never.
    pub until: u64,
    /// Its IPv4 address, bytes as on the wire; zero: not known.
    pub v4: u32,
    pub reserved: u32,
    /// In class [`Class::THROTTLED`].
    pub slow_down: Limit,
    pub slow_up: Limit,
    /// The session's UUID; zero: the slot was never used.
    pub id: [u64; 2],
    /// [`Device`](super::Device) of the session, also after it was taken out of
    /// [`DEVICES`](super::DEVICES); zero: it has none.
    pub device: u64,
    pub reserved_too: u64,
}

/// What a session may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Class(pub u32);

impl Class {
    pub const ACTIVE: Self = Self(0);
    pub const BLOCKED: Self = Self(1);
    /// As active, at the slow rates.
    pub const THROTTLED: Self = Self(2);
    /// No more than a device without a session: names, the portal, what the tenant allows.
    pub const GARDEN: Self = Self(3);
}

/// From which addresses a session may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Binding(pub u32);

impl Binding {
    /// From any that is not another session's.
    pub const FREE: Self = Self(0);
    /// Of IPv4, from those that [`ADDRESSES`](super::ADDRESSES) and [`PREFIXES`](super::PREFIXES)
    /// name.
    pub const V4: Self = Self(1);
    /// Of IPv6, likewise.
    pub const V6: Self = Self(2);
}

/// A rate limit in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Limit {
    /// [`clock::ns_per_byte`](crate::clock::ns_per_byte); zero: unlimited.
    pub ns_per_byte: u64,
    /// Goes into `skb->priority`: the HTB class that delays the packet.
    pub priority: u32,
    /// What was asked for; the programs do not read it.
    pub kbps: u32,
}

impl Session {
    pub const WORDS: usize = size_of::<Self>() / 8;

    #[expect(clippy::many_single_char_names, reason = "words of memory, in their order")]
    pub const fn words(&self) -> [u64; Self::WORDS] {
        let [high, low] = self.id;
        let ([a, b], [c, d]) = (self.down.words(), self.up.words());
        let ([e, f], [g, h]) = (self.slow_down.words(), self.slow_up.words());
        [
            pair(self.class, self.binding),
            a,
            b,
            c,
            d,
            pair(self.account, self.idle_ms),
            self.until,
            pair(self.v4, self.reserved),
            e,
            f,
            g,
            h,
            high,
            low,
            self.device,
            self.reserved_too,
        ]
    }

    #[expect(clippy::many_single_char_names, reason = "words of memory, in their order")]
    pub const fn from_words(words: [u64; Self::WORDS]) -> Self {
        let [class, a, b, c, d, account, until, v4, e, f, g, h, high, low, device, reserved_too] =
            words;
        let ((class, binding), (account, idle_ms)) = (halves(class), halves(account));
        let (v4, reserved) = halves(v4);
        Self {
            class,
            binding,
            down: Limit::from_words([a, b]),
            up: Limit::from_words([c, d]),
            account,
            idle_ms,
            until,
            v4,
            reserved,
            slow_down: Limit::from_words([e, f]),
            slow_up: Limit::from_words([g, h]),
            id: [high, low],
            device,
            reserved_too,
        }
    }
}

impl Limit {
    pub const fn words(&self) -> [u64; 2] {
        [self.ns_per_byte, pair(self.priority, self.kbps)]
    }

    pub const fn from_words([ns_per_byte, rest]: [u64; 2]) -> Self {
        let (priority, kbps) = halves(rest);
        Self { ns_per_byte, priority, kbps }
    }
}

const _: () = assert!(size_of::<Limit>() == 16);
const _: () = assert!(size_of::<Session>() == 128);
const _: () = assert!(core::mem::offset_of!(Session, slow_down) == 64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_goes_through_words_as_it_lies_in_memory() {
        let mut words = [0; Session::WORDS];
        for (number, word) in (1..).zip(&mut words) {
            *word = (number << 32) + number + 100;
        }
        let session = Session::from_words(words);
        assert_eq!(session.words(), words);
        assert_eq!((session.class, session.binding), (101, 1));
        assert_eq!(session.id, [(13 << 32) + 113, (14 << 32) + 114]);
    }
}
