//! What the program counts, in the words of Prometheus.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::db::Db;

/// Reads what was counted. The counting itself is global, as the `metrics` crate has it.
#[derive(Clone, Debug)]
pub struct Metrics {
    handle: PrometheusHandle,
}

impl Metrics {
    /// The first call starts the counting; all calls read the same.
    pub fn install() -> Self {
        static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
        let handle = HANDLE.get_or_init(|| {
            let recorder = PrometheusBuilder::new()
                .set_buckets(&SECONDS)
                .expect("there are buckets")
                .build_recorder();
            let handle = recorder.handle();
            if metrics::set_global_recorder(recorder).is_err() {
                tracing::warn!("something else counts already: /metrics stays empty");
            }
            describe();
            handle
        });
        Self { handle: handle.clone() }
    }

    pub(super) fn render(&self, db: &Db, link_is_up: bool) -> String {
        for (name, pool) in [("app", &db.app), ("auth", &db.auth), ("ingest", &db.ingest)] {
            let labels = [("pool", name)];
            metrics::gauge!("kennet_db_connections", &labels).set(f64::from(pool.size()));
            let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
            metrics::gauge!("kennet_db_connections_idle", &labels).set(f64::from(idle));
        }
        metrics::gauge!("kennet_link_up").set(f64::from(u8::from(link_is_up)));
        self.handle.run_upkeep();
        self.handle.render()
    }
}

fn describe() {
    metrics::describe_counter!("kennet_http_requests_total", "Requests by route and status.");
    metrics::describe_histogram!("kennet_http_request_seconds", "How long requests took.");
    metrics::describe_gauge!("kennet_db_connections", "Connections to the database, by pool.");
    metrics::describe_gauge!("kennet_db_connections_idle", "Of these, not in use.");
    metrics::describe_gauge!("kennet_link_up", "Is the MQTT broker connected?");
}

const SECONDS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
