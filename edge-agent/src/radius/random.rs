//! Octets that nobody can guess.

use rustls::crypto::{SecureRandom, ring};

#[derive(Clone, Copy, Debug)]
pub(super) struct Random(&'static dyn SecureRandom);

impl Random {
    pub(super) fn new() -> Self {
        Self(ring::default_provider().secure_random)
    }

    pub(super) fn fill<const N: usize>(self) -> [u8; N] {
        let mut octets = [0; N];
        self.fill_slice(&mut octets);
        octets
    }

    pub(super) fn fill_slice(self, octets: &mut [u8]) {
        self.0.fill(octets).expect("the kernel gives random octets once the machine has booted");
    }
}
