//! Settings: `edge.toml`, parsed completely before anything is bound.
//!
//! A section that is left out means that part does not start. An unknown key is an error.

use std::{
    fmt, io,
    net::{SocketAddr, SocketAddrV6},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use radius::Dictionary;
use serde::Deserialize;
use shared::{id::EdgeId, secret::Secret};

use crate::{
    dictionaries::{self, LoadError},
    sessions::Pace,
};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where journal, sessions and the last good desired state are kept.
    pub state_dir: PathBuf,
    pub radius: Option<Radius>,
    pub dataplane: Option<Dataplane>,
    pub portal: Option<Portal>,
    pub metrics: Option<Metrics>,
    pub uplink: Option<Uplink>,
    pub desired: Option<Desired>,
    #[serde(default)]
    pub sessions: Sessions,
    /// Made by [`Settings::read`] of what is shipped and of `radius.dictionaries`.
    #[serde(skip)]
    pub dictionary: Arc<Dictionary>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Radius {
    #[serde(default)]
    pub auth: Vec<SocketAddr>,
    #[serde(default)]
    pub acct: Vec<SocketAddr>,
    /// Where others can disconnect this edge's own sessions (RFC 5176).
    #[serde(default)]
    pub dynauth: Vec<SocketAddr>,
    /// RADIUS over TLS (RFC 6614).
    pub tls: Option<RadiusTls>,
    /// The certificate that EAP methods show.
    pub eap: Option<Eap>,
    /// Files with attributes of vendors that are not shipped, in the format of FreeRADIUS.
    #[serde(default)]
    pub dictionaries: Vec<PathBuf>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RadiusTls {
    pub listen: SocketAddr,
    pub cert: PathBuf,
    pub key: PathBuf,
    /// Who vouches for the NASes: nobody is served without a certificate.
    pub client_ca: PathBuf,
    /// Certificates that count no more: lists of the authorities, PEM.
    pub client_crl: Option<PathBuf>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Eap {
    pub cert: PathBuf,
    pub key: PathBuf,
    /// Who signs the certificates of subscribers' devices; without it there is no EAP-TLS.
    pub client_ca: Option<PathBuf>,
    /// What those have revoked.
    pub client_crl: Option<PathBuf>,
    /// What is offered, the first first; all when left out.
    pub methods: Option<Vec<EapMethod>>,
    /// The oldest TLS that is spoken.
    #[serde(default)]
    pub min_tls: TlsVersion,
    /// For how long who has logged in can come back without a password; 0 for never.
    #[serde(default = "default_eap_session_seconds")]
    pub session_seconds: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EapMethod {
    Peap,
    Ttls,
    Tls,
    Mschapv2,
    Md5,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum TlsVersion {
    #[default]
    #[serde(rename = "1.2")]
    V1_2,
    #[serde(rename = "1.3")]
    V1_3,
}

/// A day, as other servers do.
const fn default_eap_session_seconds() -> u32 {
    24 * 60 * 60
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Portal {
    pub listen: SocketAddr,
    /// The same over IPv6, where `listen` is an IPv4 address.
    pub listen_v6: Option<SocketAddrV6>,
    pub tls: Option<PortalTls>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortalTls {
    /// A name that is in the certificate, and that means `listen` to devices.
    pub name: String,
    pub listen: SocketAddr,
    pub cert: PathBuf,
    pub key: PathBuf,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dataplane {
    /// Interfaces towards subscribers.
    pub lan: Vec<String>,
    /// Interfaces towards the internet.
    pub wan: Vec<String>,
    /// A folder on a BPF file system, where maps and links outlive this process.
    #[serde(default = "default_pins")]
    pub pins: PathBuf,
    /// How many sessions can be on-line at once.
    #[serde(default = "default_slots")]
    pub slots: u32,
    /// What delays packets; the best that this kernel has when left out.
    pub muscle: Option<Muscle>,
}

/// What delays packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Muscle {
    /// `fq`, by departure time. Linux 5.18.
    Fq,
    /// An HTB class for each session.
    Htb,
    /// Nothing: over the rate is dropped.
    Police,
}

impl Muscle {
    pub const fn kind(self) -> ebpf::clock::Muscle {
        match self {
            Self::Fq => ebpf::clock::Muscle::Fq,
            Self::Htb => ebpf::clock::Muscle::Htb,
            Self::Police => ebpf::clock::Muscle::Police,
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    pub listen: SocketAddr,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Uplink {
    /// The broker: `mqtt://HOST:PORT` (loopback and labs) or `mqtts://HOST:PORT`.
    pub url: String,
    /// The controller's API: `http://HOST:PORT` (loopback and labs) or `https://HOST:PORT`.
    pub api: String,
    pub edge: EdgeId,
    /// The secret that the controller gave this edge, alone in a file.
    pub secret_file: PathBuf,
    /// Authorities to trust in place of the system's, PEM.
    pub ca: Option<PathBuf>,
    /// Read from `secret_file` by [`Settings::read`].
    #[serde(skip)]
    pub secret: Option<Secret>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Desired {
    pub file: PathBuf,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sessions {
    /// How often a session that moved something is written to the journal.
    pub report_seconds: u32,
    /// How often live counters go to the controller's screens.
    pub live_seconds: u32,
    /// For how long a NAS may say nothing of a session that it meters before the session counts
    /// as forgotten; three of the NAS's own intervals if that is longer.
    pub silence_seconds: u32,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { report_seconds: 60, live_seconds: 5, silence_seconds: 300 }
    }
}

impl Sessions {
    pub const fn pace(&self) -> Pace {
        Pace {
            report_ms: self.report_seconds as u64 * 1_000,
            silence_ms: self.silence_seconds as u64 * 1_000,
        }
    }

    pub const fn live_every(&self) -> Duration {
        Duration::from_secs(self.live_seconds as u64)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("cannot read {file}")]
    Read { file: PathBuf, source: io::Error },
    #[error("{file}: {fault}")]
    Parse { file: PathBuf, fault: String },
    #[error("{file}: radius.dictionaries")]
    Dictionaries { file: PathBuf, source: LoadError },
    #[error("{file}: {key}: {fault}")]
    Value { file: PathBuf, key: String, fault: String },
}

impl Settings {
    /// Parses `file` and reads the secrets it names. Relative paths are relative to the folder of
    /// the file.
    pub fn read(file: &Path) -> Result<Self, SettingsError> {
        let text = std::fs::read_to_string(file)
            .map_err(|source| SettingsError::Read { file: file.to_owned(), source })?;
        let folder = file.parent().unwrap_or(Path::new(""));
        let mut settings = Self::parse(file, &text)?;
        for path in settings.paths() {
            *path = folder.join(&*path);
        }
        let own = settings.radius.as_ref().map_or(&[][..], |radius| &radius.dictionaries);
        let dictionary = dictionaries::load(own)
            .map_err(|source| SettingsError::Dictionaries { file: file.to_owned(), source })?;
        settings.dictionary = Arc::new(dictionary);
        if let Some(uplink) = &mut settings.uplink {
            let secret = std::fs::read_to_string(&uplink.secret_file).map_err(|source| {
                let path = uplink.secret_file.display();
                value(file, "uplink.secret_file", format_args!("cannot read {path}: {source}"))
            })?;
            let secret = secret.trim_end_matches(['\r', '\n']);
            if secret.is_empty() {
                let path = uplink.secret_file.display();
                return Err(value(file, "uplink.secret_file", format_args!("{path} is empty")));
            }
            uplink.secret = Some(Secret::new(secret.to_owned()));
        }
        Ok(settings)
    }

    /// Only the dictionaries that `file` names.
    pub fn dictionaries(file: &Path) -> Result<Vec<PathBuf>, SettingsError> {
        let text = std::fs::read_to_string(file)
            .map_err(|source| SettingsError::Read { file: file.to_owned(), source })?;
        let folder = file.parent().unwrap_or(Path::new(""));
        let own = Self::parse(file, &text)?.radius.unwrap_or_default().dictionaries;
        Ok(own.into_iter().map(|path| folder.join(path)).collect())
    }

    /// Without reading anything else; `file` is for messages.
    pub fn parse(file: &Path, text: &str) -> Result<Self, SettingsError> {
        let settings: Self = toml::from_str(text).map_err(|error| SettingsError::Parse {
            file: file.to_owned(),
            fault: error.to_string(),
        })?;
        settings.check(file)?;
        Ok(settings)
    }

    fn check(&self, file: &Path) -> Result<(), SettingsError> {
        if let Some(dataplane) = &self.dataplane {
            for (key, interfaces) in
                [("dataplane.lan", &dataplane.lan), ("dataplane.wan", &dataplane.wan)]
            {
                if interfaces.is_empty() {
                    return Err(value(file, key, "name at least one interface, like [\"lan0\"]"));
                }
                if let Some(name) = interfaces.iter().find(|name| !is_interface_name(name)) {
                    let fault = format_args!(
                        "`{name}` is not an interface name (1 to 15 characters, no space, no /)"
                    );
                    return Err(value(file, key, fault));
                }
            }
            if let Some(name) = dataplane.lan.iter().find(|name| dataplane.wan.contains(name)) {
                let fault = format_args!("`{name}` is both lan and wan");
                return Err(value(file, "dataplane.wan", fault));
            }
            if !(1..=SLOTS_MAX).contains(&dataplane.slots) {
                let fault = format_args!("should be 1 to {SLOTS_MAX}, not {}", dataplane.slots);
                return Err(value(file, "dataplane.slots", fault));
            }
        }
        if let Some(portal) = &self.portal
            && portal.listen_v6.is_some()
            && portal.listen.is_ipv6()
        {
            let fault = format_args!("should be an IPv4 address beside listen_v6");
            return Err(value(file, "portal.listen", fault));
        }
        if let Some(tls) = self.portal.as_ref().and_then(|portal| portal.tls.as_ref())
            && !is_host_name(&tls.name)
        {
            let fault = format_args!("`{}` is not a host name", tls.name);
            return Err(value(file, "portal.tls.name", fault));
        }
        if let Some(radius) = &self.radius
            && radius.auth.is_empty()
            && radius.acct.is_empty()
            && radius.tls.is_none()
        {
            let fault = "name at least one of auth, acct and tls, like auth = [\"127.0.0.1:1812\"]";
            return Err(value(file, "radius", fault));
        }
        if let Some(uplink) = &self.uplink {
            for (key, url, schemes) in [
                ("uplink.url", &uplink.url, ["mqtt://", "mqtts://"]),
                ("uplink.api", &uplink.api, ["http://", "https://"]),
            ] {
                if !schemes.iter().any(|scheme| url.starts_with(scheme)) {
                    let fault = format_args!(
                        "should start with {} or {}, not `{url}`",
                        schemes[1], schemes[0]
                    );
                    return Err(value(file, key, fault));
                }
            }
        }
        if self.uplink.is_none() && self.desired.is_none() {
            let fault = "without [uplink] and without [desired] nobody could ever log in";
            return Err(value(file, "desired", fault));
        }
        for (key, seconds) in [
            ("sessions.report_seconds", self.sessions.report_seconds),
            ("sessions.live_seconds", self.sessions.live_seconds),
            ("sessions.silence_seconds", self.sessions.silence_seconds),
        ] {
            if seconds == 0 {
                return Err(value(file, key, "should be at least 1"));
            }
        }
        Ok(())
    }

    fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let uplink = self.uplink.as_mut();
        let (secret, ca) = match uplink {
            Some(uplink) => (Some(&mut uplink.secret_file), uplink.ca.as_mut()),
            None => (None, None),
        };
        let (own, tls, eap) = match self.radius.as_mut() {
            Some(radius) => {
                (Some(&mut radius.dictionaries), radius.tls.as_mut(), radius.eap.as_mut())
            }
            None => (None, None, None),
        };
        let tls = tls.map(|tls| {
            let crl = tls.client_crl.as_mut();
            [Some(&mut tls.cert), Some(&mut tls.key), Some(&mut tls.client_ca), crl]
        });
        let tls = tls.into_iter().flatten().flatten();
        let eap = eap.map(|eap| {
            let (ca, crl) = (eap.client_ca.as_mut(), eap.client_crl.as_mut());
            [Some(&mut eap.cert), Some(&mut eap.key), ca, crl]
        });
        let portal = self.portal.as_mut().and_then(|portal| portal.tls.as_mut());
        let portal = portal.map(|tls| [&mut tls.cert, &mut tls.key]);
        [
            Some(&mut self.state_dir),
            self.desired.as_mut().map(|desired| &mut desired.file),
            secret,
            ca,
        ]
        .into_iter()
        .chain(eap.into_iter().flatten())
        .flatten()
        .chain(tls)
        .chain(portal.into_iter().flatten())
        .chain(own.into_iter().flatten())
    }
}

fn value(file: &Path, key: &str, fault: impl fmt::Display) -> SettingsError {
    SettingsError::Value { file: file.to_owned(), key: key.to_owned(), fault: fault.to_string() }
}

/// It stands in addresses of pages: letters, digits, hyphens, and dots between.
fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    name.len() < 254 && name.split('.').all(is_label)
}

/// As the kernel's `dev_valid_name`.
fn is_interface_name(name: &str) -> bool {
    (1..16).contains(&name.len())
        && name != "."
        && name != ".."
        && !name.contains(|letter: char| letter == '/' || letter == ':' || letter.is_whitespace())
}

fn default_pins() -> PathBuf {
    PathBuf::from("/sys/fs/bpf/kennet")
}

const fn default_slots() -> u32 {
    16_384
}

/// HTB class ids are 16 bits; the arrays are made in one piece.
const SLOTS_MAX: u32 = 1 << 20;

#[cfg(test)]
mod tests {
    use shared::daemon::Chain;

    use super::*;

    const FULL: &str = r#"
        state_dir = "/var/lib/kennet-edge"
        [radius]
        auth = ["127.0.0.1:1812", "[::1]:1812"]
        acct = ["127.0.0.1:1813"]
        dynauth = ["127.0.0.1:3799"]
        tls = { listen = "[::]:2083", cert = "a.pem", key = "a.key", client_ca = "ca.pem" }
        eap = { cert = "server.pem", key = "server.key", client_ca = "ca.pem" }
        dictionaries = ["my.dict"]
        [portal]
        listen = "10.0.0.1:2080"
        listen_v6 = "[fd00::1]:2080"
        tls = { name = "portal.wisp.example", listen = "10.0.0.1:443", cert = "p.pem", key = "p.key" }
        [dataplane]
        lan = ["lan0"]
        wan = ["wan0"]
        [metrics]
        listen = "127.0.0.1:9091"
        [uplink]
        url = "mqtts://controller.example:8883"
        api = "https://controller.example"
        edge = "edge_00000000000000000000000000000007"
        secret_file = "edge.secret"
        [desired]
        file = "desired.toml"
        [sessions]
        report_seconds = 30
    "#;

    fn fault(text: &str) -> String {
        let error = Settings::parse(Path::new("edge.toml"), text).expect_err("a fault");
        Chain(&error).to_string()
    }

    #[test]
    fn all_that_is_documented_is_read() {
        let settings = Settings::parse(Path::new("edge.toml"), FULL).unwrap();
        let portal = settings.portal.unwrap();
        assert_eq!(portal.listen_v6.unwrap().port(), portal.listen.port());
        assert_eq!(settings.radius.unwrap().auth.len(), 2);
        assert_eq!(settings.dataplane.unwrap().pins, Path::new("/sys/fs/bpf/kennet"));
        assert_eq!(settings.sessions.report_seconds, 30);
        assert_eq!(settings.sessions.live_seconds, Sessions::default().live_seconds);
    }

    #[test]
    fn a_fault_names_the_file_the_key_and_what_would_be_right() {
        let cases = [
            (FULL.replace("auth =", "auht ="), "unknown field `auht`"),
            (FULL.replace("127.0.0.1:9091", "127.0.0.1"), "listen"),
            (FULL.replace("[\"lan0\"]", "[]"), "dataplane.lan: name at least one interface"),
            (FULL.replace("[\"wan0\"]", "[\"lan0\"]"), "`lan0` is both lan and wan"),
            (FULL.replace("\"lan0\"", "\"a/b\""), "`a/b` is not an interface name"),
            (FULL.replace("mqtts:", "https:"), "uplink.url: should start with mqtts:// or mqtt://"),
            (FULL.replace("https:", "ftp:"), "uplink.api: should start with https:// or http://"),
            (FULL.replace("edge_0", "ses_0"), "starts with `edge_`"),
            (FULL.replace("report_seconds = 30", "report_seconds = 0"), "sessions.report_seconds"),
            (
                FULL.replace("\"10.0.0.1:2080", "\"[fd00::2]:2080"),
                "portal.listen: should be an IPv4",
            ),
            (FULL.replace("[fd00::1]:2080", "10.0.0.1:2080"), "listen_v6"),
            (
                FULL.replace("portal.wisp.example", "a/b"),
                "portal.tls.name: `a/b` is not a host name",
            ),
            (FULL.replace("state_dir", "state_dri"), "state_dri"),
        ];
        for (text, expected) in cases {
            let fault = fault(&text);
            assert!(fault.starts_with("edge.toml: "), "{fault}");
            assert!(fault.contains(expected), "{fault}\nshould contain: {expected}");
        }
    }

    #[test]
    fn the_annotated_example_is_right_with_all_that_it_leaves_out() {
        let text = include_str!("../../systemd/edge.toml");
        Settings::parse(Path::new("edge.toml"), text).unwrap();
        let is_key = |line: &str| {
            let word = line.split_once(" = ").map_or("", |(word, _)| word);
            line.starts_with('[') || (!word.is_empty() && !word.contains(' '))
        };
        let all = text.lines().map(|line| match line.strip_prefix("# ") {
            Some(key) if is_key(key) => key,
            _ => line,
        });
        let all = Settings::parse(Path::new("edge.toml"), &all.collect::<Vec<_>>().join("\n"));
        let all = all.unwrap();
        let portal = all.portal.unwrap();
        assert!(portal.listen_v6.is_some() && portal.tls.is_some());
        let radius = all.radius.unwrap();
        assert!(radius.tls.is_some() && radius.eap.is_some() && !radius.dynauth.is_empty());
        assert!(!radius.dictionaries.is_empty());
    }

    #[test]
    fn an_edge_that_nobody_could_log_in_to_is_a_fault() {
        let fault = fault("state_dir = \"x\"\n[radius]\nauth = [\"127.0.0.1:1812\"]");
        assert!(fault.contains("nobody could ever log in"), "{fault}");
    }

    #[test]
    fn secrets_come_from_files_beside_the_settings_and_an_unreadable_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("edge.toml");
        std::fs::write(&file, FULL).unwrap();
        let fault = Chain(&Settings::read(&file).unwrap_err()).to_string();
        assert!(fault.contains("radius.dictionaries: cannot read"), "{fault}");
        std::fs::write(folder.path().join("my.dict"), "ATTRIBUTE Mine 250 string").unwrap();
        let fault = Chain(&Settings::read(&file).unwrap_err()).to_string();
        assert!(fault.contains("uplink.secret_file: cannot read"), "{fault}");
        std::fs::write(folder.path().join("edge.secret"), "hunter2\n").unwrap();
        let settings = Settings::read(&file).unwrap();
        assert!(settings.dictionary.attribute("Mine").is_some());
        let uplink = settings.uplink.unwrap();
        assert_eq!(uplink.secret.unwrap().expose(), "hunter2");
        assert_eq!(settings.desired.unwrap().file, folder.path().join("desired.toml"));
        let tls = settings.radius.unwrap().tls.unwrap();
        assert_eq!(tls.client_ca, folder.path().join("ca.pem"));
        assert_eq!(settings.portal.unwrap().tls.unwrap().key, folder.path().join("p.key"));
        std::fs::write(folder.path().join("edge.secret"), "\n").unwrap();
        let fault = Chain(&Settings::read(&file).unwrap_err()).to_string();
        assert!(fault.contains("is empty"), "{fault}");
    }
}
