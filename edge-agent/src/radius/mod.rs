//! RADIUS: sockets around the pure parts.
//!
//! One blocking thread per address and core, outside of tokio: [`listener`] receives a batch, and
//! [`responder`] takes each packet: [`clients`] says whose it is and whether it is genuine, the
//! duplicate cache of the `radius` crate whether it is new, [`auth`] and [`acct`] decide (pure);
//! [`eap`] takes several round trips for it.
//! The right to answer is one value, the [`exchange`]: whoever has it answers, at once or later,
//! by way of the [`port`] that the request came in. [`policy`] writes the plan in the NAS's words
//! (pure). What opens or changes a session goes to `sessions` as an event, and its ticket sends
//! the reply when the session is durable.
//!
//! NASes are asked to end and to change sessions by [`dynauth`].
//!
//! What goes out later, as rejects do, [`later`] sends.
//!
//! What gets no answer is counted and logged by [`drops`].

use std::{
    collections::BTreeSet,
    io,
    net::{SocketAddr, UdpSocket},
    num::NonZero,
    sync::{Arc, mpsc::SyncSender},
    thread,
    time::Duration,
};

use nix::sys::socket::{setsockopt, sockopt};
use radius::dictionary::Dictionary;
use shared::daemon::{Chain, Life};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::Notify;

use crate::{
    desired::{self, Snapshot},
    sessions::{event::Event, leases::Leases},
    settings,
};

mod acct;
mod auth;
mod clients;
mod delay;
mod drops;
mod dynauth;
mod eap;
mod exchange;
mod hub;
mod inbox;
mod later;
mod listener;
mod outbox;
mod policy;
mod port;
mod random;
mod responder;
mod standing;
mod tls;

pub(crate) use self::auth::{Refusal, decide_typed};
pub use self::{
    dynauth::{ASKS_MAX, Asker},
    eap::{EapError, Offer},
    policy::ExtraError,
    tls::TlsError,
};
use self::{
    eap::Eap, hub::Hub, listener::Listener, policy::Extras, port::Port, responder::Responder,
};

/// Sockets that are bound and not served yet.
#[derive(Debug)]
pub struct Bound {
    auth: Vec<UdpSocket>,
    acct: Vec<UdpSocket>,
    dynauth: Vec<UdpSocket>,
    tls: Option<tls::Bound>,
    eap: Arc<Offer>,
    dictionary: Arc<Dictionary>,
}

/// What can be done with RADIUS while it runs.
#[derive(Debug)]
pub struct Running {
    reload: Arc<Notify>,
    eap: Arc<Offer>,
}

impl Running {
    /// Reads the certificates again. What is under way goes on with the old ones.
    pub fn reload(&self) {
        self.reload.notify_one();
        self.eap.reload();
    }
}

/// What a socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Authentication,
    Accounting,
    /// RADIUS over TLS has one port.
    Both,
    /// Others ask for changes of sessions, RFC 5176.
    DynamicAuthorisation,
}

#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("cannot bind the RADIUS socket to {address}")]
    Bind { address: SocketAddr, source: io::Error },
    #[error("cannot start a thread for the RADIUS socket {address}")]
    Thread { address: SocketAddr, source: io::Error },
    #[error("cannot start the thread that sends what goes out later")]
    Later(#[source] io::Error),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Eap(#[from] EapError),
    #[error("cannot start the threads of EAP")]
    EapThreads(#[source] io::Error),
}

/// Can what the settings name be used?
pub fn check(settings: &settings::Radius) -> Result<(), ListenError> {
    settings.tls.as_ref().map_or(Ok(()), tls::check)?;
    Offer::read(settings.eap.as_ref())?;
    Ok(())
}

/// Binds every address, so that a daemon that cannot serve one does not start.
pub fn bind(settings: &settings::Radius) -> Result<Bound, ListenError> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let bind_all = |addresses: &[SocketAddr]| {
        let mut sockets = Vec::new();
        for &address in addresses {
            bind_one(address, cores, &mut sockets)
                .map_err(|source| ListenError::Bind { address, source })?;
        }
        Ok::<_, ListenError>(sockets)
    };
    let eap = Arc::new(Offer::read(settings.eap.as_ref())?);
    Ok(Bound {
        auth: bind_all(&settings.auth)?,
        acct: bind_all(&settings.acct)?,
        dynauth: bind_all(&settings.dynauth)?,
        tls: settings.tls.as_ref().map(tls::Bound::new).transpose()?,
        eap,
        dictionary: Arc::new(Dictionary::shipped()),
    })
}

/// Do the words that the provider wants replies to say exist?
pub fn check_replies(dictionary: &Dictionary, snapshot: &Snapshot) -> Result<(), ExtraError> {
    snapshot.nas().iter().try_for_each(|nas| Extras::of(dictionary, nas).map(drop))
}

impl Bound {
    /// With the provider's own words beside those that are shipped.
    #[must_use]
    pub fn with_dictionary(self, dictionary: Arc<Dictionary>) -> Self {
        Self { dictionary, ..self }
    }

