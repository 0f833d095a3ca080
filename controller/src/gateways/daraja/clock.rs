//! Nairobi time as M-Pesa writes it: UTC+3 all year, without saying so. Pure.

use jiff::{Timestamp, civil::DateTime, tz};

/// `20261122143005`.
pub(crate) fn pack(at: Timestamp) -> String {
    tz::offset(3).to_datetime(at).strftime("%Y%m%d%H%M%S").to_string()
}

pub(crate) fn packed(text: &str) -> Option<Timestamp> {
    stamp(DateTime::strptime("%Y%m%d%H%M%S", text).ok()?)
}

/// `2026-11-22 08:36:00`.
pub(crate) fn write(at: Timestamp) -> String {
    tz::offset(3).to_datetime(at).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// `2026-11-22T08:36:00Z` and `2026-11-22 08:36:00`: the `Z` is not meant.
pub(crate) fn written(text: &str) -> Option<Timestamp> {
    stamp(text.trim_end_matches('Z').replace('T', " ").parse().ok()?)
}

fn stamp(civil: DateTime) -> Option<Timestamp> {
    tz::offset(3).to_timestamp(civil).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nairobi_is_three_hours_ahead() {
        let at: Timestamp = "2026-11-22T21:30:05Z".parse().unwrap();
        assert_eq!(pack(at), "20261123003005");
        assert_eq!(packed("20261123003005"), Some(at));
        assert_eq!(write(at), "2026-11-23 00:30:05");
        assert_eq!(written("2026-11-23 00:30:05"), Some(at));
        assert_eq!(written("2026-11-23T00:30:05Z"), Some(at));
        assert_eq!(packed("yesterday"), None);
        assert_eq!(written(""), None);
    }
}
