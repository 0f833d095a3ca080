//! `kennet-edge`: settings, logs, agent, signals, stop.

fn main() {}
