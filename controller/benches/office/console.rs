//! Somebody who is logged in at the API, and many requests of theirs at once.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use reqwest::{Client, Method, Request, StatusCode};
use serde_json::Value;
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{sheet::Times, stand::Stand};

#[derive(Clone, Debug)]
pub(crate) struct Console {
    http: Client,
    base: String,
    token: String,
}

impl Console {
    pub(crate) async fn log_in(stand: &Stand, login: &Value) -> anyhow::Result<Self> {
        let mut console = Self { http: Client::new(), base: stand.url(""), token: String::new() };
        let reply = console.send(Method::POST, "/api/auth/login", login).await?;
        reply
            .get("token")
            .and_then(Value::as_str)
            .context("no token")?
            .clone_into(&mut console.token);
        Ok(console)
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.send(Method::GET, path, &Value::Null).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.send(Method::POST, path, body).await
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = self.request(method, path, body)?;
        let reply = self.http.execute(request).await?;
        let (status, body) = (reply.status(), reply.bytes().await?);
        ensure!(status.is_success(), "{path}: {status} {}", String::from_utf8_lossy(&body));
        Ok(serde_json::from_slice(&body)?)
    }

    /// To be sent later.
    pub(crate) fn request(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> anyhow::Result<Request> {
        let request = self.http.request(method, format!("{}{path}", self.base));
        let request = request.bearer_auth(&self.token);
        Ok(if body.is_null() { request } else { request.json(body) }.build()?)
    }

    /// Some at once, each the next when it has an answer. How long it took in all, and each.
    pub(crate) async fn closed_loop(
        &self,
        at_once: usize,
        requests: Vec<Request>,
    ) -> anyhow::Result<(Duration, Times)> {
        let mut lanes: Vec<Vec<Request>> = (0..at_once).map(|_| Vec::new()).collect();
        for (at, request) in requests.into_iter().enumerate() {
            if let Some(lane) = lanes.get_mut(at % at_once) {
                lane.push(request);
            }
        }
        let began = Instant::now();
        let mut running = JoinSet::new();
        for lane in lanes {
            let http = self.http.clone();
            running.spawn(async move {
                let mut times = Times::default();
                for request in lane {
                    let began = Instant::now();
                    exchange(&http, request).await?;
                    times.push(began.elapsed());
                }
                Ok::<_, anyhow::Error>(times)
            });
        }
        let mut times = Times::default();
        while let Some(done) = running.join_next().await {
            times.append(done??);
        }
        Ok((began.elapsed(), times))
    }

    /// So many a second, whether or not those before have an answer. A time begins when the request
    /// was due, so that a server that stands still does not make its waiting line look short. Says
    /// how many had no good answer: those that were sent have their times, those that the line was
    /// too long for have none.
    pub(crate) async fn open_loop(
        &self,
        per_second: u32,
        requests: Vec<Request>,
    ) -> anyhow::Result<(Times, u64)> {
        let room = Arc::new(Semaphore::new(WAITING_MAX));
        let began = Instant::now();
        let mut refused = 0;
        let mut running = JoinSet::new();
        for (at, request) in (0..).zip(requests) {
            let due = began + Duration::from_secs(1) * at / per_second;
            tokio::time::sleep_until(due.into()).await;
            let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
                refused += 1;
                continue;
            };
            let http = self.http.clone();
            running.spawn(async move {
                let is_answered = exchange(&http, request).await.is_ok();
                drop(permit);
                (due.elapsed(), is_answered)
            });
        }
        let mut times = Times::default();
        while let Some(done) = running.join_next().await {
            let (time, is_answered) = done?;
            times.push(time);
            refused += u64::from(!is_answered);
        }
        Ok((times, refused))
    }
}

async fn exchange(http: &Client, request: Request) -> anyhow::Result<()> {
    let path = request.url().path().to_owned();
    let reply = http.execute(request).await?;
    let (status, body) = (reply.status(), reply.bytes().await?);
    let is_fine = matches!(status, StatusCode::OK | StatusCode::CREATED);
    ensure!(is_fine, "{path}: {status} {}", String::from_utf8_lossy(&body));
    Ok(())
}

/// Without an answer at once: seconds of requests.
const WAITING_MAX: usize = 4_096;
