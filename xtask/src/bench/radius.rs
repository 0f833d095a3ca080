//! `cargo xtask bench radius`: the RADIUS server beside FreeRADIUS.

use anyhow::{Result, bail};
use serde_json::Value;

pub fn run() -> Result<Value> {
    bail!("nothing to measure yet")
}
