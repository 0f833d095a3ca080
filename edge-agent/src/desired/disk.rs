//! The last good copy of the desired state, written atomically, read at start.
