//! Threads for what takes long: a handshake is some 300 µs of arithmetic.

use std::{
    io,
    num::NonZero,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread,
};

use shared::daemon::Life;

use super::{Inner, Turn};

#[derive(Debug)]
pub(super) struct Workers {
    queue: SyncSender<Box<Turn>>,
    /// One of the threads waits in here at a time.
    inbox: Arc<Mutex<Receiver<Box<Turn>>>>,
}

impl Workers {
    pub(super) fn new() -> Self {
        let (queue, inbox) = sync_channel(QUEUE_MAX);
        Self { queue, inbox: Arc::new(Mutex::new(inbox)) }
    }

    /// Gives it back when too many wait.
    pub(super) fn put(&self, turn: Box<Turn>) -> Result<(), Box<Turn>> {
        self.queue.try_send(turn).map_err(|refused| match refused {
            TrySendError::Full(turn) | TrySendError::Disconnected(turn) => turn,
        })
    }

    pub(super) fn start(&self, inner: &Arc<Inner>, life: &Life) -> io::Result<()> {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        for number in 0..cores.min(THREADS_MAX) {
            let (inbox, inner) = (Arc::clone(&self.inbox), Arc::clone(inner));
            let name = format!("radius-eap-{number}");
            super::super::run_thread(name, life, move |life| work(&inbox, &inner, life))?;
        }
        Ok(())
    }
}

fn work(inbox: &Mutex<Receiver<Box<Turn>>>, inner: &Inner, life: &Life) {
    // Linux takes this for the thread. Where there is one core, packets go before handshakes.
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "handshakes are as urgent as everything else");
    }
    while !life.is_stopping() {
        let turn = {
            let inbox = inbox.lock().unwrap_or_else(PoisonError::into_inner);
            inbox.recv_timeout(crate::radius::IDLE)
        };
        match turn {
            Ok(turn) => inner.take(*turn),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// A third of the weight of what is not nice.
const NICE: i32 = 5;

/// A thousand handshakes a second and more; the other cores have other work.
const THREADS_MAX: usize = 4;

/// A tenth of a second of work: what waits longer is asked again by then.
const QUEUE_MAX: usize = 512;
