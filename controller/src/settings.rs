//! Settings: flags, then `KENNET_*` environment, then a file, then defaults.
//!
//! All are parsed before anything is bound or started. An error names the key, where its value
//! came from, and what would be right.

use std::{
    collections::BTreeMap,
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use shared::secret::Secret;
use sqlx::postgres::PgConnectOptions;

use crate::{gateways::Pace, postgres::ClusterSettings, reach::Reach};

/// The same keys in a flag, the environment and the file. clap reads the first two.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Flags {
    /// A TOML file with any of the settings below, named like the flags with `_` for `-`
    #[arg(long, global = true, env = "KENNET_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Where the controller keeps its files [default: /var/lib/kennet for root, else
    /// ~/.local/share/kennet]
    #[arg(long, global = true, env = "KENNET_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<String>,

    /// Where the API listens [default: 127.0.0.1:8080]
    #[arg(long, global = true, env = "KENNET_HTTP_LISTEN", value_name = "ADDRESS")]
    pub http_listen: Option<String>,

    /// Your own Postgres, 15 or newer [default: a private cluster in the data directory]
    #[arg(
        long,
        global = true,
        env = "KENNET_DATABASE_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    pub database_url: Option<String>,

    /// Your own MQTT broker, mqtt://HOST:PORT or mqtts://HOST:PORT [default: an embedded one]
    #[arg(long, global = true, env = "KENNET_MQTT_URL", value_name = "URL")]
    pub mqtt_url: Option<String>,

    /// File with `user:password` for your own broker
    #[arg(long, global = true, env = "KENNET_MQTT_CREDENTIALS", value_name = "FILE")]
    pub mqtt_credentials: Option<String>,

    /// Where the embedded broker listens [default: 127.0.0.1:1883]
    #[arg(long, global = true, env = "KENNET_MQTT_LISTEN", value_name = "ADDRESS")]
    pub mqtt_listen: Option<String>,

    /// Where the programs of the private Postgres are [default: looked for]
    #[arg(long, global = true, env = "KENNET_PG_BIN", value_name = "DIR")]
    pub pg_bin: Option<String>,

    /// Who runs the private Postgres when the controller is root [default: postgres or nobody]
    #[arg(long, global = true, env = "KENNET_PG_USER", value_name = "USER")]
    pub pg_user: Option<String>,

    /// The key that seals secrets in the database [default: master.key in the data directory,
    /// made at the first start]
    #[arg(long, global = true, env = "KENNET_MASTER_KEY_FILE", value_name = "FILE")]
    pub master_key_file: Option<String>,

    /// Who may make a tenant by POST /api/auth/register: `first` (only the first), `open` (anybody),
    /// `closed` [default: first]
    #[arg(long, global = true, env = "KENNET_REGISTRATION", value_name = "WHO")]
    pub registration: Option<String>,

    /// Where payment providers reach this controller, and who follows a link in a mail, like
    /// `https://pay.example.ke` [default: http:// and the address where the API listens]
    #[arg(long, global = true, env = "KENNET_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,

    /// Where a `kennet-paysim` is: accounts of the environment `simulator` use it [default: none]
    #[arg(long, global = true, env = "KENNET_PAYSIM_URL", value_name = "URL")]
    pub paysim_url: Option<String>,

    /// How many times as fast as the world its clock runs; only with `paysim_url` [default: 1]
    #[arg(long, global = true, env = "KENNET_PAYSIM_PACE", value_name = "TIMES")]
    pub paysim_pace: Option<String>,

    /// Whether webhooks and message providers may be where only this machine and its networks
    /// reach: `refuse` or `allow` [default: refuse]
    #[arg(long, global = true, env = "KENNET_PRIVATE_TARGETS", value_name = "WHETHER")]
    pub private_targets: Option<String>,

    /// How logs are written: `text` or `json` [default: text]
    #[arg(long, global = true, env = "KENNET_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<String>,
}

