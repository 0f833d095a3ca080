//! Desired state from a TOML file; an unknown key is an error.

use std::{
    io,
    path::{Path, PathBuf},
};

use shared::wire::latest::desired::Desired;

use super::{Contradiction, Snapshot};

#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("cannot read {file}")]
    Read { file: PathBuf, source: io::Error },
    #[error("{file}: {fault}")]
    Parse { file: PathBuf, fault: String },
    #[error("{file}: unknown key `{key}`")]
    UnknownKey { file: PathBuf, key: String },
    #[error("{file}")]
    Contradiction { file: PathBuf, source: Contradiction },
}

pub fn read(file: &Path) -> Result<Snapshot, FileError> {
    let text = std::fs::read_to_string(file)
        .map_err(|source| FileError::Read { file: file.to_owned(), source })?;
    parse(file, &text)
}

/// `file` is for messages.
pub fn parse(file: &Path, text: &str) -> Result<Snapshot, FileError> {
    let malformed = |error: toml::de::Error| FileError::Parse {
        file: file.to_owned(),
        fault: error.to_string(),
    };
    // The wire type ignores unknown fields, for the sake of older edges; a file is typed by hand.
    let mut unknown = None;
    let document = toml::Deserializer::parse(text).map_err(malformed)?;
    let desired: Desired = serde_ignored::deserialize(document, |key| {
        unknown.get_or_insert_with(|| key.to_string());
    })
    .map_err(malformed)?;
    if let Some(key) = unknown {
        return Err(FileError::UnknownKey { file: file.to_owned(), key });
    }
    Snapshot::new(desired)
        .map_err(|source| FileError::Contradiction { file: file.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use shared::{
        daemon::Chain,
        wire::latest::desired::{Enforce, Require},
    };

    use super::*;

    const LAB: &str = r#"
        realms = ["wisp.example"]
        [[nas]]
        name = "lab"
        address = "127.0.0.0/8"
        secret = "testing123"
        enforce = "edge"
        vendor = "mikrotik"
        [[nas]]
        name = "here"
        address = "127.0.0.1"
        secret = "other"
        require_message_authenticator = false
        requests_per_second = 100
        dynauth_port = 1700
        tls_name = "nas.example"
        reply = ["Filter-Id = gold"]
        [[subscriber]]
        username = "amina"
        password = "x"
        down_kbps = 10000
        up_kbps = 5000
        data_bytes = 1000000000
        online_seconds = 7200
        session_timeout = 3600
        idle_timeout = 600
        max_sessions = 1
        macs = ["02:00:00:00:00:01"]
        static_ip = "10.0.0.20"
        pool = "home"
        delegated_prefix = "2001:db8:0:100::/56"
        vlan = 100
        filter = "gold"
        policy = "10m"
    "#;

    fn fault(text: &str) -> String {
        let error = parse(Path::new("desired.toml"), text).expect_err("this text has a fault");
        Chain(&error).to_string()
    }

    #[test]
    fn every_documented_key_is_read_and_the_longest_prefix_wins() {
        let snapshot = parse(Path::new("desired.toml"), LAB).unwrap();
        let at = |address: &str| snapshot.nas_at(address.parse().unwrap());
        assert_eq!(at("127.0.0.1").unwrap().name, "here");
        assert_eq!(at("127.0.0.1").unwrap().require_message_authenticator, Require::No);
        assert_eq!(at("127.0.0.2").unwrap().enforce, Enforce::Edge);
        assert!(at("10.0.0.1").is_none());
        let amina = snapshot.subscriber("amina").unwrap();
        assert_eq!(amina.online_seconds, Some(7200));
        assert_eq!(snapshot.owner_of("02-00-00-00-00-01".parse().unwrap()), Some(amina));
    }

    #[test]
    fn the_annotated_example_is_a_desired_state() {
        let text = include_str!("../../../systemd/desired.toml");
        let snapshot = parse(Path::new("desired.toml"), text).unwrap();
        assert!(snapshot.identified("WISP.EXAMPLE\\amina").is_some());
        // What stands there as a choice is right, too.
        let others = text.replace("# tls_name", "tls_name").replace("# pool", "pool");
        parse(Path::new("desired.toml"), &others).unwrap();
    }

    #[test]
    fn a_fault_is_named_with_the_file_and_the_key() {
        let cases = [
            (LAB.replace("max_sessions", "max_session"), "unknown key `subscriber.0.max_session`"),
            (LAB.replace("127.0.0.0/8", "127.0.0.1/8"), "127.0.0.0/8 is the network"),
            (LAB.replace("= 10000\n", "= 0\n"), "down_kbps"),
            (LAB.replace("\"127.0.0.1\"", "\"127.0.0.0/8\""), "two NASes have the address"),
            (
                LAB.replace("name = \"lab\"", "name = \"lab\"\ntls_name = \"NAS.example\""),
                "two NASes have the tls_name `nas.example`: `lab` and `here`",
            ),
            (LAB.replace("\"other\"", "\"\""), "NAS `here` has an empty secret"),
            (LAB.replace("\"02:00:00:00:00:01\"", "\"02:00\""), "a MAC address like"),
            (LAB.replace("mikrotik", "mikrotick"), "mikrotik"),
            (LAB.replace("vlan = 100", "vlan = 4095"), "a VLAN is 1 to 4094, not 4095"),
            (
                LAB.replace("\"10m\"", &format!("{:?}", "m".repeat(201))),
                "policy is longer than the 200",
            ),
            (LAB.replace("wisp.example", "wisp example"), "realms: `wisp example` should be"),
            (LAB.replace("= false", "= \"maybe\""), "true, false or \"auto\""),
            (LAB.replace("2001:db8:0:100::/56", "10.0.0.0/8"), "an IPv6 prefix like"),
        ];
        for (text, expected) in cases {
            let fault = fault(&text);
            assert!(fault.starts_with("desired.toml"), "{fault}");
            assert!(fault.contains(expected), "{fault}\nshould contain: {expected}");
        }
    }

    #[test]
    fn secrets_do_not_print() {
        let snapshot = parse(Path::new("desired.toml"), LAB).unwrap();
        assert!(!format!("{snapshot:?}").contains("testing123"));
    }
}
