//! Identifiers: 256 for each server.

use super::Exchange;

/// The identifiers of one server.
#[derive(Debug)]
pub(super) struct Ids {
    holders: Box<[Option<Exchange>; 256]>,
    /// Where to look for a free one: one that was just freed comes last, so that a late reply
    /// seldom meets a new request.
    next: u8,
    pub(super) used: u16,
}

impl Default for Ids {
    fn default() -> Self {
        Self { holders: Box::new([None; 256]), next: 0, used: 0 }
    }
}

impl Ids {
    pub(super) fn take(&mut self, exchange: Exchange) -> Option<u8> {
        let from = self.next;
        let mut ids = (0..=u8::MAX).map(|step| from.wrapping_add(step));
        let id = ids.find(|&id| self.holder(id).is_none())?;
        self.set(id, Some(exchange));
        self.next = id.wrapping_add(1);
        self.used += 1;
        Some(id)
    }

    pub(super) fn give_back(&mut self, id: u8) {
        if self.holder(id).is_some() {
            self.used -= 1;
        }
        self.set(id, None);
    }

    pub(super) fn holder(&self, id: u8) -> Option<Exchange> {
        self.holders.get(usize::from(id)).copied().flatten()
    }

    fn set(&mut self, id: u8, holder: Option<Exchange>) {
        if let Some(place) = self.holders.get_mut(usize::from(id)) {
            *place = holder;
        }
    }
}
