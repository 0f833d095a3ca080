//! Certificate, key and authority of RADIUS over TLS, from their files.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{
        CertificateDer, CertificateRevocationListDer, PrivateKeyDer,
        pem::{self, PemObject as _},
    },
    server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier},
    version::{TLS12, TLS13},
};
use x509_parser::{extensions::GeneralName, parse_x509_certificate};

use crate::settings::RadiusTls;

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("radius.tls.{key}: cannot read {file}")]
    Read { key: &'static str, file: PathBuf, source: io::Error },
    #[error("radius.tls.{key}: {file} is not PEM")]
    Pem { key: &'static str, file: PathBuf, source: pem::Error },
    #[error("radius.tls.{key}: there is no certificate in {file}")]
    NoCertificate { key: &'static str, file: PathBuf },
    #[error("radius.tls.client_crl: there is no revocation list in {0}")]
    NoList(PathBuf),
    #[error("radius.tls.key: there is no private key in {0}")]
    NoKey(PathBuf),
    #[error("radius.tls.client_ca: {file} has a certificate that cannot be trusted")]
    Authority { file: PathBuf, source: rustls::Error },
    #[error("radius.tls.client_ca: {file} cannot vouch for clients")]
    Verifier { file: PathBuf, source: VerifierBuilderError },
    #[error("radius.tls: the key in {key} does not fit the certificate in {cert}")]
    Pair { cert: PathBuf, key: PathBuf, source: rustls::Error },
    #[error("radius.tls: TLS cannot be set up")]
    Setup(#[source] rustls::Error),
}

/// TLS 1.2 and 1.3 with what rustls has of cipher suites (forward secrecy and AEAD only), as
/// RFC 9325 wants it, and no connection without a certificate of `client_ca`.
pub(super) fn load(settings: &RadiusTls) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let certificate = certificates("cert", &settings.cert)?;
    let key = private_key(&settings.key)?;
    let mut roots = RootCertStore::empty();
    for authority in certificates("client_ca", &settings.client_ca)? {
        roots
            .add(authority)
            .map_err(|source| TlsError::Authority { file: settings.client_ca.clone(), source })?;
    }
    // A list of one authority says nothing of those between it and a client.
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .with_crls(revoked(settings)?)
            .only_check_end_entity_revocation()
            .allow_unknown_revocation_status()
            .build()
            .map_err(|source| TlsError::Verifier { file: settings.client_ca.clone(), source })?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(TlsError::Setup)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificate, key)
        .map_err(|source| TlsError::Pair {
            cert: settings.cert.clone(),
            key: settings.key.clone(),
            source,
        })?;
    // Connections last: each begins with a look at the client's certificate.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

fn read(key: &'static str, file: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(file).map_err(|source| TlsError::Read { key, file: file.to_owned(), source })
}

fn certificates(key: &'static str, file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(key, file)?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|source| TlsError::Pem { key, file: file.to_owned(), source })?;
    if found.is_empty() {
        return Err(TlsError::NoCertificate { key, file: file.to_owned() });
    }
    Ok(found)
}

fn revoked(settings: &RadiusTls) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let Some(file) = &settings.client_crl else { return Ok(Vec::new()) };
    let text = read("client_crl", file)?;
    let found: Vec<_> = CertificateRevocationListDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|source| TlsError::Pem { key: "client_crl", file: file.clone(), source })?;
    if found.is_empty() {
        return Err(TlsError::NoList(file.clone()));
    }
    Ok(found)
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = zeroize::Zeroizing::new(read("key", file)?);
    PrivateKeyDer::from_pem_slice(&text).map_err(|source| {
        let file = file.to_owned();
        if matches!(source, pem::Error::NoItemsFound) {
            TlsError::NoKey(file)
        } else {
            TlsError::Pem { key: "key", file, source }
        }
    })
}

