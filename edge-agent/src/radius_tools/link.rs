//! The way to a server and back: UDP with retransmissions, or TLS (RFC 6614).

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpStream, UdpSocket},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use radius::{
    LEN_MAX, Packet,
    client::{Client, Due, Ignored, Outcome},
};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{
        CertificateDer, InvalidDnsNameError, PrivateKeyDer, ServerName, pem::PemObject as _,
    },
};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    #[error("cannot reach {to}")]
    Reach { to: SocketAddr, source: io::Error },
    #[error("TLS with {to}")]
    Tls { to: SocketAddr, source: io::Error },
    #[error("{0} does not answer")]
    NoAnswer(SocketAddr),
    #[error("{to} has closed the connection without an answer")]
    Closed { to: SocketAddr },
}

/// What is seen on the way.
pub(super) enum Seen<'p> {
    Sent(&'p [u8]),
    SentAgain,
    /// A packet that does not answer, and why.
    Ignored(&'static str),
}

/// Sends what `client` has, until the reply is there.
pub(super) fn over_udp(
    from: Option<IpAddr>,
    to: SocketAddr,
    client: &mut Client,
    random: &mut dyn FnMut() -> u32,
    see: &mut dyn FnMut(Seen<'_>),
) -> Result<Vec<u8>, LinkError> {
    let reach = |source| LinkError::Reach { to, source };
    let any: IpAddr = if to.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let socket = UdpSocket::bind((from.unwrap_or(any), 0)).map_err(reach)?;
    socket.connect(to).map_err(reach)?;
    let mut sends = 0;
    let mut buffer = [0; LEN_MAX + 1];
    loop {
        match client.handle_timeout(Instant::now(), random()) {
            Some(Due::Send { packet, .. }) => {
                see(if sends == 0 { Seen::Sent(packet) } else { Seen::SentAgain });
                sends += 1;
                match socket.send(packet) {
                    // That nobody listens comes back with the next call.
                    Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                    sent => drop(sent.map_err(reach)?),
                }
            }
            // The packets here do not change; an exchange without one has ended.
            Some(Due::GivenUp(_) | Due::Write(_)) => return Err(LinkError::NoAnswer(to)),
            None => {}
        }
        let Some(due) = client.poll_timeout() else { return Err(LinkError::NoAnswer(to)) };
        let wait = due.saturating_duration_since(Instant::now());
        if wait.is_zero() {
            continue;
        }
        socket.set_read_timeout(Some(wait)).map_err(reach)?;
        match socket.recv(&mut buffer) {
            Ok(len) => {
                let datagram = buffer.get(..len).unwrap_or_default();
                match judge(client, to, datagram) {
                    Ok(()) => return Ok(datagram.to_vec()),
                    Err(why) => see(Seen::Ignored(why)),
                }
            }
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                see(Seen::Ignored("nobody listens there"));
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) => {}
            Err(source) => return Err(reach(source)),
        }
    }
}

fn judge(client: &mut Client, from: SocketAddr, datagram: &[u8]) -> Result<(), &'static str> {
    let packet = Packet::decode(datagram).map_err(|_| "a datagram that is not RADIUS")?;
    match client.handle_reply(from, &packet) {
        Outcome::Answers(_) => Ok(()),
        Outcome::Ignored(Ignored::Late) => Err("a reply to another request"),
        Outcome::Ignored(Ignored::Code) => Err("a packet that is not a reply to this request"),
        Outcome::Ignored(Ignored::Forged) => {
            Err("a reply that does not prove itself: another secret, or no Message-Authenticator \
             (an old server: --no-message-authenticator)")
        }
    }
}

/// What TLS needs.
#[derive(clap::Args)]
pub(super) struct Tls {
    /// RADIUS over TLS (RFC 6614), port 2083 if none is given.
    #[arg(id = "tls", long = "tls", requires = "ca")]
    pub(super) wanted: bool,
    /// The authority of the server's certificate, PEM.
    #[arg(long, value_name = "FILE", requires = "tls")]
    ca: Option<PathBuf>,
    /// Our certificate, PEM.
    #[arg(long, value_name = "FILE", requires_all = ["tls", "key"])]
    cert: Option<PathBuf>,
    /// Its key, PEM.
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// The name in the server's certificate, if it is not the one that is connected to.
    #[arg(long, value_name = "NAME", requires = "tls")]
    server_name: Option<String>,
}

