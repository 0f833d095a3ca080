//! The captive portal: what a device sees that is not on-line yet.
//!
//! The data plane brings plain HTTP of such devices here, whatever it was meant for; [`connections`]
//! takes it and [`http`] carries it. [`route`] decides what a request asks (pure): what was meant
//! for others is sent to the [`page`], what a system asks to find out whether it is on-line is
//! answered by [`probes`], devices that know RFC 8908 ask [`capport`], and programs that sign in by
//! themselves speak [`wispr`]. Who is at an address is
//! the kernel's word for the device and the sessions' word ([`online`], [`standing`]) for the rest.
//! [`login`] opens and ends sessions: it decides as RADIUS does, and comes to the sessions the same
//! way. What RFC 8908 is asked over is [`tls`]. It sells nothing.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, mpsc::SyncSender},
};

use shared::{
    daemon::{Chain, Life},
    net::Mac,
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{net::TcpListener, sync::Semaphore, task};

use crate::{
    dataplane::neighbour,
    desired::Current,
    sessions::{event::Event, leases::Leases},
    settings,
};

mod answer;
mod capport;
mod connections;
mod form;
mod http;
mod login;
mod online;
mod page;
mod probes;
mod route;
mod standing;
mod tls;
mod token;
mod tries;
mod wispr;
mod words;

pub use self::tls::TlsError;
use self::{
    connections::Doors, online::Asker, standing::Standing, tls::Certificate, token::Tokens,
    tries::Tries,
};

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("cannot bind {key} {address}")]
    Bind { key: &'static str, address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Can what the settings name be used?
pub fn check(settings: &settings::Portal) -> Result<(), TlsError> {
    settings.tls.as_ref().map_or(Ok(()), |tls| Certificate::load(tls).map(drop))
}

/// Sockets that are bound and not served yet.
#[derive(Debug)]
pub struct Bound {
    listeners: Vec<TcpListener>,
    tls: Option<Secure>,
}

#[derive(Debug)]
struct Secure {
    listener: TcpListener,
    certificate: Arc<Certificate>,
}

/// Binds every address, so that a daemon that cannot serve one does not start. In a tokio runtime.
pub fn bind(settings: &settings::Portal) -> Result<Bound, ServeError> {
    let bind = |key, address| {
        bind_one(address).map_err(|source| ServeError::Bind { key, address, source })
    };
    let mut listeners = vec![bind("portal.listen", settings.listen)?];
    if let Some(address) = settings.listen_v6 {
        listeners.push(bind("portal.listen_v6", address.into())?);
    }
    let tls = match &settings.tls {
        None => None,
        Some(tls) => Some(Secure {
            listener: bind("portal.tls.listen", tls.listen)?,
            certificate: Arc::new(Certificate::load(tls)?),
        }),
    };
    Ok(Bound { listeners, tls })
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

impl Bound {
    /// Where requests are taken; useful when a port was 0.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// Where they are taken over TLS.
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.tls.as_ref()?.listener.local_addr().ok()
    }

    /// Serves until `life` ends.
    pub fn start(
        self,
        current: &Current,
        events: &SyncSender<Event>,
        leases: &Arc<Leases>,
        life: &Life,
    ) {
        let mut key = [0; 32];
        getrandom::fill(&mut key).expect("the kernel gives random octets once it has booted");
        let portal = Arc::new(Portal {
            current: Arc::clone(current),
            events: events.clone(),
            leases: Arc::clone(leases),
            nas: Arc::from(NAS),
            asker: Asker::new(events.clone()),
            tokens: Tokens::new(&key),
            tries: Mutex::default(),
            lookups: Semaphore::new(LOOKUPS_MAX),
            by_tls: self
                .tls
                .as_ref()
                .zip(self.tls_address())
                .map(|(tls, address)| (tls.certificate.name().to_owned(), address.port())),
        });
        for address in self.addresses().into_iter().chain(self.tls_address()) {
            tracing::info!(portal.address = %address, "serving the portal at {address}");
        }
        let doors = Doors::new(portal, life);
        for listener in self.listeners {
            life.spawn("portal", doors.clone().serve(listener));
        }
        if let Some(Secure { listener, certificate }) = self.tls {
            life.spawn("portal over TLS", doors.with(&certificate).serve(listener));
            life.spawn("portal's certificate", certificate.follow_its_files());
        }
    }
}

struct Portal {
    current: Current,
    events: SyncSender<Event>,
    leases: Arc<Leases>,
    /// What the journal calls it.
    nas: Arc<str>,
    asker: Asker,
    tokens: Tokens,
    tries: Mutex<Tries>,
    lookups: Semaphore,
    /// By which name and at which port it is reached over TLS.
    by_tls: Option<(String, u16)>,
}

/// Who has sent a request.
#[derive(Debug)]
struct Visitor {
    address: IpAddr,
    /// `None` when no device of ours has the address.
    mac: Option<Mac>,
    standing: Standing,
}

impl Portal {
    /// Where those are sent who have arrived at `address`.
    fn origin(&self, address: SocketAddr) -> String {
        let tls = self.by_tls.as_ref().map(|(name, port)| (name.as_str(), *port));
        route::origin(address, tls)
    }

    async fn visitor(&self, address: IpAddr) -> Result<Visitor, online::Silent> {
        let mac = self.mac_of(address).await;
        let standing = self.asker.standing(mac, address).await?;
        Ok(Visitor { address, mac, standing })
    }

    async fn mac_of(&self, address: IpAddr) -> Option<Mac> {
        // The kernel may let a question wait, and threads are few.
        let _turn = self.lookups.acquire().await.ok()?;
        let found = task::spawn_blocking(move || neighbour::mac_of(address)).await.ok()?;
        found.unwrap_or_else(|error| {
            metrics::counter!("kennet_portal_lookup_failures_total").increment(1);
            tracing::debug!(%address, error = %Chain(&error), "whose {address} is remains unknown");
            None
        })
    }
}

/// As a NAS is named in the journal.
const NAS: &str = "portal";

/// Questions to the kernel at once.
const LOOKUPS_MAX: usize = 4;

/// Connections that wait for their turn: those of a site on which the power has come back.
const BACKLOG: i32 = 1_024;
