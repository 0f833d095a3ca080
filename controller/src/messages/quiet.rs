//! When a message may be sent: not while people sleep. Pure.

use jiff::{Timestamp, ToSpan as _, Unit, civil::Time, tz::TimeZone};

/// From one time of the day to another, perhaps over midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quiet {
    pub from: Time,
    pub until: Time,
}

impl Quiet {
    fn holds(self, at: Time) -> bool {
        if self.from <= self.until {
            self.from <= at && at < self.until
        } else {
            at >= self.from || at < self.until
        }
    }
}

/// Now, or when it is not quiet any more.
pub(super) fn allowed(now: Timestamp, quiet: Option<Quiet>, zone: &TimeZone) -> Timestamp {
    let local = now.to_zoned(zone.clone());
    let Some(quiet) = quiet.filter(|quiet| quiet.holds(local.time())) else { return now };
    let days = i64::from(quiet.until <= local.time());
    let ends = local.date().saturating_add(days.days()).to_datetime(quiet.until);
    let ends = ends.to_zoned(zone.clone()).map(|ends| ends.timestamp());
    ends.and_then(|ends| ends.round(Unit::Second)).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_woken() {
        let zone = TimeZone::get("Africa/Nairobi").unwrap();
        let time = |text: &str| text.parse::<Time>().unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let night = Some(Quiet { from: time("21:00"), until: time("07:00") });
        let noon = Some(Quiet { from: time("12:00"), until: time("13:30") });
        // Nairobi is three hours ahead.
        for (quiet, now, allowed_at) in [
            (None, "2026-11-28T23:00:00Z", "2026-11-28T23:00:00Z"),
            (night, "2026-11-28T17:59:59Z", "2026-11-28T17:59:59Z"),
            (night, "2026-11-28T18:00:00Z", "2026-11-29T04:00:00Z"),
            (night, "2026-11-28T23:00:00Z", "2026-11-29T04:00:00Z"),
            (night, "2026-11-29T03:59:59Z", "2026-11-29T04:00:00Z"),
            (night, "2026-11-29T04:00:00Z", "2026-11-29T04:00:00Z"),
            (noon, "2026-11-28T09:10:00Z", "2026-11-28T10:30:00Z"),
            (noon, "2026-11-28T10:30:00Z", "2026-11-28T10:30:00Z"),
        ] {
            assert_eq!(allowed(at(now), quiet, &zone), at(allowed_at), "{now}");
        }
        let whole_day = Some(Quiet { from: time("08:00"), until: time("08:00") });
        let now = at("2026-11-28T09:00:00Z");
        assert_eq!(allowed(now, whole_day, &zone), now, "no time is no quiet");
    }
}
