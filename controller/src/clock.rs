//! The one place that reads the clock. What decides takes the time as an argument.

use jiff::Timestamp;

#[expect(clippy::disallowed_methods, reason = "this is the shell that reads the clock")]
pub fn now() -> Timestamp {
    Timestamp::now()
}
