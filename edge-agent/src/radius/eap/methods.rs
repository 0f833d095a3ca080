//! Which methods are offered, and with which certificate: read at the start, and again when the
//! files change. Conversations that run keep what they began with.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use arc_swap::ArcSwap;
use radius::eap::{
    Kind, Methods,
    tls::{Files, Options, Tls, TlsError, Version},
};
use shared::daemon::Chain;

use crate::settings;

/// What peers are offered now.
#[derive(Debug)]
pub struct Offer {
    settings: Option<settings::Eap>,
    current: ArcSwap<Methods>,
    /// When the files were written that `current` is made of.
    written: Mutex<Vec<Option<SystemTime>>>,
    /// The day on which it was last said that the certificate ends.
    said_on: AtomicU64,
}

#[derive(Debug, thiserror::Error)]
pub enum EapError {
    #[error("radius.eap: cannot read {file}")]
    Read { file: PathBuf, source: io::Error },
    #[error("radius.eap: {cert} with {key}")]
    Tls { cert: PathBuf, key: PathBuf, source: TlsError },
}

impl Offer {
    /// Without `settings`, what needs no certificate.
    pub fn read(settings: Option<&settings::Eap>) -> Result<Self, EapError> {
        let written = settings.map(written).unwrap_or_default();
        let methods = match settings {
            Some(settings) => read(settings)?,
            None => Methods::simple(None),
        };
        Ok(Self {
            settings: settings.cloned(),
            current: ArcSwap::from_pointee(methods),
            written: Mutex::new(written),
            said_on: AtomicU64::new(0),
        })
    }

    pub(super) fn current(&self) -> Arc<Methods> {
        self.current.load_full()
    }

    /// Reads the files again. What cannot be served leaves everything as it is.
    pub fn reload(&self) {
        let Some(settings) = &self.settings else { return };
        let now = written(settings);
        *self.written.lock().unwrap_or_else(PoisonError::into_inner) = now;
        match read(settings) {
            Ok(methods) => {
                self.current.store(Arc::new(methods));
                tracing::info!(file = %settings.cert.display(), "the certificate of EAP is read again");
            }
            Err(error) => {
                tracing::error!(error = %Chain(&error), "EAP goes on with the certificate that it has");
            }
        }
    }

    /// As [`Offer::reload`], where a file was written since.
    pub fn reload_if_changed(&self) {
        let Some(settings) = &self.settings else { return };
        let is_changed = {
            let known = self.written.lock().unwrap_or_else(PoisonError::into_inner);
            written(settings) != *known
        };
        if is_changed {
            self.reload();
        }
    }
}

impl Offer {
    /// Says every day that our certificate ends soon: peers then stay out, most without a word.
    pub(super) fn watch_end(&self, now: u64) {
        let Some(end) = self.current.load().tls().and_then(Tls::end) else { return };
        metrics::gauge!("kennet_radius_eap_certificate_seconds_left")
            .set(f64::from(u32::try_from(end.saturating_sub(now)).unwrap_or(u32::MAX)));
        if now + SOON < end || self.said_on.swap(now / DAY, Ordering::Relaxed) == now / DAY {
            return;
        }
        if now < end {
            let days = (end - now) / DAY;
            tracing::warn!("the certificate of EAP ends in {days} days");
        } else {
            tracing::error!("the certificate of EAP has expired: peers will not log in");
        }
    }
}

const DAY: u64 = 24 * 60 * 60;

/// Time enough to get another one.
const SOON: u64 = 21 * DAY;

fn files(settings: &settings::Eap) -> impl Iterator<Item = &Path> {
    let (ca, crl) = (settings.client_ca.as_ref(), settings.client_crl.as_ref());
    [Some(&settings.cert), Some(&settings.key), ca, crl].into_iter().flatten().map(PathBuf::as_path)
}

fn written(settings: &settings::Eap) -> Vec<Option<SystemTime>> {
    files(settings).map(|file| fs::metadata(file).and_then(|file| file.modified()).ok()).collect()
}

fn read(settings: &settings::Eap) -> Result<Methods, EapError> {
    let octets = |file: &Path| {
        fs::read(file).map_err(|source| EapError::Read { file: file.to_owned(), source })
    };
    let (cert, key) = (octets(&settings.cert)?, octets(&settings.key)?);
    let client_ca = settings.client_ca.as_deref().map(octets).transpose()?;
    let client_crl = settings.client_crl.as_deref().map(octets).transpose()?;
    let options = Options {
        min_version: match settings.min_tls {
            settings::TlsVersion::V1_2 => Version::Tls12,
            settings::TlsVersion::V1_3 => Version::Tls13,
        },
        session_seconds: settings.session_seconds,
    };
    let files = Files {
        certificate: &cert,
        key: &key,
        client_ca: client_ca.as_deref(),
        client_crl: client_crl.as_deref(),
    };
    let tls = Tls::new(files, options).map_err(|source| EapError::Tls {
        cert: settings.cert.clone(),
        key: settings.key.clone(),
        source,
    })?;
    let order: Option<Vec<Kind>> =
        settings.methods.as_ref().map(|methods| methods.iter().map(|&one| kind(one)).collect());
    Ok(Methods::with_tls(tls, order.as_deref()))
}

const fn kind(method: settings::EapMethod) -> Kind {
    match method {
        settings::EapMethod::Peap => Kind::PEAP,
        settings::EapMethod::Ttls => Kind::TTLS,
        settings::EapMethod::Tls => Kind::TLS,
        settings::EapMethod::Mschapv2 => Kind::MSCHAPV2,
        settings::EapMethod::Md5 => Kind::MD5,
    }
}