/// What is wrong in the files or names for TLS.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsFault {
    #[error("{path}: it should hold a PEM {what}")]
    Pem { path: PathBuf, what: &'static str, source: rustls::pki_types::pem::Error },
    #[error("{0} holds no certificate")]
    Empty(PathBuf),
    #[error("the certificate and its key, or the authority, cannot be used")]
    Unusable(#[source] rustls::Error),
    #[error("`{name}` cannot be the name in a certificate")]
    Name { name: String, source: InvalidDnsNameError },
}

impl Tls {
    /// Reads the files. `host` is what is connected to.
    pub(super) fn connection(&self, host: &str) -> Result<ClientConnection, TlsFault> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(self.ca.as_deref().unwrap_or(Path::new("")))? {
            roots.add(certificate).map_err(TlsFault::Unusable)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsFault::Unusable)?
            .with_root_certificates(roots);
        let config =
            match (&self.cert, &self.key) {
                (Some(cert), Some(key)) => {
                    let secret = PrivateKeyDer::from_pem_file(key).map_err(|source| {
                        TlsFault::Pem { path: key.clone(), what: "private key", source }
                    })?;
                    builder
                        .with_client_auth_cert(certificates(cert)?, secret)
                        .map_err(TlsFault::Unusable)?
                }
                _ => builder.with_no_client_auth(),
            };
        let name = self.server_name.as_deref().unwrap_or(host);
        let name = ServerName::try_from(name.to_owned())
            .map_err(|source| TlsFault::Name { name: name.to_owned(), source })?;
        ClientConnection::new(Arc::new(config), name).map_err(TlsFault::Unusable)
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let fault = |source| TlsFault::Pem { path: path.to_owned(), what: "certificate", source };
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(fault)?
        .collect::<Result<_, _>>()
        .map_err(fault)?;
    if certificates.is_empty() { Err(TlsFault::Empty(path.to_owned())) } else { Ok(certificates) }
}

/// Sends what `client` has, once: TCP does not lose it (RFC 6613 §2.6.1).
pub(super) fn over_tls(
    connection: ClientConnection,
    to: SocketAddr,
    client: &mut Client,
    wait: Duration,
    see: &mut dyn FnMut(Seen<'_>),
) -> Result<Vec<u8>, LinkError> {
    let reach = |source| LinkError::Reach { to, source };
    let tls = |source: io::Error| {
        let kind = source.kind();
        if matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut) {
            LinkError::NoAnswer(to)
        } else if matches!(kind, ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) {
            LinkError::Closed { to }
        } else {
            LinkError::Tls { to, source }
        }
    };
    let socket = TcpStream::connect_timeout(&to, wait).map_err(reach)?;
    socket.set_read_timeout(Some(wait)).map_err(reach)?;
    socket.set_nodelay(true).map_err(reach)?;
    let mut stream = StreamOwned::new(connection, socket);
    let Some(Due::Send { packet, .. }) = client.handle_timeout(Instant::now(), 0) else {
        return Err(LinkError::NoAnswer(to));
    };
    see(Seen::Sent(packet));
    stream.write_all(packet).and_then(|()| stream.flush()).map_err(tls)?;
    loop {
        let mut header = [0; 4];
        stream.read_exact(&mut header).map_err(tls)?;
        let [_, _, high, low] = header;
        let len = usize::from(u16::from_be_bytes([high, low])).clamp(header.len(), LEN_MAX);
        let mut packet = header.to_vec();
        packet.resize(len, 0);
        stream.read_exact(packet.get_mut(header.len()..).unwrap_or_default()).map_err(tls)?;
        match judge(client, to, &packet) {
            Ok(()) => {
                stream.conn.send_close_notify();
                // The answer is there; that the goodbye arrives is not our business.
                let _ = stream.flush();
                return Ok(packet);
            }
            Err(why) => see(Seen::Ignored(why)),
        }
    }
}