/// When each file was changed last. One that cannot be read just now has no time.
pub(super) fn changed_at(settings: &RadiusTls) -> Vec<Option<SystemTime>> {
    let RadiusTls { cert, key, client_ca, client_crl, listen: _ } = settings;
    let files = [Some(cert), Some(key), Some(client_ca), client_crl.as_ref()];
    let changed_at = |file| fs::metadata(file).and_then(|metadata| metadata.modified()).ok();
    files.into_iter().flatten().map(changed_at).collect()
}

/// The names that a client's certificate carries, in lower case: dNSNames of its
/// subjectAltName, and without any its common name.
pub(super) fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, certificate)) = parse_x509_certificate(certificate) else { return Vec::new() };
    let mut names = Vec::new();
    if let Ok(Some(alternative)) = certificate.subject_alternative_name() {
        for name in &alternative.value.general_names {
            if let GeneralName::DNSName(name) = name {
                names.push(name.to_ascii_lowercase());
            }
        }
    }
    if names.is_empty() {
        let common = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
        names.extend(common.map(str::to_ascii_lowercase));
    }
    names
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};
    use shared::daemon::Chain;
    use tempfile::TempDir;

    use super::*;

    fn self_signed(names: &[&str], common_name: &str) -> (rcgen::Certificate, KeyPair) {
        let names = names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, common_name);
        let key = KeyPair::generate().unwrap();
        (params.self_signed(&key).unwrap(), key)
    }

    fn settings(folder: &TempDir) -> RadiusTls {
        let file = |name| folder.path().join(name);
        let (certificate, key) = self_signed(&["edge.example"], "edge");
        fs::write(file("cert.pem"), certificate.pem()).unwrap();
        fs::write(file("key.pem"), key.serialize_pem()).unwrap();
        fs::write(file("ca.pem"), certificate.pem()).unwrap();
        RadiusTls {
            listen: ([127, 0, 0, 1], 0).into(),
            cert: file("cert.pem"),
            key: file("key.pem"),
            client_ca: file("ca.pem"),
            client_crl: None,
        }
    }

    #[test]
    fn a_file_that_is_wrong_is_named_with_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let good = settings(&folder);
        load(&good).unwrap();
        let garbled = folder.path().join("garbled.pem");
        fs::write(&garbled, "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n").unwrap();
        let other = folder.path().join("other.key");
        fs::write(&other, KeyPair::generate().unwrap().serialize_pem()).unwrap();
        let absent = folder.path().join("absent.pem");
        let client_crl = Some(good.cert.clone());
        let cases = [
            (RadiusTls { client_crl, ..good.clone() }, "no revocation list in"),
            (RadiusTls { cert: absent.clone(), ..good.clone() }, "radius.tls.cert: cannot read"),
            (RadiusTls { key: absent.clone(), ..good.clone() }, "radius.tls.key: cannot read"),
            (RadiusTls { client_ca: absent, ..good.clone() }, "radius.tls.client_ca: cannot read"),
            (RadiusTls { cert: garbled, ..good.clone() }, "garbled.pem is not PEM"),
            (RadiusTls { cert: other.clone(), ..good.clone() }, "no certificate in"),
            (RadiusTls { key: good.cert.clone(), ..good.clone() }, "no private key in"),
            (RadiusTls { key: other, ..good.clone() }, "other.key does not fit"),
        ];
        for (settings, expected) in cases {
            let error = load(&settings).unwrap_err();
            let text = Chain(&error).to_string();
            assert!(text.contains(expected), "{text}\nshould contain: {expected}");
        }
    }

    #[test]
    fn a_certificate_is_known_by_its_alternative_names_and_else_by_its_common_name() {
        let names_of = |carried: &[&str]| names(self_signed(carried, "Common").0.der());
        assert_eq!(names_of(&["NAS.example", "b.example"]), ["nas.example", "b.example"]);
        assert_eq!(names_of(&[]), ["common"]);
        // An address is not a name.
        assert_eq!(names_of(&["192.0.2.1"]), ["common"]);
        assert_eq!(names(&CertificateDer::from(vec![0x30, 0])), [""; 0]);
    }
}
