//! The one place that reads the clock. What decides takes the time as an argument.

use jiff::{Timestamp, Unit};

#[expect(clippy::disallowed_methods, reason = "this is the shell that reads the clock")]
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    // As the database keeps it, so that what is told is what is stored.
    now.round(Unit::Microsecond).unwrap_or(now)
}
