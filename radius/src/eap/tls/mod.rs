//! EAP methods that run TLS: EAP-TLS (RFC 5216, RFC 9190), EAP-TTLS (RFC 5281), PEAPv0
//! (\[MS-PEAP\]); all three with TLS 1.2 and, by RFC 9427, with TLS 1.3.
//!
//! [`tunnel`] is TLS in EAP packets: fragments both ways around a rustls connection.
//! [`tunnelled`] is what comes in which order; [`peap`] and [`ttls`] are what is said inside.
//! [`sessions`] remembers who can come back without a password.

use std::sync::Arc;

use rustls::{
    RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion,
    crypto::ring,
    pki_types::{
        CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime, pem,
        pem::PemObject as _,
    },
    server::{VerifierBuilderError, WebPkiClientVerifier, danger::ClientCertVerifier},
    version::{TLS12, TLS13},
};

use super::packet::Kind;

pub mod avp;
pub mod certificate;
pub mod peap;
mod sessions;
mod ttls;
pub mod tunnel;
pub(super) mod tunnelled;

use self::sessions::{Sessions, Visit};

/// Our certificate, whose certificates are trusted, and the sessions that can be resumed.
#[derive(Debug)]
pub struct Tls {
    /// Without certificates of peers: for PEAP and EAP-TTLS.
    tunnel: ServerConfig,
    /// With them: for EAP-TLS.
    mutual: Option<Mutual>,
    sessions: Arc<Sessions>,
    end: Option<u64>,
}

#[derive(Debug)]
struct Mutual {
    config: ServerConfig,
    verifier: Arc<dyn ClientCertVerifier>,
}

/// What is served, each as PEM.
#[derive(Clone, Copy, Debug)]
pub struct Files<'a> {
    /// Our certificate with its chain.
    pub certificate: &'a [u8],
    /// Its key.
    pub key: &'a [u8],
    /// The authorities of the peers' certificates, without which there is no EAP-TLS.
    pub client_ca: Option<&'a [u8]>,
    /// What those authorities have revoked.
    pub client_crl: Option<&'a [u8]>,
}

/// What can be chosen.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The oldest TLS that is spoken.
    pub min_version: Version,
    /// For how many seconds a session can be resumed; 0 for never.
    pub session_seconds: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { min_version: Version::Tls12, session_seconds: 24 * 60 * 60 }
    }
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// TLS 1.2, RFC 5246.
    Tls12,
    /// TLS 1.3, RFC 8446.
    Tls13,
}

/// Why TLS cannot be served with these files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file of our certificate is not PEM, or there is none in it.
    #[error("the certificate cannot be read as PEM")]
    Certificate(#[source] pem::Error),
    /// There is no certificate in the file.
    #[error("there is no certificate in the file")]
    NoCertificate,
    /// The file of our key is not PEM, or there is none in it.
    #[error("the private key cannot be read as PEM")]
    Key(#[source] pem::Error),
    /// The certificate is of another key, or of a kind that TLS does not know.
    #[error("certificate and private key do not fit")]
    Unfit(#[source] rustls::Error),
    /// The file of the authorities is not PEM.
    #[error("the authorities of clients cannot be read as PEM")]
    ClientCa(#[source] pem::Error),
    /// An authority is not a certificate that signs others.
    #[error("an authority of clients is not one")]
    Authority(#[source] rustls::Error),
    /// What is revoked cannot be read as PEM.
    #[error("the list of revoked certificates cannot be read as PEM")]
    ClientCrl(#[source] pem::Error),
    /// There is no authority in the file, or the list of revoked certificates is not one.
    #[error("the certificates of clients cannot be verified")]
    Verifier(#[source] VerifierBuilderError),
}

impl Tls {
    /// Reads and checks what will be served.
    pub fn new(files: Files<'_>, options: Options) -> Result<Self, TlsError> {
        let Files { certificate: own, key, client_ca, client_crl } = files;
        let chain = CertificateDer::pem_slice_iter(own)
            .collect::<Result<Vec<_>, _>>()
            .map_err(TlsError::Certificate)?;
        if chain.is_empty() {
            return Err(TlsError::NoCertificate);
        }
        let end = chain.first().and_then(|first| certificate::end(first));
        let key = PrivateKeyDer::from_pem_slice(key).map_err(TlsError::Key)?;
        let mutual = client_ca
            .map(|authorities| {
                let verifier = verifier(authorities, client_crl)?;
                let config = config(options, Some(&verifier), &chain, &key)?;
                Ok(Mutual { config, verifier })
            })
            .transpose()?;
        let tunnel = config(options, None, &chain, &key)?;
        let sessions = Arc::new(Sessions::new(options.session_seconds));
        Ok(Self { tunnel, mutual, sessions, end })
    }

    /// Until when our certificate is good, in seconds since 1970.
    pub const fn end(&self) -> Option<u64> {
        self.end
    }

    pub(super) fn serves(&self, kind: Kind) -> bool {
        match kind {
            Kind::PEAP | Kind::TTLS => true,
            Kind::TLS => self.mutual.is_some(),
            Kind(_) => false,
        }
    }

    fn connect(
        &self,
        kind: Kind,
        now: u64,
    ) -> Result<(ServerConnection, Arc<Visit>), rustls::Error> {
        let config = match &self.mutual {
            Some(mutual) if kind == Kind::TLS => &mutual.config,
            Some(_) | None => &self.tunnel,
        };
        let visit = Arc::new(Visit::new(&self.sessions, kind, now));
        let mut config = config.clone();
        config.session_storage = Arc::<Visit>::clone(&visit);
        Ok((ServerConnection::new(Arc::new(config))?, visit))
    }

    /// A resumed session has shown its certificate long ago: is it still good?
    fn is_still_good(&self, chain: &[CertificateDer<'_>], now: u64) -> bool {
        let Some((mutual, (first, rest))) = self.mutual.as_ref().zip(chain.split_first()) else {
            return false;
        };
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now));
        mutual.verifier.verify_client_cert(first, rest, now).is_ok()
    }
}

fn verifier(
    authorities: &[u8],
    revoked: Option<&[u8]>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(authorities) {
        roots.add(authority.map_err(TlsError::ClientCa)?).map_err(TlsError::Authority)?;
    }
    let provider = Arc::new(ring::default_provider());
    let revoked = CertificateRevocationListDer::pem_slice_iter(revoked.unwrap_or_default())
        .collect::<Result<Vec<_>, _>>()
        .map_err(TlsError::ClientCrl)?;
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .with_crls(revoked)
        // An authority without a list has revoked nothing that we know of.
        .only_check_end_entity_revocation()
        .allow_unknown_revocation_status()
        .build()
        .map_err(TlsError::Verifier)
}

fn config(
    options: Options,
    verifier: Option<&Arc<dyn ClientCertVerifier>>,
    chain: &[CertificateDer<'static>],
    key: &PrivateKeyDer<'static>,
) -> Result<ServerConfig, TlsError> {
    let versions: &[&SupportedProtocolVersion] = match options.min_version {
        Version::Tls12 => &[&TLS13, &TLS12],
        Version::Tls13 => &[&TLS13],
    };
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .map_err(TlsError::Unfit)?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(Arc::clone(verifier)),
        None => builder.with_no_client_auth(),
    };
    let mut config =
        builder.with_single_cert(chain.to_vec(), key.clone_key()).map_err(TlsError::Unfit)?;
    // One login follows another: a second ticket is never used.
    config.send_tls13_tickets = usize::from(options.session_seconds > 0);
    Ok(config)
}
