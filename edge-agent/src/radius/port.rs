//! A way in with its duplicate cache, and replies that go out of it.

use std::{
    io,
    net::{IpAddr, UdpSocket},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use radius::{Server, server::Pending};
use tokio::sync::mpsc;

use super::{
    Role,
    clients::Client,
    drops::{DropReason, Tally},
    hub::Hub,
    inbox::Origin,
    outbox::{Headers, Outbox, send_one},
};

/// Shared by the thread that receives and by all that answer later.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) role: Role,
    pub(super) hub: Arc<Hub>,
    way: Way,
    server: Mutex<Server>,
}

/// How replies go out.
#[derive(Debug)]
enum Way {
    Datagrams {
        socket: Arc<UdpSocket>,
        /// There while a batch is being answered.
        outbox: Mutex<Option<Outbox>>,
    },
    /// To the task that writes to the connection.
    Connection(mpsc::Sender<Box<[u8]>>),
}

impl Port {
    pub(super) fn of_socket(role: Role, hub: Arc<Hub>, socket: Arc<UdpSocket>) -> Self {
        let way = Way::Datagrams { socket, outbox: Mutex::default() };
        Self { role, hub, way, server: Mutex::default() }
    }

    pub(super) fn of_connection(hub: Arc<Hub>, replies: mpsc::Sender<Box<[u8]>>) -> Self {
        let way = Way::Connection(replies);
        Self { role: Role::Both, hub, way, server: Mutex::default() }
    }

    /// Where it is, if that is one address.
    pub(super) fn address(&self) -> Option<IpAddr> {
        let Way::Datagrams { socket, .. } = &self.way else { return None };
        let address = socket.local_addr().ok()?.ip();
        (!address.is_unspecified()).then_some(address)
    }

    pub(super) fn tally(&self) -> &Tally {
        &self.hub.tally
    }

    /// Contended only while somebody answers later.
    pub(super) fn server(&self) -> MutexGuard<'_, Server> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a reply for retransmissions and sends it, unless nobody waits for it any more.
    pub(super) fn answer(&self, to: Origin, pending: Pending, reply: &[u8]) {
        if self.keep(pending, reply) {
            self.send(to, reply);
        }
    }

    /// Keeps a reply for retransmissions. `false` if nobody waits for it any more.
    pub(super) fn keep(&self, pending: Pending, reply: &[u8]) -> bool {
        self.server().finish(Instant::now(), pending, reply)
    }

    pub(super) const fn is_socket(&self) -> bool {
        matches!(self.way, Way::Datagrams { .. })
    }

    /// During a batch, replies wait for its end.
    pub(super) fn send(&self, to: Origin, reply: &[u8]) {
        match &self.way {
            Way::Datagrams { socket, outbox } => {
                if !lock(outbox).as_mut().is_some_and(|outbox| outbox.push(to, reply)) {
                    self.sent(to, send_one(socket, to, reply).map(|_| reply));
                }
            }
            Way::Connection(replies) => match replies.try_send(Box::from(reply)) {
                Ok(()) => self.tally().reply(reply),
                Err(_) => self.not_sent(to),
            },
        }
    }

    /// From now on, replies go into `outbox`.
    pub(super) fn begin_batch(&self, empty: Outbox) {
        if let Way::Datagrams { outbox, .. } = &self.way {
            *lock(outbox) = Some(empty);
        }
    }

    /// Sends them and gives the outbox back.
    pub(super) fn end_batch(&self, headers: &mut Headers) -> Outbox {
        let Way::Datagrams { outbox, .. } = &self.way else { return Outbox::new() };
        // Whoever answers meanwhile does not wait for the system call.
        let taken = lock(outbox).take();
        let mut outbox = taken.unwrap_or_else(Outbox::new);
        self.flush(&mut outbox, headers);
        outbox
    }

    /// Sends what is in it.
    pub(super) fn flush(&self, outbox: &mut Outbox, headers: &mut Headers) {
        if let Way::Datagrams { socket, .. } = &self.way {
            outbox.send(headers, socket, |to, sent| self.sent(to, sent));
        }
    }

    fn sent(&self, to: Origin, sent: io::Result<&[u8]>) {
        match sent {
            Ok(reply) => self.tally().reply(reply),
            Err(error) => {
                tracing::debug!(%error, "cannot send to {}", to.peer);
                self.not_sent(to);
            }
        }
    }

    fn not_sent(&self, to: Origin) {
        let clients = self.hub.roster.current();
        let client = clients.at(to.peer.ip()).map(|client| &**client);
        self.dropped(Instant::now(), to, client, DropReason::NotSent);
    }

    pub(super) fn dropped(
        &self,
        now: Instant,
        from: Origin,
        client: Option<&Client>,
        why: DropReason,
    ) {
        let nas = client.map(|client| &*client.named.name);
        self.tally().dropped(now, from.peer.ip().to_canonical(), nas, why);
    }
}

fn lock(outbox: &Mutex<Option<Outbox>>) -> MutexGuard<'_, Option<Outbox>> {
    outbox.lock().unwrap_or_else(PoisonError::into_inner)
}
