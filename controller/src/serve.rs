//! Serves until the daemon is stopped: starts what runs beside the API, and stops it again.

use std::{net::SocketAddr, time::Duration};

use shared::daemon::{Chain, Life};
use tokio::net::TcpListener;

use crate::{
    app::{App, StartError},
    broker::{self, Broker},
    edges::{link::Target, presence::Secrets},
    settings::{self, Settings},
    storage::Storage,
    webhooks::Courier,
};

/// Starts the broker, if it is to be one of ours, and the office's end of the edges.
async fn open_office(
    settings: &Settings,
    app: &App,
    life: &Life,
) -> Result<Option<Broker>, StartError> {
    match &settings.broker {
        settings::Broker::Embedded { listen } => {
            let folder = settings.data_dir.join("mqtt");
            let secrets = Secrets::new(app.0.db.clone());
            let broker_settings = broker::Settings { listen: *listen, folder };
            let broker = Broker::start(life, broker_settings, secrets).await?;
            app.0.office.start_with(life, &broker)?;
            Ok(Some(broker))
        }
        settings::Broker::Yours { url, login } => {
            let login = login.clone().map(|login| (login.user, login.password));
            let target = Target { host: url.host.clone(), port: url.port, tls: url.tls, login };
            app.0.office.start(life, target)?;
            Ok(None)
        }
    }
}

/// Runs until the daemon stops.
pub async fn serve(settings: &Settings, life: Life) -> Result<(), StartError> {
    let addr = settings.http_listen;
    let listener =
        TcpListener::bind(addr).await.map_err(|source| StartError::Listen { addr, source })?;
    let storage = Storage::open(settings).await?;
    let app = match App::new(settings, storage.db.clone()) {
        Ok(app) => app,
        Err(error) => {
            storage.close().await;
            return Err(error);
        }
    };
    storage.watch(&life);
    life.spawn("audit chain", app.0.audit.clone().run());
    app.watch_money(&life);
    life.spawn(
        "webhooks",
        Courier::new(app.0.db.clone(), app.0.seal.clone(), app.0.messages.outward().clone()).run(),
    );
    life.spawn("retention", app.0.retention.clone().run());
    life.spawn("messages", app.0.messages.clone().run());
    life.spawn("jobs", app.0.jobs.clone().run());
    let broker = match open_office(settings, &app, &life).await {
        Ok(broker) => broker,
        Err(error) => {
            storage.close().await;
            return Err(error);
        }
    };
    tracing::info!(http.listen = %addr, "serving");
    let service = app.router().into_make_service_with_connect_info::<SocketAddr>();
    let stopping = life.clone();
    let http = axum::serve(listener, service)
        .with_graceful_shutdown(async move { stopping.stopped().await })
        .into_future();
    tokio::pin!(http);
    tokio::select! {
        result = &mut http => if let Err(error) = result {
            tracing::error!(error = %Chain(&error), "the API stopped");
        },
        () = life.stopped() => if tokio::time::timeout(GRACE, http).await.is_err() {
            tracing::warn!("some requests were cut off");
        },
    }
    if let Some(broker) = broker {
        broker.stop().await;
    }
    if let Err(error) = life.stop(GRACE).await {
        tracing::warn!(error = %Chain(&error), "some tasks were cut off");
    }
    storage.close().await;
    Ok(())
}

/// What a request in flight may take when the controller is asked to stop.
const GRACE: Duration = Duration::from_secs(10);
