//! `cargo xtask bench dataplane`: the kernel programs beside nothing, HTB and nftables.

use anyhow::{Result, bail};
use serde_json::Value;

pub fn run() -> Result<Value> {
    bail!("nothing to measure yet")
}
