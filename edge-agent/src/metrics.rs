//! Prometheus text at `[metrics] listen`.

use std::{io, net::SocketAddr};

use axum::{Router, routing::get};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;

#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    #[error("cannot bind metrics.listen {listen}")]
    Bind { listen: SocketAddr, source: io::Error },
    #[error("cannot set up metrics")]
    Recorder(#[source] Box<BuildError>),
}

/// Takes over the counters of this process. Once, before anything counts.
pub fn install() -> Result<PrometheusHandle, MetricsError> {
    let builder = PrometheusBuilder::new();
    builder.install_recorder().map_err(|error| MetricsError::Recorder(Box::new(error)))
}

pub async fn bind(listen: SocketAddr) -> Result<TcpListener, MetricsError> {
    TcpListener::bind(listen).await.map_err(|source| MetricsError::Bind { listen, source })
}

pub async fn serve(listener: TcpListener, handle: PrometheusHandle) {
    let text = move || {
        let handle = handle.clone();
        async move { handle.render() }
    };
    let router = Router::new().route("/metrics", get(text)).route("/healthz", get(async || "ok\n"));
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "metrics are no longer served");
    }
}
