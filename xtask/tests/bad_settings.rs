//! Bad settings end a program before anything is bound, with the file, the key and what would be
//! right.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};
use xtask::{
    lab::{Lab, Network, Offload},
    provider::edge::{self, Orders},
    workspace,
};

/// EX_USAGE of sysexits.h: starting again would not help.
const BAD_SETTINGS: i32 = 64;

#[test]
fn the_edge_says_what_is_wrong_with_its_settings() -> Result<()> {
    let binaries = workspace::binaries()?;
    let lab = Lab::new()?;
    let network = Network::build(&lab, 0, Offload::Off)?;
    let id = "edge_00000000000070008000000000000000";
    let orders = Orders::Controller { edge: id, secret: "only for its length: 32 octets.." };
    let config = edge::write_settings(&lab, orders)?;
    let good = fs::read_to_string(&config)?;
    let program = binaries.join("kennet-edge").display().to_string();
    let check = |command: &str, text: &str| -> Result<(Option<i32>, String)> {
        fs::write(&config, text)?;
        run(lab.command(Some(&network.edge), &program).args([command, "--config"]).arg(&config))
    };
    assert_eq!(check("check", &good)?.0, Some(0), "{}", check("check", &good)?.1);

    let file = config.display().to_string();
    for (what, from, to, says) in [
        ("an unknown key", "lan = [\"lan0\"]", "lna = [\"lan0\"]", &["lna", "lan"][..]),
        ("a bad address", "127.0.0.1:1812", "127.0.0.1", &["auth", "socket address"]),
        ("a missing interface", "\"lan0\"", "\"lan9\"", &["dataplane.lan", "lan9", "lan0"]),
        ("an unreadable secret", "\"secret\"", "\"secrte\"", &["uplink.secret_file", "secrte"]),
        (
            "an unreadable certificate",
            "[radius]",
            "[radius]\ntls = { listen = \"127.0.0.1:2083\", cert = \"no.pem\", \
             key = \"no.key\", client_ca = \"no.pem\" }",
            &["radius.tls.cert", "no.pem"],
        ),
        ("no broker's URL", "mqtt://", "http://", &["uplink.url", "mqtts://", "mqtt://"]),
        ("no edge id", id, "edge-7", &["edge", "edge-7"]),
    ] {
        let text = good.replace(from, to);
        assert_ne!(text, good, "{what}: nothing was changed");
        for command in ["check", "run"] {
            let (code, said) = check(command, &text)?;
            println!("{command}, {what}: {said}");
            assert_eq!(code, Some(BAD_SETTINGS), "{what}: {said}");
            assert!(said.contains(&file), "{what}: the file is named: {said}");
            for word in says {
                assert!(said.contains(word), "{what}: `{word}` is in: {said}");
            }
        }
    }
    let state = config.parent().context("it is in a folder")?.join("state");
    assert!(!state.exists(), "nothing was begun: {}", state.display());
    Ok(())
}

#[test]
fn the_controller_says_what_is_wrong_with_its_settings() -> Result<()> {
    let program = workspace::binaries()?.join("kennet-controller");
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let file = folder.path().join("controller.toml");
    let check = |text: &str| -> Result<(Option<i32>, String)> {
        fs::write(&file, text)?;
        let mut command = Command::new(&program);
        run(command.arg("--config").arg(&file).arg("--data-dir").arg(&data).arg("serve"))
    };
    let name = Path::new(&file).display().to_string();
    for (what, text, says) in [
        ("an unknown key", "http_port = \"8080\"", &["http_port", "http_listen", &name][..]),
        ("a bad address", "http_listen = \"8080\"", &["http_listen", "127.0.0.1:8080"]),
        ("no URL", "mqtt_url = \"http://broker\"", &["mqtt_url", "mqtt://HOST:PORT"]),
        ("not TOML", "= 1", &[&name]),
        (
            "an unreadable secret",
            "mqtt_url = \"mqtt://127.0.0.1\"\nmqtt_credentials = \"/nowhere\"",
            &["mqtt_credentials", "/nowhere"],
        ),
    ] {
        let (code, said) = check(text)?;
        println!("{what}: {said}");
        assert_eq!(code, Some(BAD_SETTINGS), "{what}: {said}");
        for word in says {
            assert!(said.contains(word), "{what}: `{word}` is in: {said}");
        }
    }
    assert!(!data.exists(), "nothing was begun");
    Ok(())
}

fn run(command: &mut Command) -> Result<(Option<i32>, String)> {
    let output = command.stdin(Stdio::null()).env("NO_COLOR", "1").output()?;
    let said = [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned());
    Ok((output.status.code(), said.join("").trim().to_owned()))
}
