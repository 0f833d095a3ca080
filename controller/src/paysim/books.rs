//! The provider's own books: what really moved. Pure.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde::Serialize;

/// Money that was moved.
#[derive(Clone, Debug, Serialize)]
pub struct Moved {
    pub receipt: String,
    pub shortcode: String,
    pub msisdn: String,
    pub cents: i64,
    pub reference: String,
    pub at: Timestamp,
    /// Given back since.
    pub reversed: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Books {
    taken_in: Vec<Moved>,
    by_receipt: HashMap<String, usize>,
    /// By the id that it was asked for with.
    paid_out: BTreeMap<String, Moved>,
}

/// What the books say together.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Balance {
    pub taken_in: BTreeMap<String, Sum>,
    pub paid_out: Sum,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Sum {
    pub count: u64,
    pub cents: i64,
    pub reversed_cents: i64,
}

impl Books {
    pub(super) fn take_in(&mut self, moved: Moved) {
        self.by_receipt.insert(moved.receipt.clone(), self.taken_in.len());
        self.taken_in.push(moved);
    }

    pub(super) fn pay_out(&mut self, id: String, moved: Moved) {
        self.paid_out.insert(id, moved);
    }

    pub(super) fn paid_out(&self, id: &str) -> Option<&Moved> {
        self.paid_out.get(id)
    }

    pub(super) fn taken_in(&self) -> &[Moved] {
        &self.taken_in
    }

    pub(super) fn find(&self, receipt: &str) -> Option<&Moved> {
        self.taken_in.get(*self.by_receipt.get(receipt)?)
    }

    pub(super) fn find_mut(&mut self, receipt: &str) -> Option<&mut Moved> {
        let at = self.by_receipt.get(receipt)?;
        self.taken_in.get_mut(*at)
    }

    pub(super) fn balance(&self) -> Balance {
        let mut balance = Balance::default();
        for moved in &self.taken_in {
            let sum = balance.taken_in.entry(moved.shortcode.clone()).or_default();
            sum.count += 1;
            sum.cents += moved.cents;
            sum.reversed_cents += if moved.reversed { moved.cents } else { 0 };
        }
        for moved in self.paid_out.values() {
            balance.paid_out.count += 1;
            balance.paid_out.cents += moved.cents;
        }
        balance
    }
}