/// Everything, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    pub data_dir: PathBuf,
    pub http_listen: SocketAddr,
    pub database: Database,
    pub broker: Broker,
    pub master_key_file: Option<PathBuf>,
    pub registration: Registration,
    pub payments: Payments,
    pub reach: Reach,
    pub log_json: bool,
}

/// How payment providers are reached, and reach us.
#[derive(Clone, Debug)]
pub struct Payments {
    pub public_url: String,
    pub simulator: Option<String>,
    pub pace: Pace,
}

#[derive(Clone, Debug)]
pub enum Database {
    Private(ClusterSettings),
    Yours(Box<PgConnectOptions>),
}

#[derive(Clone, Debug)]
pub enum Broker {
    Embedded { listen: SocketAddr },
    Yours { url: BrokerUrl, login: Option<BrokerLogin> },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerUrl {
    pub tls: bool,
    pub host: String,
    pub port: u16,
}

#[derive(Clone, Debug)]
pub struct BrokerLogin {
    pub user: String,
    pub password: Secret,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    First,
    Open,
    Closed,
}

#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("cannot read the settings file {}", path.display())]
    ReadFile { path: PathBuf, source: io::Error },
    #[error("the settings file {} is not TOML", path.display())]
    NotToml { path: PathBuf, source: toml::de::Error },
    #[error("{}: there is no setting `{key}`; there are {KEYS_TOLD}", path.display())]
    Unknown { path: PathBuf, key: String },
    #[error("{}: `{key}` should be a text in quotes", path.display())]
    NotText { path: PathBuf, key: String },
    #[error("`{key}` should be {expected}, not `{value}`")]
    Malformed { key: &'static str, expected: &'static str, value: String },
    #[error("`{key}` should be {expected}")]
    Secret { key: &'static str, expected: &'static str, source: sqlx::Error },
    #[error("`{key}`: cannot read {}", path.display())]
    Credentials { key: &'static str, path: PathBuf, source: io::Error },
    #[error("`{key}`: {} should hold one line `user:password`", path.display())]
    NotCredentials { key: &'static str, path: PathBuf },
    #[error("`{key}` only has a meaning with `{other}`")]
    Alone { key: &'static str, other: &'static str },
    #[error("`data_dir` is not set, and there is no HOME to choose one in")]
    NoHome,
}

impl Settings {
    pub fn read(flags: &Flags) -> Result<Self, SettingsError> {
        let file = match &flags.config {
            Some(path) => read_file(path)?,
            None => BTreeMap::new(),
        };
        let text = |key: &'static str| flags.value(key).or_else(|| file.get(key).cloned());
        let path = |key: &'static str| text(key).map(PathBuf::from);

        let data_dir = path("data_dir").map_or_else(default_data_dir, Ok)?;
        let database = match text("database_url") {
            None => Database::Private(ClusterSettings {
                data_dir: data_dir.clone(),
                programs: path("pg_bin"),
                user: text("pg_user"),
            }),
            // The URL may hold a password, so the message does not repeat it.
            Some(url) => Database::Yours(Box::new(url.parse().map_err(|source| {
                let expected = "a URL like postgres://user:password@host:5432/kennet";
                SettingsError::Secret { key: "database_url", expected, source }
            })?)),
        };
        Ok(Self {
            http_listen: address("http_listen", text("http_listen"), HTTP_LISTEN)?,
            broker: broker(&text)?,
            master_key_file: path("master_key_file"),
            registration: registration(text("registration").as_deref())?,
            payments: payments(&text)?,
            reach: reach(text("private_targets").as_deref())?,
            log_json: log_json(text("log_format").as_deref())?,
            data_dir,
            database,
        })
    }
}

impl Flags {
    fn value(&self, key: &str) -> Option<String> {
        let values = [
            &self.data_dir,
            &self.http_listen,
            &self.database_url,
            &self.mqtt_url,
            &self.mqtt_credentials,
            &self.mqtt_listen,
            &self.pg_bin,
            &self.pg_user,
            &self.master_key_file,
            &self.registration,
            &self.public_url,
            &self.paysim_url,
            &self.paysim_pace,
            &self.private_targets,
            &self.log_format,
        ];
        let at = KEYS.iter().position(|known| *known == key)?;
        // Set but empty is how compose files and units leave a variable out.
        values.get(at).copied()?.clone().filter(|value| !value.is_empty())
    }
}

fn read_file(path: &Path) -> Result<BTreeMap<String, String>, SettingsError> {
    let text = fs::read_to_string(path)
        .map_err(|source| SettingsError::ReadFile { path: path.to_owned(), source })?;
    let table: toml::Table = toml::from_str(&text)
        .map_err(|source| SettingsError::NotToml { path: path.to_owned(), source })?;
    let mut values = BTreeMap::new();
    for (key, value) in table {
        if !KEYS.contains(&key.as_str()) {
            return Err(SettingsError::Unknown { path: path.to_owned(), key });
        }
        let toml::Value::String(value) = value else {
            return Err(SettingsError::NotText { path: path.to_owned(), key });
        };
        values.insert(key, value);
    }
    Ok(values)
}

fn default_data_dir() -> Result<PathBuf, SettingsError> {
    if nix::unistd::Uid::effective().is_root() {
        return Ok(PathBuf::from("/var/lib/kennet"));
    }
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    Ok(PathBuf::from(home.ok_or(SettingsError::NoHome)?).join(".local/share/kennet"))
}

fn address(
    key: &'static str,
    value: Option<String>,
    default: &str,
) -> Result<SocketAddr, SettingsError> {
    let value = value.unwrap_or_else(|| default.to_owned());
    let expected = "an address and a port like 127.0.0.1:8080 or [::]:8080";
    value.parse().map_err(|_| SettingsError::Malformed { key, expected, value })
}

fn payments(text: &impl Fn(&'static str) -> Option<String>) -> Result<Payments, SettingsError> {
    let simulator = text("paysim_url").map(|value| web_url("paysim_url", value)).transpose()?;
    let pace = match (text("paysim_pace"), &simulator) {
        (None, _) => Pace::default(),
        (Some(_), None) => {
            return Err(SettingsError::Alone { key: "paysim_pace", other: "paysim_url" });
        }
        (Some(value), Some(_)) => value.parse().map(Pace::new).map_err(|_| {
            let expected = "a whole number like 60";
            SettingsError::Malformed { key: "paysim_pace", expected, value }
        })?,
    };
    let public_url = match text("public_url") {
        Some(value) => web_url("public_url", value)?,
        None => format!("http://{}", address("http_listen", text("http_listen"), HTTP_LISTEN)?),
    };
    Ok(Payments { public_url, simulator, pace })
}

fn web_url(key: &'static str, value: String) -> Result<String, SettingsError> {
    let host = value.strip_prefix("https://").or_else(|| value.strip_prefix("http://"));
    // Capital letters in a host are refused by M-Pesa.
    let fits = |host: &str| {
        !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c.is_ascii_uppercase())
    };
    if host.is_some_and(fits) {
        return Ok(value);
    }
    let expected = "a URL in lower case like https://pay.example.ke";
    Err(SettingsError::Malformed { key, expected, value })
}

fn broker(text: &impl Fn(&'static str) -> Option<String>) -> Result<Broker, SettingsError> {
    let credentials = text("mqtt_credentials");
    let Some(url) = text("mqtt_url") else {
        if credentials.is_some() {
            return Err(SettingsError::Alone { key: "mqtt_credentials", other: "mqtt_url" });
        }
        let listen = address("mqtt_listen", text("mqtt_listen"), "127.0.0.1:1883")?;
        return Ok(Broker::Embedded { listen });
    };
    let url = broker_url(&url).ok_or(SettingsError::Malformed {
        key: "mqtt_url",
        expected: "mqtt://HOST:PORT or mqtts://HOST:PORT",
        value: url,
    })?;
    let login = credentials.map(PathBuf::from).map(read_login).transpose()?;
    Ok(Broker::Yours { url, login })
}

fn broker_url(text: &str) -> Option<BrokerUrl> {
    let (tls, rest) = match text.split_once("://")? {
        ("mqtt", rest) => (false, rest),
        ("mqtts", rest) => (true, rest),
        _ => return None,
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = match rest.rsplit_once(':') {
        // `[::1]` has colons and no port.
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        Some(_) | None => (rest, if tls { 8883 } else { 1883 }),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let fits = !host.is_empty() && !host.contains(['/', '@', ' ']) && port != 0;
    fits.then(|| BrokerUrl { tls, host: host.to_owned(), port })
}

fn read_login(path: PathBuf) -> Result<BrokerLogin, SettingsError> {
    let key = "mqtt_credentials";
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(source) => return Err(SettingsError::Credentials { key, path, source }),
    };
    match text.trim_end().split_once(':') {
        Some((user, password)) if !user.is_empty() && !password.contains('\n') => {
            Ok(BrokerLogin { user: user.to_owned(), password: Secret::new(password.to_owned()) })
        }
        Some(_) | None => Err(SettingsError::NotCredentials { key, path }),
    }
}

fn registration(value: Option<&str>) -> Result<Registration, SettingsError> {
    match value {
        None | Some("first") => Ok(Registration::First),
        Some("open") => Ok(Registration::Open),
        Some("closed") => Ok(Registration::Closed),
        Some(value) => Err(SettingsError::Malformed {
            key: "registration",
            expected: "`first`, `open` or `closed`",
            value: value.to_owned(),
        }),
    }
}

fn reach(value: Option<&str>) -> Result<Reach, SettingsError> {
    match value {
        None | Some("refuse") => Ok(Reach::Public),
        Some("allow") => Ok(Reach::Anywhere),
        Some(value) => Err(SettingsError::Malformed {
            key: "private_targets",
            expected: "`refuse` or `allow`",
            value: value.to_owned(),
        }),
    }
}

fn log_json(value: Option<&str>) -> Result<bool, SettingsError> {
    match value {
        None | Some("text") => Ok(false),
        Some("json") => Ok(true),
        Some(value) => Err(SettingsError::Malformed {
            key: "log_format",
            expected: "`text` or `json`",
            value: value.to_owned(),
        }),
    }
}

const HTTP_LISTEN: &str = "127.0.0.1:8080";
/// In the order of `Flags::value`.
const KEYS: [&str; 15] = [
    "data_dir",
    "http_listen",
    "database_url",
    "mqtt_url",
    "mqtt_credentials",
    "mqtt_listen",
    "pg_bin",
    "pg_user",
    "master_key_file",
    "registration",
    "public_url",
    "paysim_url",
    "paysim_pace",
    "private_targets",
    "log_format",
];
const KEYS_TOLD: &str = "data_dir, http_listen, database_url, mqtt_url, mqtt_credentials, \
     mqtt_listen, pg_bin, pg_user, master_key_file, registration, public_url, paysim_url, \
     paysim_pace, private_targets, log_format";

#[cfg(test)]
mod tests {
    use super::*;

    fn with(change: impl FnOnce(&mut Flags)) -> Result<Settings, SettingsError> {
        let mut flags = Flags { data_dir: Some("/tmp/k".to_owned()), ..Flags::default() };
        change(&mut flags);
        Settings::read(&flags)
    }

    #[track_caller]
    fn check(want: &str, change: impl FnOnce(&mut Flags)) {
        assert_eq!(with(change).unwrap_err().to_string(), want);
    }

    #[test]
    fn the_defaults_are_a_private_cluster_and_an_embedded_broker_on_loopback() {
        let settings = with(|_| {}).unwrap();
        assert!(matches!(settings.database, Database::Private(_)));
        let Broker::Embedded { listen } = settings.broker else { panic!("embedded") };
        assert!(listen.ip().is_loopback() && settings.http_listen.ip().is_loopback());
        assert_eq!(settings.registration, Registration::First);
    }

    #[test]
    fn an_error_names_the_key_and_what_would_be_right() {
        check(
            "`http_listen` should be an address and a port like 127.0.0.1:8080 or [::]:8080, \
             not `8080`",
            |flags| flags.http_listen = Some("8080".to_owned()),
        );
        check(
            "`mqtt_url` should be mqtt://HOST:PORT or mqtts://HOST:PORT, not `http://x`",
            |flags| flags.mqtt_url = Some("http://x".to_owned()),
        );
        check("`registration` should be `first`, `open` or `closed`, not `yes`", |flags| {
            flags.registration = Some("yes".to_owned());
        });
        check("`paysim_pace` only has a meaning with `paysim_url`", |flags| {
            flags.paysim_pace = Some("60".to_owned());
        });
        check(
            "`public_url` should be a URL in lower case like https://pay.example.ke, not `pay`",
            |flags| flags.public_url = Some("pay".to_owned()),
        );
        check("`mqtt_credentials` only has a meaning with `mqtt_url`", |flags| {
            flags.mqtt_credentials = Some("/etc/x".to_owned());
        });
        check("`mqtt_credentials`: cannot read /nowhere", |flags| {
            flags.mqtt_url = Some("mqtt://broker".to_owned());
            flags.mqtt_credentials = Some("/nowhere".to_owned());
        });
    }

    #[test]
    fn a_bad_database_url_is_refused_without_repeating_its_password() {
        let error = with(|flags| flags.database_url = Some("postgres://u:hunter2@:x/".to_owned()));
        let error = error.unwrap_err();
        assert!(error.to_string().starts_with("`database_url` should be a URL like postgres://"));
        assert!(!shared::daemon::Chain(&error).to_string().contains("hunter2"));
    }

    #[test]
    fn a_file_is_below_flags_and_its_unknown_keys_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("controller.toml");
        let read = |text: &str| {
            fs::write(&path, text).unwrap();
            with(|flags| {
                flags.config = Some(path.clone());
                flags.http_listen = Some("127.0.0.1:1".to_owned());
            })
        };
        let settings = read("http_listen = \"127.0.0.1:2\"\nlog_format = \"json\"").unwrap();
        assert_eq!(settings.http_listen.port(), 1);
        assert!(settings.log_json);

        let unknown = read("http_port = \"1\"").unwrap_err().to_string();
        assert!(unknown.contains("there is no setting `http_port`; there are data_dir, "));
        let number = read("http_listen = 8080").unwrap_err().to_string();
        assert!(number.ends_with("`http_listen` should be a text in quotes"));
        assert!(matches!(read("=").unwrap_err(), SettingsError::NotToml { .. }));
    }

    #[test]
    fn a_broker_url_has_a_host_and_a_default_port() {
        let url = |text| broker_url(text).map(|url| (url.tls, url.host, url.port));
        assert_eq!(url("mqtt://broker"), Some((false, "broker".to_owned(), 1883)));
        assert_eq!(url("mqtts://broker/"), Some((true, "broker".to_owned(), 8883)));
        assert_eq!(url("mqtt://[::1]:1884"), Some((false, "::1".to_owned(), 1884)));
        assert_eq!(url("mqtt://[::1]"), Some((false, "::1".to_owned(), 1883)));
        for wrong in ["broker:1883", "mqtt://", "mqtt://:1883", "mqtt://a:b", "mqtt://u:p@h:1"] {
            assert_eq!(url(wrong), None, "{wrong}");
        }
    }
}