    /// Where access requests are taken; useful when the port was 0.
    pub fn auth_address(&self) -> Option<SocketAddr> {
        self.auth.first()?.local_addr().ok()
    }

    /// Where accounting requests are taken.
    pub fn acct_address(&self) -> Option<SocketAddr> {
        self.acct.first()?.local_addr().ok()
    }

    /// Where others may ask for changes of sessions.
    pub fn dynauth_address(&self) -> Option<SocketAddr> {
        self.dynauth.first()?.local_addr().ok()
    }

    /// Where RADIUS is taken over TLS.
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.tls.as_ref()?.address()
    }

    /// What EAP shows to peers, to be read again on demand.
    pub const fn eap(&self) -> &Arc<Offer> {
        &self.eap
    }

    /// Serves the sockets until `life` ends; a thread that ends before it ends the daemon.
    ///
    /// TLS needs a tokio runtime, and a metrics recorder has to be installed before, or nothing is counted.
    pub fn start(
        self,
        desired: &desired::Current,
        events: &SyncSender<Event>,
        leases: &Arc<Leases>,
        life: &Life,
    ) -> Result<Running, ListenError> {
        let reload = Arc::new(Notify::new());
        let hub = Arc::new(Hub::new(
            desired,
            events,
            leases,
            Eap::new(Arc::clone(&self.eap)),
            self.dictionary,
        ));
        hub.eap.start(events, life).map_err(ListenError::EapThreads)?;
        let mut said = BTreeSet::new();
        let auth = self.auth.into_iter().map(|socket| (Role::Authentication, socket));
        let acct = self.acct.into_iter().map(|socket| (Role::Accounting, socket));
        let dynauth = self.dynauth.into_iter();
        let dynauth = dynauth.map(|socket| (Role::DynamicAuthorisation, socket));
        for (role, socket) in auth.chain(acct).chain(dynauth) {
            let address = socket.local_addr().unwrap_or_else(|_| ([0, 0, 0, 0], 0).into());
            let thread_error = |source| ListenError::Thread { address, source };
            socket.set_read_timeout(Some(IDLE)).map_err(thread_error)?;
            let socket = Arc::new(socket);
            let port = Arc::new(Port::of_socket(role, Arc::clone(&hub), Arc::clone(&socket)));
            let listener = Listener { socket, responder: Responder::new(port) };
            let name = format!("radius-{}", address.port());
            run_thread(name, life, move |life| listener.run(life)).map_err(thread_error)?;
            if said.insert(address) {
                tracing::info!(radius.address = %address, "serving RADIUS at {address}");
            }
        }
        if let Some(tls) = self.tls {
            tls.start(Arc::clone(&hub), Arc::clone(&reload), life)?;
        }
        run_thread("radius-later".to_owned(), life, move |life| hub.later.run(life))
            .map_err(ListenError::Later)?;
        Ok(Running { reload, eap: self.eap })
    }
}

/// Until `life` ends; a thread that ends before it ends the daemon.
fn run_thread(
    name: String,
    life: &Life,
    run: impl FnOnce(&Life) + Send + 'static,
) -> io::Result<()> {
    let ends = EndsDaemon { life: life.clone(), name: name.clone() };
    thread::Builder::new().name(name).spawn(move || run(&ends.life))?;
    Ok(())
}

/// Half a daemon is worse than none: systemd starts a whole one.
struct EndsDaemon {
    life: Life,
    name: String,
}

impl Drop for EndsDaemon {
    fn drop(&mut self) {
        if !self.life.is_stopping() {
            tracing::error!("the thread {} ended on its own", self.name);
            self.life.ask_to_stop();
        }
    }
}

/// One socket per core; the kernel spreads the clients over them by address and port, so that a
/// client's retransmission meets its first request.
fn bind_one(address: SocketAddr, cores: usize, into: &mut Vec<UdpSocket>) -> io::Result<()> {
    // Sockets that share a port would share it with those of another process, too: half of the
    // packets would go there. So first see that nobody has it.
    let alone = UdpSocket::bind(address)?;
    let address = alone.local_addr()?;
    drop(alone);
    for _ in 0..cores {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_reuse_port(cores > 1)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        if address.ip().is_unspecified() {
            match address {
                SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?,
                SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?,
            }
        }
        socket.bind(&address.into())?;
        let socket = UdpSocket::from(socket);
        // Beyond the system's limit only with CAP_NET_ADMIN; and less is still a socket.
        if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err()
            && let Err(error) = setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER)
        {
            tracing::warn!(error = %Chain(&error), "{address} keeps a small receive buffer");
        }
        into.push(socket);
    }
    Ok(())
}

/// About 10,000 requests: what a site sends at once after a power cut. The default (208 KiB) loses
/// packets from 500 outstanding requests on.
const RECEIVE_BUFFER: usize = 4 << 20;

/// How long a thread waits for a packet before it looks whether the daemon stops.
const IDLE: Duration = Duration::from_millis(200);
