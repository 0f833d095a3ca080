//! Logs: to standard error, as text for people or as JSON for machines.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// `KENNET_LOG` takes filters (`info`, `edge_agent::radius=debug`); `json` writes one object per
/// line. Call once, first.
pub fn start_logging(json: bool) {
    let filter = EnvFilter::try_from_env("KENNET_LOG").unwrap_or_else(|_| EnvFilter::new(QUIET));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    if json {
        logs.json().init();
    } else {
        logs.init();
    }
}

/// The broker's library tells of each connection what we tell in our own words.
const QUIET: &str = "info,mqtt5=warn";
