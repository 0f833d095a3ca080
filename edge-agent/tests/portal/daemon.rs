//! The whole daemon: without a data plane, and with one that leads devices to the portal.

use std::{
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    DESIRED, get, post,
    world::{Cable, DEVICE, Reply, Side, ask},
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

/// A daemon that ends with the test.
struct Daemon {
    cable: Cable,
    child: Child,
    /// Last: what it has pinned goes after it.
    place: Place,
}

impl Daemon {
    /// Once it serves.
    fn start(name: &str, dataplane: impl FnOnce(&Cable, &Place) -> String) -> Self {
        let (place, cable) = (Place::new(), Cable::new(name));
        let dataplane = dataplane(&cable, &place);
        std::fs::write(place.file("desired.toml"), DESIRED).unwrap();
        let config = format!(
            "state_dir = \"state\"\n{dataplane}[portal]\nlisten = \"{PORTAL}\"\n\
             listen_v6 = \"[fd77::1]:2080\"\n[desired]\nfile = \"desired.toml\"\n"
        );
        std::fs::write(place.file(CONFIG), config).unwrap();
        let mut command = kennet_edge(&cable, &place, &["run"]);
        let child = command.stderr(Stdio::inherit()).spawn().unwrap();
        let daemon = Self { cable, child, place };
        let deadline = Instant::now() + Duration::from_secs(20);
        daemon.cable.inside(Side::Device, || {
            while TcpStream::connect(PORTAL).is_err() {
                assert!(Instant::now() < deadline, "the portal does not come up");
                thread::sleep(Duration::from_millis(50));
            }
        });
        // It takes connections before it serves them.
        assert_eq!(daemon.ask(&get("example.com", "/")).status, 302);
        daemon
    }

    /// From the device.
    fn ask(&self, request: &str) -> Reply {
        let portal: SocketAddr = PORTAL.parse().unwrap();
        self.cable.inside(Side::Device, || ask(portal, request))
    }

    fn own(&self, path: &str) -> Reply {
        self.ask(&get(PORTAL, path))
    }

    /// With the form that the page has.
    fn send(&self, path: &str, form: &str) -> Reply {
        let token = self.own("/").token().to_owned();
        self.ask(&post(PORTAL.parse().unwrap(), path, &format!("token={token}{form}")))
    }

    fn log_in(&self) {
        let reply = self.send("/login", "&username=amina&password=simba+%26+chui");
        assert_eq!(reply.status, 303, "{}", reply.body);
        let page = self.own("/");
        assert!(page.body.contains("You are on-line."), "{}", page.body);
    }

    /// And is off-line then, here and in the journal.
    fn log_out(&self) {
        let journal = self.journal();
        assert!(journal.contains("session_started") && journal.contains("amina"), "{journal}");
        let reply = self.send("/logout", "");
        assert_eq!(reply.status, 303, "{}", reply.body);
        assert!(self.own("/").body.contains("You are not on-line yet."));
        assert_eq!(self.sessions(), Vec::<Value>::new());
        assert!(self.journal().contains("session_stopped"));
    }

    fn sessions(&self) -> Vec<Value> {
        serde_json::from_str(&self.says(&["sessions", "--json"])).unwrap()
    }

    /// The only one there is, which is the device's.
    fn session(&self) -> Value {
        let [session] = <[Value; 1]>::try_from(self.sessions()).unwrap();
        for (key, expected) in [("mac", DEVICE), ("username", "amina"), ("nas", "portal")] {
            assert_eq!(session.get(key).and_then(Value::as_str), Some(expected), "{key}");
        }
        session
    }

    fn journal(&self) -> String {
        self.says(&["journal"])
    }

    fn says(&self, arguments: &[&str]) -> String {
        let output = kennet_edge(&self.cable, &self.place, arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn bytes_remaining(&self) -> u64 {
        let state: Value = serde_json::from_str(&self.own("/api/captive-portal").body).unwrap();
        state.get("bytes-remaining").and_then(Value::as_u64).unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn kennet_edge(cable: &Cable, place: &Place, arguments: &[&str]) -> Command {
    let mut command = cable.command(Side::Edge, env!("CARGO_BIN_EXE_kennet-edge"));
    command.args(arguments).arg("--config").arg(place.file(CONFIG));
    command
}

#[test]
fn without_a_data_plane_a_device_is_let_in_and_written_down() {
    let daemon = Daemon::start("plain", |_, _| String::new());
    assert_eq!(daemon.sessions(), Vec::<Value>::new());
    daemon.log_in();
    daemon.session();
    assert_eq!(daemon.bytes_remaining(), 1_000_000_000, "nothing is counted");
    daemon.log_out();
}

#[test]
fn a_device_is_let_in_and_told_what_the_kernel_counts() {
    let daemon = Daemon::start("daemon", |cable, place| {
        cable.at(Side::Edge, "ip link add wan0 type veth peer name internet");
        cable.at(Side::Edge, "ip link set wan0 up");
        let pins = place.file("bpf/kennet");
        format!(
            "[dataplane]\nlan = [\"lan0\"]\nwan = [\"wan0\"]\npins = \"{}\"\nslots = 64\n",
            pins.display()
        )
    });
    let used = || {
        let passed = &daemon.session()["passed"];
        passed["down_bytes"].as_u64().unwrap() + passed["up_bytes"].as_u64().unwrap()
    };
    assert_eq!(daemon.sessions(), Vec::<Value>::new());
    daemon.log_in();

    daemon.cable.at(Side::Device, "ping -q -c 20 -i 0.01 -s 1000 10.77.0.1");
    // What was heard before is old by then.
    thread::sleep(Duration::from_millis(600));
    let before = used();
    let said = 1_000_000_000 - daemon.bytes_remaining();
    let after = used();
    assert!(said > 40 * 1_000, "the pings count: {said}");
    assert!((before..=after).contains(&said), "{before} <= {said} <= {after}");
    daemon.log_out();
}

const PORTAL: &str = "10.77.0.1:2080";
const CONFIG: &str = "edge.toml";
