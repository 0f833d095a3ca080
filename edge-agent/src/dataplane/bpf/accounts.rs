//! Accounts in the kernel: their rates, quotas and steps, and what was charged to them.

use ebpf::layout::{self, AccountState};
use shared::rate::Kbps;

use super::{
    Bpf,
    entry::{ACCOUNT_ID, account_rates, id_words, to_account},
};
use crate::dataplane::{
    Account, AccountNumber, Charge, Dataplane as _, DataplaneError, Happened, Slot,
    muscle::htb::Whose,
};

impl Bpf {
    pub(super) fn put_accounts(&mut self, accounts: &[Account]) -> Result<(), DataplaneError> {
        let mut rates = Vec::new();
        for account in accounts {
            let shape = account.shape.into_iter().chain(account.slow).next();
            rates.extend(
                shape.map(|shape| {
                    (Whose::Account(account.number), [shape.down_kbps, shape.up_kbps])
                }),
            );
        }
        self.muscle.set(&rates)?;
        for account in accounts {
            let at = Slot(account.number.0);
            let there: [u64; 2] = self.accounts.load(at, ACCOUNT_ID)?;
            if there != id_words(account.id) {
                self.account_states.store(at, &[0; AccountState::WORDS])?;
            }
            let words = to_account(account).words();
            let before: [u64; RATES] = self.accounts.load(at, 0)?;
            if words.get(..RATES) != Some(&before[..]) {
                let clocks = [AccountState::DOWN_CLEAR_AT, AccountState::UP_CLEAR_AT];
                for clock in clocks {
                    self.account_states.store_one(at, clock, 0)?;
                }
            }
            self.accounts.store(at, &words)?;
            let charged = self.account_states.load_one(at, AccountState::CHARGED)?;
            // What has not happened under the new terms is not to be found again.
            let mut over = 0;
            if account.quota.is_none_or(|quota| charged < quota) {
                over |= layout::EventKind::QUOTA.bit();
            }
            if account.step.is_none_or(|step| charged <= step) {
                over |= layout::EventKind::STEP.bit();
            }
            self.account_states.clear_bits(at, AccountState::EVENTS, over)?;
        }
        Ok(())
    }

    pub(super) fn read_charges(
        &self,
        accounts: &[(AccountNumber, u128)],
    ) -> Result<Vec<Charge>, DataplaneError> {
        let charge = |&(number, id): &(AccountNumber, u128)| {
            let at = Slot(number.0);
            let there: [u64; 2] = self.accounts.load(at, ACCOUNT_ID)?;
            if there != id_words(id) {
                return Ok(Charge::default());
            }
            Ok(Charge {
                charged: self.account_states.load_one(at, AccountState::CHARGED)?,
                happened: Happened(self.account_states.load_one(at, AccountState::EVENTS)?),
            })
        };
        accounts.iter().map(charge).collect()
    }

    /// Of all that is installed, for a queue that has been put anew.
    pub(super) fn rates(&self) -> Result<Vec<(Whose, [Kbps; 2])>, DataplaneError> {
        let entries = self.observe()?;
        let mut rates: Vec<_> =
            entries.iter().map(|entry| (Whose::Session(entry.slot), entry.rates())).collect();
        for number in 0..self.accounts.slots() {
            let account = layout::Account::from_words(self.accounts.load(Slot(number), 0)?);
            rates.extend(
                account_rates(&account).map(|it| (Whose::Account(AccountNumber(number)), it)),
            );
        }
        Ok(rates)
    }
}

/// The first words of an account are its rates.
const RATES: usize = 4;
