//! What a load has seen of a server, and how several rounds become one figure.

use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    pub(super) per_second: f64,
    pub(super) per_cpu_second: f64,
    pub(super) p50_us: u64,
    pub(super) p99_us: u64,
    pub(super) lost: u64,
}

impl Measured {
    /// Of each figure the one in the middle; of losses all.
    pub(super) fn median(rounds: &[Self]) -> Option<Self> {
        fn middle<T: Copy>(
            mut all: Vec<T>,
            order: impl FnMut(&T, &T) -> std::cmp::Ordering,
        ) -> Option<T> {
            all.sort_by(order);
            all.get(all.len() / 2).copied()
        }
        let float = |of: fn(&Self) -> f64| middle(rounds.iter().map(of).collect(), f64::total_cmp);
        let int = |of: fn(&Self) -> u64| middle(rounds.iter().map(of).collect(), Ord::cmp);
        Some(Self {
            per_second: float(|it| it.per_second)?,
            per_cpu_second: float(|it| it.per_cpu_second)?,
            p50_us: int(|it| it.p50_us)?,
            p99_us: int(|it| it.p99_us)?,
            lost: rounds.iter().map(|it| it.lost).sum(),
        })
    }
}

/// Counts from [`Clock::start`] to [`Clock::stop`].
#[derive(Debug)]
pub(super) struct Clock {
    began: Instant,
    cpu: f64,
    lost: u64,
    waited: Vec<Duration>,
}

impl Default for Clock {
    fn default() -> Self {
        Self { began: Instant::now(), cpu: 0.0, lost: 0, waited: Vec::new() }
    }
}

impl Clock {
    /// `cpu` is what the server has used so far, in seconds.
    pub(super) fn start(&mut self, cpu: f64) {
        self.waited.clear();
        (self.began, self.cpu, self.lost) = (Instant::now(), cpu, 0);
    }

    pub(super) fn replied(&mut self, waited: Duration) {
        self.waited.push(waited);
    }

    pub(super) const fn lost(&mut self) {
        self.lost += 1;
    }

    pub(super) const fn replies(&self) -> u64 {
        self.waited.len() as u64
    }

    #[expect(clippy::float_arithmetic, clippy::cast_precision_loss, reason = "a measurement")]
    pub(super) fn stop(&mut self, cpu: f64) -> Measured {
        let seconds = self.began.elapsed().as_secs_f64();
        self.waited.sort_unstable();
        let percentile = |percent: usize| {
            let at = self.waited.len() * percent / 100;
            let waited = self.waited.get(at).copied().unwrap_or_default();
            u64::try_from(waited.as_micros()).unwrap_or(u64::MAX)
        };
        Measured {
            per_second: self.replies() as f64 / seconds,
            per_cpu_second: self.replies() as f64 / (cpu - self.cpu),
            p50_us: percentile(50),
            p99_us: percentile(99),
            lost: self.lost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_one_of_three_rounds_counts_and_every_loss() {
        let round = |value: u32| Measured {
            per_second: f64::from(value),
            per_cpu_second: f64::from(10 - value),
            p50_us: value.into(),
            p99_us: value.into(),
            lost: 1,
        };
        let median = Measured::median(&[round(9), round(1), round(5)]).expect("there are rounds");
        assert_eq!((median.per_second, median.per_cpu_second), (5.0, 5.0));
        assert_eq!((median.p50_us, median.lost), (5, 3));
        assert!(Measured::median(&[]).is_none());
    }
}
