//! Refused logins, counted by who and why until they are written down. Pure.

use std::collections::BTreeMap;

use shared::wire::latest::journal::AuthFailures;

use super::event::AuthFailure;

#[derive(Debug, Default)]
pub(super) struct Failures {
    counts: BTreeMap<AuthFailure, u32>,
}

/// Different failures between two rounds. Who guesses names by the million fills this and no
/// disk: the rest counts under [`MANY`].
const KINDS_MAX: usize = 1_000;

/// Stands for the user names beyond [`KINDS_MAX`].
const MANY: &str = "(many others)";

impl Failures {
    pub(super) fn count(&mut self, mut failure: AuthFailure) {
        if self.counts.len() >= KINDS_MAX && !self.counts.contains_key(&failure) {
            MANY.clone_into(&mut failure.username);
        }
        let count = self.counts.entry(failure).or_default();
        *count = count.saturating_add(1);
    }

    pub(super) fn drain(&mut self) -> impl Iterator<Item = AuthFailures> + use<> {
        std::mem::take(&mut self.counts).into_iter().map(|(failure, count)| AuthFailures {
            nas_name: failure.nas.to_string(),
            username: failure.username,
            reason: failure.reason.to_owned(),
            count,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn guessing_names_by_the_thousand_takes_no_more_room_than_a_thousand() {
        let mut failures = Failures::default();
        let nas: Arc<str> = Arc::from("lab");
        for n in 0..5_000 {
            let username = format!("user{n}");
            failures.count(AuthFailure { nas: Arc::clone(&nas), username, reason: "unknown" });
        }
        let drained: Vec<AuthFailures> = failures.drain().collect();
        assert_eq!(drained.len(), KINDS_MAX + 1);
        assert_eq!(drained.iter().map(|one| one.count).sum::<u32>(), 5_000);
        assert_eq!(failures.drain().count(), 0);
    }
}
