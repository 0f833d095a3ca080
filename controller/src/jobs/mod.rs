//! What is done at its time, whether anybody asks or not: billing rounds, nights.
//!
//! A job is a row, known by its key, so that asking for it twice is asking once. Whoever takes it
//! has it for a while (a lease): a controller that dies with it loses it to another, and one that
//! comes back late cannot say any more that it is done. What a job does is in transactions of its
//! own that change nothing twice; the frame only sees to it that it is tried until it succeeds.

pub mod http;
mod store;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use shared::{daemon::Chain, id::TenantId};
use uuid::Uuid;

use crate::{
    actor::Actor,
    clock,
    closings::{ClosingError, Closings},
    db::{Db, StoreError},
    periods::{PeriodError, Periods},
    words::choices,
};

choices! {
    /// What there is to do.
    Kind {
        // A day is over: what was sold for it is earned, vouchers that nobody used are too.
        Night = "billing.night",
        // Looks at every subscription that is due.
        Round = "billing.round",
    }
}

/// A job as it stands.
#[derive(Clone, Debug)]
pub struct Job {
    pub kind: String,
    pub key: String,
    /// The time that it is about.
    pub due_at: Timestamp,
    /// When it is tried next.
    pub try_at: Timestamp,
    pub attempts: i32,
    pub last_error: Option<String>,
    pub done_at: Option<Timestamp>,
}

/// A job that is ours for a while.
#[derive(Clone, Debug)]
struct Taken {
    tenant: TenantId,
    kind: Kind,
    key: String,
    due_at: Timestamp,
    attempts: u32,
    lease: Uuid,
}

/// What time it is, and how often a round is worth it.
#[derive(Clone, Copy, Debug)]
enum Clock {
    Wall,
    /// A time that is given; no round sooner after another than so.
    Given(Timestamp, SignedDuration),
}

impl Clock {
    fn now(self) -> Timestamp {
        match self {
            Self::Wall => clock::now(),
            Self::Given(now, _) => now,
        }
    }

    /// How long a job is ours, unless we say that we still have it. A clock that is given does not
    /// wait for who died: there is nobody else.
    const fn lease(self) -> SignedDuration {
        match self {
            Self::Wall => LEASE,
            Self::Given(..) => SignedDuration::ZERO,
        }
    }

    /// When to look again, if something is due then.
    fn next(self, due: Option<Timestamp>) -> Timestamp {
        let now = self.now();
        let (least, most) = match self {
            Self::Wall => (SignedDuration::from_secs(1), SignedDuration::from_mins(1)),
            Self::Given(_, step) => (step, SignedDuration::from_hours(24)),
        };
        let later = |by| now.saturating_add(by).unwrap_or(now);
        due.map_or(later(most), |due| due.clamp(later(least), later(most.max(least))))
    }
}

