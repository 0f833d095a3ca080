//! The ordered, hash-chained log of what happened here, on disk.
