//! Builds the parts of the edge and owns the channels between them.
