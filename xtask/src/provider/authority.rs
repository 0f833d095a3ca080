//! An authority with its certificates, as PEM files in a folder: for EAP and for RADIUS over TLS.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};

/// Its keys are ECDSA's, on P-256.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
    certificate: PathBuf,
}

/// Somebody's certificate and key. The certificate's file has those of the authorities between it
/// and the root too.
#[derive(Clone, Debug)]
pub struct Identity {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// What a certificate is shown for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Server,
    Client,
}

impl Authority {
    pub fn new(folder: &Path, name: &str) -> Result<Self> {
        let issuer = CertifiedIssuer::self_signed(authority(name)?, KeyPair::generate()?)?;
        let certificate = folder.join(name).with_extension("pem");
        write(&certificate, &issuer.pem(), 0o644)?;
        Ok(Self { issuer, folder: folder.to_owned(), certificate })
    }

    /// What those have who trust it.
    pub fn certificate(&self) -> &Path {
        &self.certificate
    }

    /// `name` is the subject and, as a DNS name, the alternative.
    pub fn issue(&self, role: Role, name: &str) -> Result<Identity> {
        self.issue_through(0, role, name)
    }

    /// With so many authorities in between: a chain of some kilobytes.
    pub fn issue_through(&self, between: usize, role: Role, name: &str) -> Result<Identity> {
        let mut chain: Vec<CertifiedIssuer<'_, KeyPair>> = Vec::new();
        for number in 0..between {
            let params = authority(&format!("between {name} and the root, number {number}"))?;
            let issuer = chain.last().unwrap_or(&self.issuer);
            chain.push(CertifiedIssuer::signed_by(params, KeyPair::generate()?, issuer)?);
        }
        let mut params = CertificateParams::new([name.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![match role {
            Role::Server => ExtendedKeyUsagePurpose::ServerAuth,
            Role::Client => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        let key = KeyPair::generate()?;
        let mut text = params.signed_by(&key, chain.last().unwrap_or(&self.issuer))?.pem();
        for between in chain.iter().rev() {
            text.push_str(&between.pem());
        }
        let at = self.folder.join(name);
        let identity =
            Identity { certificate: at.with_extension("pem"), key: at.with_extension("key") };
        write(&identity.certificate, &text, 0o644)?;
        write(&identity.key, &key.serialize_pem(), 0o600)?;
        Ok(identity)
    }
}

fn authority(name: &str) -> Result<CertificateParams> {
    let mut params = CertificateParams::new([])?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn write(file: &Path, text: &str, mode: u32) -> Result<()> {
    let mut options = fs::File::options();
    let options = options.write(true).create(true).truncate(true).mode(mode);
    let written = options.open(file).and_then(|mut open| open.write_all(text.as_bytes()));
    written.with_context(|| format!("cannot write {}", file.display()))
}
