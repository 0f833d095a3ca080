//! Prometheus text at `[metrics] listen`.