/// What a run with a given clock did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ran {
    pub jobs: u64,
    pub failed: u64,
    /// Subscriptions that were looked at.
    pub looked: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum JobError {
    #[error("a billing round failed")]
    Round(#[from] PeriodError),
    #[error("a night failed")]
    Night(#[from] ClosingError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Runs what is due. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Jobs {
    db: Db,
    periods: Periods,
    closings: Closings,
}

impl Jobs {
    pub const fn new(db: Db, periods: Periods, closings: Closings) -> Self {
        Self { db, periods, closings }
    }

    /// Of one tenant, those that wait before those that are done.
    pub async fn list(&self, actor: &Actor) -> Result<Vec<Job>, StoreError> {
        store::list(&mut self.db.staff(actor).await?, actor.tenant).await
    }

    /// By the clock on the wall, until it is cancelled. Several controllers may.
    pub async fn run(self) {
        tokio::join!(self.work(), self.work());
    }

    async fn work(&self) {
        loop {
            match self.step(Clock::Wall).await {
                Ok(Some(_)) => {}
                Ok(None) => tokio::time::sleep(POLL).await,
                Err(error) => {
                    tracing::error!(error = %Chain(&error), "no job can be taken");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    /// From one time to another, as if it were then: each job at its time, one after the other.
    /// Rounds are at least `step` apart. The same start leads to the same end.
    pub async fn run_between(
        &self,
        from: Timestamp,
        until: Timestamp,
        step: SignedDuration,
    ) -> Result<Ran, JobError> {
        let (mut now, mut ran) = (from, Ran::default());
        loop {
            while let Some(one) = self.step(Clock::Given(now, step)).await? {
                ran.jobs += one.jobs;
                ran.failed += one.failed;
                ran.looked += one.looked;
            }
            match store::next(&self.db).await? {
                Some(next) if next <= until => now = now.max(next),
                Some(_) | None => return Ok(ran),
            }
        }
    }

    /// Takes one job and does it. None: nothing is due.
    async fn step(&self, clock: Clock) -> Result<Option<Ran>, StoreError> {
        let now = clock.now();
        store::wake(&self.db, now).await?;
        let Some(taken) = store::take(&self.db, Uuid::now_v7(), now, clock.lease()).await? else {
            return Ok(None);
        };
        let mut ran = Ran { jobs: 1, ..Ran::default() };
        let done = {
            let work = self.work_on(&taken, clock, &mut ran);
            tokio::pin!(work);
            loop {
                tokio::select! {
                    done = &mut work => break done,
                    () = tokio::time::sleep(LEASE_RENEW) => {
                        store::keep(&self.db, &taken, clock.now(), clock.lease()).await?;
                    }
                }
            }
        };
        match done {
            Ok(next) => {
                store::done(&self.db, &taken, next, clock.now()).await?;
            }
            Err(error) => {
                ran.failed = 1;
                let (wait, error) = (backoff(taken.attempts), Chain(&error).to_string());
                tracing::error!(
                    tenant.id = %taken.tenant, job = taken.kind.as_str(), attempts = taken.attempts,
                    error, "a job failed; again in {wait:#}"
                );
                let again = clock.now().saturating_add(wait).unwrap_or(now);
                store::failed(&self.db, &taken, again, &error).await?;
            }
        }
        Ok(Some(ran))
    }

    /// When it is to be done again.
    async fn work_on(
        &self,
        taken: &Taken,
        clock: Clock,
        ran: &mut Ran,
    ) -> Result<Option<Timestamp>, JobError> {
        match taken.kind {
            Kind::Round => {
                let round = self.periods.round(taken.tenant, clock.now()).await?;
                ran.looked += round.looked;
                Ok(Some(clock.next(round.next)))
            }
            Kind::Night => Ok(Some(self.closings.night(taken.tenant, taken.due_at).await?)),
        }
    }
}

/// Ten seconds, then twice as long each time, up to an hour. Pure.
fn backoff(attempts: u32) -> SignedDuration {
    let doubled = 10_i64.saturating_mul(1 << attempts.saturating_sub(1).min(20));
    SignedDuration::from_secs(doubled.min(3600))
}

const LEASE: SignedDuration = SignedDuration::from_mins(5);
const LEASE_RENEW: Duration = Duration::from_mins(1);
/// Who has paid waits for it.
const POLL: Duration = Duration::from_secs(1);
const RETRY: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_fails_waits_longer_each_time() {
        let waits: Vec<_> = (1..12).map(|attempts| backoff(attempts).as_secs()).collect();
        assert_eq!(waits, [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]);
        assert_eq!(backoff(u32::MAX).as_secs(), 3600);
    }

    #[test]
    fn a_round_is_neither_at_once_nor_never() {
        let at = |seconds: i64| Timestamp::from_second(1_800_000_000 + seconds).unwrap();
        let clock = Clock::Given(at(0), SignedDuration::from_mins(5));
        assert_eq!(clock.next(None), at(86_400));
        assert_eq!(clock.next(Some(at(-9))), at(300));
        assert_eq!(clock.next(Some(at(4000))), at(4000));
        assert_eq!(clock.next(Some(at(900_000))), at(86_400));
    }
}
