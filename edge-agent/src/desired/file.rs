//! Desired state from a TOML file; an unknown key is an error.
