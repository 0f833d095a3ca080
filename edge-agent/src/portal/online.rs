//! Asks the sessions who is on-line, and not more often than it makes sense.

use std::{
    net::IpAddr,
    sync::{Arc, mpsc::SyncSender},
    time::{Duration, Instant},
};

use shared::net::Mac;
use tokio::sync::{Mutex, oneshot};

use super::standing::{OnLine, Standing};
use crate::sessions::{desk::now_ms, event::Event};

#[derive(Debug)]
pub(super) struct Asker {
    events: SyncSender<Event>,
    last: Mutex<Option<(Instant, Arc<OnLine>)>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sessions do not answer")]
pub(super) struct Silent;

impl Asker {
    pub(super) fn new(events: SyncSender<Event>) -> Self {
        Self { events, last: Mutex::new(None) }
    }

    pub(super) async fn standing(&self, mac: Option<Mac>, ip: IpAddr) -> Result<Standing, Silent> {
        let on_line = self.ask().await?;
        Ok(on_line.standing(mac, ip, now_ms()))
    }

    /// What was heard is old: a session was opened or ended.
    pub(super) async fn forget(&self) {
        *self.last.lock().await = None;
    }

    /// Who comes while another asks waits for that answer.
    async fn ask(&self) -> Result<Arc<OnLine>, Silent> {
        let mut last = self.last.lock().await;
        let now = Instant::now();
        if let Some((at, on_line)) = &*last
            && now.saturating_duration_since(*at) < FRESH
        {
            return Ok(Arc::clone(on_line));
        }
        let (answer, listed) = oneshot::channel();
        self.events.try_send(Event::List(answer)).map_err(|_| Silent)?;
        let listed = tokio::time::timeout(PATIENCE, listed).await;
        let listed = listed.map_err(|_| Silent)?.map_err(|_| Silent)?;
        let on_line = Arc::new(OnLine::new(listed));
        *last = Some((now, Arc::clone(&on_line)));
        Ok(on_line)
    }
}

/// Somebody who keeps pressing "reload" costs the sessions two lists in a second.
const FRESH: Duration = Duration::from_millis(500);

const PATIENCE: Duration = Duration::from_secs(2);
