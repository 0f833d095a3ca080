//! RADIUS over TLS (RFC 6614): connections of NASes that show a certificate.
//!
//! On tokio, not on the threads of the datagrams: what costs here is TLS. The [`connection`] cuts
//! the stream into packets, and from there on all is as it is over UDP: the same responder,
//! policies and exchanges. [`files`] loads the certificates, and again when they change;
//! [`seats`] bounds how many connections there are.
//!
//! A NAS is known by its address as over UDP, or by the name in its certificate (`tls_name`).
//! There are no pre-shared keys: rustls has none.

use std::{
    net::{IpAddr, SocketAddr, TcpListener as StdListener},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use rustls::{ServerConfig, pki_types::CertificateDer};
use shared::daemon::{Chain, Life};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{ListenError, drops::DropReason, hub::Hub};
use crate::settings::RadiusTls;

mod connection;
mod files;
mod seats;

pub use self::files::TlsError;
use self::{
    connection::Peer,
    seats::{Guest, Seat, Seats},
};

/// Are the files there, and do they fit?
pub(super) fn check(settings: &RadiusTls) -> Result<(), TlsError> {
    files::load(settings).map(drop)
}

/// Bound and not served yet.
#[derive(Debug)]
pub(super) struct Bound {
    listener: StdListener,
    settings: RadiusTls,
    config: Arc<ServerConfig>,
}

impl Bound {
    pub(super) fn new(settings: &RadiusTls) -> Result<Self, ListenError> {
        let config = files::load(settings)?;
        let address = settings.listen;
        let listener = listen(address).map_err(|source| ListenError::Bind { address, source })?;
        Ok(Self { listener, settings: settings.clone(), config })
    }

    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }

    /// Needs a tokio runtime.
    pub(super) fn start(
        self,
        hub: Arc<Hub>,
        reload: Arc<Notify>,
        life: &Life,
    ) -> Result<(), ListenError> {
        let address = self.settings.listen;
        let listener = TcpListener::from_std(self.listener)
            .map_err(|source| ListenError::Bind { address, source })?;
        if let Ok(address) = listener.local_addr() {
            tracing::info!(radius.address = %address, "serving RADIUS over TLS at {address}");
        }
        let changed_at = files::changed_at(&self.settings);
        let door = Door {
            listener,
            settings: self.settings,
            config: self.config,
            changed_at,
            hub,
            seats: Seats::default(),
            life: life.clone(),
        };
        life.spawn("radius over TLS", door.run(reload));
        Ok(())
    }
}

fn listen(address: SocketAddr) -> std::io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of a process before this one may still be closing.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

struct Door {
    listener: TcpListener,
    settings: RadiusTls,
    config: Arc<ServerConfig>,
    changed_at: Vec<Option<SystemTime>>,
    hub: Arc<Hub>,
    seats: Seats,
    life: Life,
}

impl Door {
    async fn run(mut self, reload: Arc<Notify>) {
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => self.welcome(stream, peer),
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a RADIUS connection");
                        sleep(REST).await;
                    }
                },
                () = reload.notified() => self.reload(),
                _ = look.tick() => {
                    if files::changed_at(&self.settings) != self.changed_at {
                        self.reload();
                    }
                }
            }
        }
    }

    /// For connections from now on; those that are there go on.
    fn reload(&mut self) {
        // Before the files are read: what changes meanwhile is read again.
        self.changed_at = files::changed_at(&self.settings);
        match files::load(&self.settings) {
            Ok(config) => {
                self.config = config;
                tracing::info!("the certificates of RADIUS over TLS are read again");
            }
            Err(error) => {
                tracing::error!(
                    error = %Chain(&error), "the certificates of RADIUS over TLS stay as they are"
                );
            }
        }
    }

    fn welcome(&self, stream: TcpStream, peer: SocketAddr) {
        let source = peer.ip().to_canonical();
        let refuse = |why, detail: &str| {
            self.hub.tally.refused(Instant::now(), source, why, &detail);
        };
        if !self.hub.roster.current().may_connect(source) {
            return refuse(DropReason::UnknownNas, "it is closed before TLS begins");
        }
        let seats = [Guest::Anybody, Guest::Stranger, Guest::Source(source)];
        let [Some(one), Some(stranger), Some(of_source)] =
            seats.map(|guest| self.seats.take(guest))
        else {
            return refuse(DropReason::TooManyConnections, "it is closed before TLS begins");
        };
        let visit = Visit {
            peer,
            source,
            hub: Arc::clone(&self.hub),
            acceptor: TlsAcceptor::from(Arc::clone(&self.config)),
            seats: self.seats.clone(),
            _seats: [one, of_source],
        };
        self.life.spawn_short(visit.run(stream, stranger));
    }
}

/// One connection, from its first octet to its last.
struct Visit {
    peer: SocketAddr,
    source: IpAddr,
    hub: Arc<Hub>,
    acceptor: TlsAcceptor,
    seats: Seats,
    _seats: [Seat; 2],
}

impl Visit {
    async fn run(self, stream: TcpStream, stranger: Seat) {
        let tally = &self.hub.tally;
        let refuse = |why, detail: &dyn std::fmt::Display| {
            tally.refused(Instant::now(), self.source, why, detail);
        };
        if let Err(error) = prepare(&stream) {
            tracing::debug!(%error, "cannot prepare a connection from {}", self.peer);
        }
        let stream = match timeout(HANDSHAKE_MAX, self.acceptor.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return refuse(DropReason::Handshake, &error),
            Err(_) => return refuse(DropReason::Handshake, &"it took too long"),
        };
        drop(stranger);
        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let names = certificate.map(CertificateDer::as_ref).map(|der| files::names(&der.into()));
        let peer = Peer { address: self.peer, names: names.unwrap_or_default() };
        let clients = self.hub.roster.current();
        let nas = match clients.at_with_certificate(self.source, &peer.names) {
            Ok(client) => Arc::clone(&client.named.name),
            Err(why) => {
                return refuse(why, &format_args!("its certificate says {:?}", peer.names));
            }
        };
        let Some(_seat) = self.seats.take(Guest::Nas(Arc::clone(&nas))) else {
            return refuse(DropReason::TooManyConnections, &format_args!("of NAS {nas}"));
        };
        drop(clients);
        tracing::info!(nas.name = %nas, nas.address = %self.peer, "NAS {nas} is connected from {peer}");
        let served = Served::new(Arc::clone(&self.hub));
        let ended = connection::serve(stream, Arc::clone(&self.hub), &peer).await;
        drop(served);
        match ended {
            Ok(()) => {
                tracing::info!(nas.name = %nas, "NAS {nas} has closed its connection from {peer}");
            }
            Err(ended) if ended.is_fault() => refuse(DropReason::Malformed, &Chain(&ended)),
            Err(ended) => {
                let why = Chain(&ended);
                tracing::info!(nas.name = %nas, "the connection of NAS {nas} from {peer} has ended: {why}");
            }
        }
    }
}

/// Counted while it is served.
struct Served(Arc<Hub>);

impl Served {
    fn new(hub: Arc<Hub>) -> Self {
        hub.tally.connections.increment(1);
        Self(hub)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.0.tally.connections.decrement(1);
    }
}

/// Replies go out at once, and a peer that has vanished is noticed.
fn prepare(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 4);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

const BACKLOG: i32 = 128;

const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

const KEEPALIVE: Duration = Duration::from_mins(1);

/// How often somebody looks whether the files have changed.
const LOOK_EVERY: Duration = Duration::from_secs(10);

const REST: Duration = Duration::from_millis(100);
