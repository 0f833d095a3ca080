//! What happens each second: readings, charges, limits, reports, second tries. Pure.

use shared::{
    id::SessionId,
    wire::latest::{
        journal,
        lease::{Answer, Question},
    },
};

use super::{Act, Cause, Decision, Sessions};
use crate::{
    dataplane::{AccountNumber, Charge, Reading},
    journal::Row,
};

impl Sessions {
    /// A round: readings of the data plane, in any order; limits, reports, second tries.
    pub fn tick(
        &mut self,
        readings: &[(SessionId, Reading)],
        charges: &[Charge],
        now_ms: u64,
        decision: &mut Decision,
    ) {
        for (id, reading) in readings {
            if let Some(session) = self.live.get_mut(id) {
                session.observe(reading.passed, now_ms);
                // The kernel lets nothing through any more.
                if reading.happened.is_over_time() {
                    decision.close(*id, Cause::SESSION_TIMEOUT);
                } else if reading.happened.was_idle() {
                    decision.close(*id, Cause::IDLE_TIMEOUT);
                }
            }
        }
        self.charged(charges, now_ms, decision);
        let exhausted: Vec<(SessionId, Cause)> = self
            .live
            .values()
            .filter_map(|session| {
                let cause = if session.is_metered_here() {
                    session.exhausted(now_ms)
                } else {
                    session.overdue(now_ms).or(session.unwanted)
                };
                Some((session.id, cause?))
            })
            .collect();
        for (id, cause) in exhausted {
            self.end(id, cause, now_ms, decision);
        }
        self.silent(now_ms, decision);
        self.settle(now_ms, decision);
        if now_ms.saturating_sub(self.reported_at_ms) >= self.pace.report_ms {
            self.report(now_ms, decision);
        }
        for id in &self.behind {
            let session = self.live.get(id);
            if let Some(entry) = session.and_then(|session| session.entry(self.boot_ms)) {
                decision
                    .accounts
                    .extend(session.and_then(|session| self.accounts.account(&session.username)));
                decision.acts.push(Act::Install(Box::new(entry), None));
            }
        }
    }

    /// Takes what was charged to accounts, as [`Self::accounts`] asked for it.
    pub fn charged(&mut self, charges: &[Charge], now_ms: u64, decision: &mut Decision) {
        let found = self.accounts.observe(charges, now_ms);
        for username in found.changed {
            decision.accounts.extend(self.accounts.account(&username));
        }
        for username in found.ended {
            let sessions = self.live.values().filter(|session| session.username == username);
            let metered = sessions.filter(|session| session.is_metered_here());
            let ids: Vec<SessionId> = metered.map(|session| session.id).collect();
            for id in ids {
                self.end(id, Cause::SERVICE_UNAVAILABLE, now_ms, decision);
            }
        }
    }

    /// The accounts whose charges are of interest, in the kernel's words.
    pub fn accounts(&self) -> Vec<(AccountNumber, u128)> {
        self.accounts.numbers()
    }

    /// Since this was asked last, is there something to ask the controller about quotas?
    pub const fn take_asks(&mut self) -> bool {
        self.accounts.take_asks()
    }

    /// What to ask it now.
    pub fn questions(&mut self, now_ms: u64) -> Vec<Question> {
        self.accounts.questions(now_ms)
    }

    /// What it has said: written down, and then brought to the kernel.
    pub fn leased(&mut self, answers: &[Answer], now_ms: u64, decision: &mut Decision) {
        for username in self.accounts.answered(answers, now_ms) {
            decision.account(&self.accounts, &username);
        }
    }

    /// When the data plane's clock began: the wall clock may be set in between.
    pub const fn set_boot(&mut self, boot_ms: u64) {
        self.boot_ms = boot_ms;
    }

    /// Writes down what every session has moved since the last time.
    pub fn report(&mut self, now_ms: u64, decision: &mut Decision) {
        self.reported_at_ms = now_ms;
        for session in self.live.values_mut() {
            if session.counters != session.reported && !decision.is_closing(session.id) {
                session.reported = session.counters;
                decision.record(now_ms, journal::Event::Usage(session.usage()));
                decision.put(session);
            }
        }
        // A NAS's numbers are written down when they come. Once in a while the row says, too, how far
        // they are: what a NAS says after a restart is then not taken for less.
        for session in self.live.values_mut() {
            if session.counters != session.kept && !session.is_metered_here() {
                session.kept = session.counters;
                decision.put(session);
            }
        }
        for held in self.accounts.take_charged() {
            decision.rows.push(Row::Put { session: held.key(), body: held.to_row() });
        }
        for failures in self.failures.drain() {
            decision.record(now_ms, journal::Event::AuthFailures(failures));
        }
    }
}
