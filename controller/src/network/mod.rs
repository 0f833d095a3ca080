//! What stands in the field beside the edges: NASes and access points; and what may pass there.

pub mod access_points;
pub mod limits;
pub mod nas;
