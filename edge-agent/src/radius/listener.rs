//! The thread of one socket: receives, and lets the responder answer.

use std::{
    io,
    net::UdpSocket,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use shared::daemon::Life;

use super::{
    inbox::Inbox,
    outbox::{Headers, Outbox},
    responder::Responder,
};

#[derive(Debug)]
pub(super) struct Listener {
    pub(super) socket: Arc<UdpSocket>,
    pub(super) responder: Responder,
}

impl Listener {
    pub(super) fn run(mut self, life: &Life) {
        let mut inbox = Inbox::new();
        let (mut outbox, mut headers) = (Outbox::new(), Headers::new());
        while !life.is_stopping() {
            if let Err(error) = inbox.receive(&self.socket) {
                rest_after(&error);
            }
            let now = Instant::now();
            self.responder.refresh();
            let port = self.responder.port();
            port.begin_batch(outbox);
            for (from, datagram) in inbox.datagrams() {
                self.responder.handle(now, from, datagram);
            }
            outbox = port.end_batch(&mut headers);
        }
    }
}

/// A time-out or a signal is not an error; after anything else the thread does not spin.
fn rest_after(error: &io::Error) {
    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) {
        return;
    }
    tracing::warn!(%error, "cannot receive RADIUS packets");
    thread::sleep(REST);
}

const REST: Duration = Duration::from_millis(100);
