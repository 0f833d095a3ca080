//! RADIUS sockets around the pure `radius` crate.
