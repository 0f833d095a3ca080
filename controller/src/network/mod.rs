//! What stands in the field beside the edges: NASes and access points.

pub mod access_points;
pub mod nas;
