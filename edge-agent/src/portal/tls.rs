//! The certificate of the portal, from its files, and again when they change.
//!
//! RFC 8908 is asked over TLS only, by a name that everybody's authorities vouch for.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject as _},
    },
    version::{TLS12, TLS13},
};
use shared::daemon::Chain;
use tokio_rustls::TlsAcceptor;

use crate::settings::PortalTls;

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("portal.tls.{key}: cannot read {file}")]
    Read { key: &'static str, file: PathBuf, source: io::Error },
    #[error("portal.tls.{key}: {file} is not PEM")]
    Pem { key: &'static str, file: PathBuf, source: pem::Error },
    #[error("portal.tls.cert: there is no certificate in {0}")]
    NoCertificate(PathBuf),
    #[error("portal.tls: the key in {key} does not fit the certificate in {cert}")]
    Pair { cert: PathBuf, key: PathBuf, source: rustls::Error },
    #[error("portal.tls: TLS cannot be set up")]
    Setup(#[source] rustls::Error),
}

#[derive(Debug)]
pub(super) struct Certificate {
    settings: PortalTls,
    config: ArcSwap<ServerConfig>,
}

impl Certificate {
    pub(super) fn load(settings: &PortalTls) -> Result<Self, TlsError> {
        let config = ArcSwap::new(config(settings)?);
        Ok(Self { settings: settings.clone(), config })
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.load_full())
    }

    pub(super) fn name(&self) -> &str {
        &self.settings.name
    }

    /// Until it is dropped. What is under way goes on with the old certificate.
    pub(super) async fn follow_its_files(self: Arc<Self>) {
        let mut known = changed_at(&self.settings);
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = changed_at(&self.settings);
            if now == known {
                continue;
            }
            known = now;
            match config(&self.settings) {
                Ok(config) => {
                    self.config.store(config);
                    tracing::info!("the certificate of the portal is read again");
                }
                Err(error) => tracing::error!(
                    error = %Chain(&error), "the certificate of the portal stays as it is"
                ),
            }
        }
    }
}

/// As certificates are renewed: by another program, some weeks before the old one ends.
const LOOK_EVERY: Duration = Duration::from_secs(10);

fn config(settings: &PortalTls) -> Result<Arc<ServerConfig>, TlsError> {
    let PortalTls { cert, key, .. } = settings;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&read("cert", cert)?)
        .collect::<Result<_, _>>()
        .map_err(|source| TlsError::Pem { key: "cert", file: cert.clone(), source })?;
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate(cert.clone()));
    }
    let text = zeroize::Zeroizing::new(read("key", key)?);
    let private = PrivateKeyDer::from_pem_slice(&text).map_err(|source| TlsError::Pem {
        key: "key",
        file: key.clone(),
        source,
    })?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(TlsError::Setup)?
        .with_no_client_auth()
        .with_single_cert(certificates, private)
        .map_err(|source| TlsError::Pair { cert: cert.clone(), key: key.clone(), source })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn read(key: &'static str, file: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(file).map_err(|source| TlsError::Read { key, file: file.to_owned(), source })
}

/// When each file was changed last. One that cannot be read just now has no time.
fn changed_at(settings: &PortalTls) -> [Option<SystemTime>; 2] {
    [&settings.cert, &settings.key]
        .map(|file| fs::metadata(file).and_then(|metadata| metadata.modified()).ok())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    #[test]
    fn a_file_that_is_wrong_is_named_with_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name| folder.path().join(name);
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["portal.example".to_owned()]).unwrap();
        fs::write(file("cert.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        fs::write(file("key.pem"), key.serialize_pem()).unwrap();
        fs::write(file("other.key"), KeyPair::generate().unwrap().serialize_pem()).unwrap();
        fs::write(file("empty"), "").unwrap();
        let good = PortalTls {
            name: "portal.example".to_owned(),
            listen: ([127, 0, 0, 1], 0).into(),
            cert: file("cert.pem"),
            key: file("key.pem"),
        };
        Certificate::load(&good).unwrap();
        for (settings, expected) in [
            (PortalTls { cert: file("none"), ..good.clone() }, "portal.tls.cert: cannot read"),
            (PortalTls { key: file("none"), ..good.clone() }, "portal.tls.key: cannot read"),
            (PortalTls { cert: file("empty"), ..good.clone() }, "no certificate in"),
            (PortalTls { key: file("empty"), ..good.clone() }, "portal.tls.key"),
            (PortalTls { key: file("other.key"), ..good }, "other.key does not fit"),
        ] {
            let text = Chain(&Certificate::load(&settings).unwrap_err()).to_string();
            assert!(text.contains(expected), "{text}\nshould contain: {expected}");
        }
    }
}
