//! The simulator's addresses: those of the providers, and `/_sim/…`.

use std::{io, net::SocketAddr};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{
    Reply, Sim, daraja,
    desk::{Forge, Pay, Script},
    elsewhere::{self, Hook},
};

impl Sim {
    /// Serves until the program stops.
    pub async fn serve(self, listener: TcpListener) -> io::Result<()> {
        let life = self.life.clone();
        let service = router(self).into_make_service_with_connect_info::<SocketAddr>();
        axum::serve(listener, service)
            .with_graceful_shutdown(async move { life.stopped().await })
            .await
    }
}

fn router(sim: Sim) -> Router {
    Router::new()
        .merge(daraja::http::routes())
        .merge(elsewhere::http::routes())
        .route("/_sim/books", get(books))
        .route("/_sim/hook", post(hook))
        .route("/_sim/prompt", get(prompt))
        .route("/_sim/script", post(script))
        .route("/_sim/pay", post(pay))
        .route("/_sim/forge", post(forge))
        .route("/_sim/outage", post(outage))
        .with_state(sim)
}

#[derive(Debug, Deserialize)]
struct BooksQuery {
    #[serde(default)]
    all: bool,
}

async fn books(State(sim): State<Sim>, Query(query): Query<BooksQuery>) -> Json<Value> {
    Json(sim.books(query.all))
}

#[derive(Debug, Deserialize)]
struct PromptQuery {
    checkout: String,
}

async fn prompt(State(sim): State<Sim>, Query(query): Query<PromptQuery>) -> Json<Value> {
    Json(sim.prompt_of(&query.checkout))
}

async fn script(State(sim): State<Sim>, Json(body): Json<Script>) -> StatusCode {
    sim.script(body);
    StatusCode::NO_CONTENT
}

async fn hook(State(sim): State<Sim>, Json(body): Json<Hook>) -> StatusCode {
    sim.hook(body);
    StatusCode::NO_CONTENT
}

async fn pay(State(sim): State<Sim>, Json(body): Json<Pay>) -> Json<Value> {
    Json(json!({ "moved": sim.pay_in(&body).await }))
}

async fn forge(State(sim): State<Sim>, Json(body): Json<Forge>) -> Json<Value> {
    Json(sim.forge(&body).await)
}

#[derive(Debug, Deserialize)]
struct OutageQuery {
    seconds: u64,
}

async fn outage(State(sim): State<Sim>, Query(query): Query<OutageQuery>) -> StatusCode {
    sim.go_out(query.seconds);
    StatusCode::NO_CONTENT
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        match self {
            Self::Json(status, body) => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
                (status, Json(body)).into_response()
            }
            Self::Lost => {
                let page = "<html><body>504 Gateway Time-out</body></html>";
                let kind = [(header::CONTENT_TYPE, "text/html")];
                (StatusCode::GATEWAY_TIMEOUT, kind, page).into_response()
            }
        }
    }
}
