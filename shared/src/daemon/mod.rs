//! What both daemons do the same way.

mod life;
mod report;
mod telemetry;

pub use life::{Life, StillRunning};
pub use report::Chain;
pub use telemetry::start_logging;
