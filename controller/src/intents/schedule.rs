//! When a provider is asked what came of an intent. Pure.

use jiff::Timestamp;

use crate::gateways::Pace;

/// After so many checks; none: nobody will know, and people have to look.
pub(super) fn next(made: Timestamp, checks: i32, now: Timestamp, pace: Pace) -> Option<Timestamp> {
    let after = usize::try_from(checks).ok().and_then(|checks| CHECKS.get(checks))?;
    // Who comes late, because the controller was down, does not come twice at once.
    Some((made + pace.span(*after)).max(now + pace.span(1)))
}

/// What somebody waits for: seconds; what nobody waits for: up to as long as the provider lists it.
const CHECKS: &[i64] = &[5, 10, 20, 40, 60, 90, 300, 900, 3600, 6 * 3600, 24 * 3600, 48 * 3600];
/// How long an answer to a request of our own may take, crashes included.
pub(super) const LEASE: i64 = 60;
/// A payer who is busy with another prompt is free again.
pub(super) const SEND_AGAIN: i64 = 60;
/// Seconds after which no provider takes a failure back. Airtel may for three minutes.
pub(super) const FAILURE_STAYS: i64 = 180;
/// Then somebody else has to be asked.
pub(super) const SENDS_MAX: i16 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_get_rarer_and_end() {
        let made: Timestamp = "2026-11-28T00:00:00Z".parse().unwrap();
        let mut last = made;
        for checks in 0..12 {
            let next = next(made, checks, made, Pace::default()).unwrap();
            assert!(next > last);
            last = next;
        }
        assert_eq!(last, "2026-11-30T00:00:00Z".parse().unwrap());
        assert_eq!(next(made, 12, made, Pace::default()), None);
        let late = made + jiff::SignedDuration::from_hours(1);
        assert!(next(made, 0, late, Pace::default()).unwrap() > late);
    }
}
