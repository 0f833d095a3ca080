//! Takes connections: not too many, not many of one device, and none for long.
//!
//! Each carries one request. What the kernel redirected here would otherwise stay here when its
//! device is on-line.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use shared::daemon::{Chain, Life};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{Portal, http, route::Own, tls::Certificate};

/// What all listeners share.
#[derive(Clone)]
pub(super) struct Doors {
    portal: Arc<Portal>,
    life: Life,
    free: Arc<Semaphore>,
    held: Arc<Mutex<HashMap<IpAddr, usize>>>,
    certificate: Option<Arc<Certificate>>,
}

impl Doors {
    pub(super) fn new(portal: Arc<Portal>, life: &Life) -> Self {
        Self {
            portal,
            life: life.clone(),
            free: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            held: Arc::default(),
            certificate: None,
        }
    }

    /// Those behind which TLS is spoken.
    pub(super) fn with(&self, certificate: &Arc<Certificate>) -> Self {
        Self { certificate: Some(Arc::clone(certificate)), ..self.clone() }
    }

    pub(super) async fn serve(self, listener: TcpListener) {
        loop {
            let Ok(free) = Arc::clone(&self.free).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, peer)) => self.take(stream, peer, free),
                Err(error) => {
                    // Mostly: no file descriptor is free.
                    tracing::warn!(error = %Chain(&error), "a connection cannot be taken");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn take(&self, stream: TcpStream, peer: SocketAddr, free: OwnedSemaphorePermit) {
        let peer = peer.ip().to_canonical();
        let Some(place) = self.place_of(peer) else {
            metrics::counter!("kennet_portal_connections_refused_total").increment(1);
            return;
        };
        let Ok(own) = stream.local_addr() else { return };
        let address = SocketAddr::new(own.ip().to_canonical(), own.port());
        let (portal, certificate) = (Arc::clone(&self.portal), self.certificate.clone());
        self.life.spawn_short(async move {
            let _held = (place, free);
            let all = async {
                match &certificate {
                    None => carry(stream, &portal, Own { address, name: None }, peer).await,
                    Some(certificate) => {
                        let shaken = certificate.acceptor().accept(stream);
                        let Ok(Ok(stream)) = timeout(HEAD_WITHIN, shaken).await else { return };
                        let own = Own { address, name: Some(certificate.name()) };
                        carry(stream, &portal, own, peer).await;
                    }
                }
            };
            if timeout(ALL_WITHIN, all).await.is_err() {
                tracing::debug!(%peer, "{peer} is too slow");
            }
        });
    }

    /// `None` if this device has as many connections as it may.
    fn place_of(&self, peer: IpAddr) -> Option<Place> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.entry(peer).or_default();
        if *count >= OF_ONE_MAX {
            return None;
        }
        *count += 1;
        Some(Place { held: Arc::clone(&self.held), peer })
    }
}

/// One request and its answer.
async fn carry<S>(stream: S, portal: &Portal, own: Own<'_>, peer: IpAddr)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let service = service_fn(async |request: Request<Incoming>| {
        Ok::<_, Infallible>(http::serve(portal, own, peer, request.map(http::body)).await)
    });
    let connection = http1::Builder::new()
        .keep_alive(false)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_MAX)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%peer, error = %Chain(&error), "{peer} does not speak HTTP to the end");
    }
}

/// Of one connection among those of its device.
struct Place {
    held: Arc<Mutex<HashMap<IpAddr, usize>>>,
    peer: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.peer);
            }
        }
    }
}

/// Some ten kilobytes each: a few megabytes at most.
const CONNECTIONS_MAX: usize = 512;

/// A browser opens six, and its system looks at the same time.
const OF_ONE_MAX: usize = 12;

const HEADERS_MAX: usize = 64;
const HEAD_MAX: usize = 16 * 1024;
const HEAD_WITHIN: Duration = Duration::from_secs(5);

/// A few kilobytes pass in it on the worst of links.
const ALL_WITHIN: Duration = Duration::from_secs(20);

const PAUSE: Duration = Duration::from_millis(100);
