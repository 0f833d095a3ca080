//! `kennet`: the operator's command line over the REST API.

fn main() {}
