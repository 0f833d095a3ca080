//! The one place that reads the clock. What decides takes the time as an argument.

use jiff::{Timestamp, Unit};

#[expect(clippy::disallowed_methods, reason = "this is the shell that reads the clock")]
pub fn now() -> Timestamp {
    let now = MOMENT.try_with(|moment| *moment).unwrap_or_else(|_| Timestamp::now());
    // As the database keeps it, so that what is told is what is stored.
    now.round(Unit::Microsecond).unwrap_or(now)
}

/// Does `work` as if it were `moment`: for who writes down what happened before.
pub(crate) async fn at<F: Future>(moment: Timestamp, work: F) -> F::Output {
    MOMENT.scope(moment, work).await
}

tokio::task_local! {
    static MOMENT: Timestamp;
}
