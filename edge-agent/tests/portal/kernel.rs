//! The daemon with its data plane: whom the kernel leads to the portal, and what that tells.

use std::{
    net::{SocketAddr, TcpStream},
    path::Path,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    DESIRED, Daemon, get, post,
    world::{Cable, DEVICE, Side, ask},
};

/// A BPF file system of its own, and the folder with settings and journal.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pins = folder.path().join("bpf");
        std::fs::create_dir(&pins).unwrap();
        let flags = nix::mount::MsFlags::empty();
        nix::mount::mount(Some("bpf"), &pins, Some("bpf"), flags, None::<&Path>)
            .expect("a BPF file system can be mounted");
        Self { folder }
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // The programs go with their pins, the folder after that.
        let _gone = nix::mount::umount2(&self.file("bpf"), nix::mount::MntFlags::MNT_DETACH);
    }
}

#[test]
fn the_daemon_lets_a_device_in_and_tells_it_what_the_kernel_counts() {
    let place = Place::new();
    let cable = Cable::new("daemon");
    cable.at(Side::Edge, "ip link add wan0 type veth peer name internet");
    cable.at(Side::Edge, "ip link set wan0 up");
    let config = place.file("edge.toml");
    std::fs::write(place.file("desired.toml"), DESIRED).unwrap();
    std::fs::write(
        &config,
        format!(
            "state_dir = \"state\"\n[dataplane]\nlan = [\"lan0\"]\nwan = [\"wan0\"]\n\
             pins = \"{}\"\nslots = 64\n[portal]\nlisten = \"10.77.0.1:2080\"\n\
             listen_v6 = \"[fd77::1]:2080\"\n[desired]\nfile = \"desired.toml\"\n",
            place.file("bpf/kennet").display()
        ),
    )
    .unwrap();
    let program = env!("CARGO_BIN_EXE_kennet-edge");
    let run = |arguments: &[&str]| {
        let mut command = cable.command(Side::Edge, program);
        command.args(arguments).arg("--config").arg(&config);
        command
    };
    let daemon = run(&["run"]).stderr(Stdio::inherit()).spawn().unwrap();
    let _daemon = Daemon(daemon);
    let portal: SocketAddr = "10.77.0.1:2080".parse().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    cable.inside(Side::Device, || {
        while TcpStream::connect(portal).is_err() {
            assert!(Instant::now() < deadline, "the portal does not come up");
            thread::sleep(Duration::from_millis(50));
        }
        // It takes connections before it serves them.
        assert_eq!(ask(portal, &get("example.com", "/")).status, 302);
    });

    let own = portal.to_string();
    let sessions = || -> Vec<Value> {
        let output = run(&["sessions", "--json"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let used = || {
        let passed = &sessions()[0]["passed"];
        passed["down_bytes"].as_u64().unwrap() + passed["up_bytes"].as_u64().unwrap()
    };
    assert_eq!(sessions(), Vec::<Value>::new());
    cable.inside(Side::Device, || {
        let page = ask(portal, &get(&own, "/"));
        let form = format!("token={}&username=amina&password=simba+%26+chui", page.token());
        let reply = ask(portal, &post(portal, "/login", &form));
        assert_eq!(reply.status, 303, "{}", reply.body);
        let page = ask(portal, &get(&own, "/"));
        assert!(page.body.contains("You are on-line."), "{}", page.body);
    });
    let listed = sessions();
    let [session] = &listed[..] else { panic!("{listed:?}") };
    assert_eq!(session["mac"], DEVICE);
    assert_eq!(session["username"], "amina");
    assert_eq!(session["nas"], "portal");

    cable.at(Side::Device, "ping -q -c 20 -i 0.01 -s 1000 10.77.0.1");
    // What was heard before is old by then.
    thread::sleep(Duration::from_millis(600));
    let before = used();
    let reply = cable.inside(Side::Device, || ask(portal, &get(&own, "/api/captive-portal")));
    let after = used();
    let state: Value = serde_json::from_str(&reply.body).unwrap();
    let said = 1_000_000_000 - state["bytes-remaining"].as_u64().unwrap();
    assert!(said > 40 * 1_000, "the pings count: {said}");
    assert!((before..=after).contains(&said), "{before} <= {said} <= {after}");

    let journal = run(&["journal"]).output().unwrap();
    let journal = String::from_utf8_lossy(&journal.stdout).into_owned();
    assert!(journal.contains("session_started") && journal.contains("amina"), "{journal}");
    cable.inside(Side::Device, || {
        let page = ask(portal, &get(&own, "/"));
        let reply = ask(portal, &post(portal, "/logout", &format!("token={}", page.token())));
        assert_eq!(reply.status, 303, "{}", reply.body);
        assert!(ask(portal, &get(&own, "/")).body.contains("You are not on-line yet."));
    });
    assert_eq!(sessions(), Vec::<Value>::new());
    let journal = run(&["journal"]).output().unwrap();
    assert!(String::from_utf8_lossy(&journal.stdout).contains("session_stopped"));
}
