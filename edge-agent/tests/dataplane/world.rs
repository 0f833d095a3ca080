//! Client, gateway and server in three namespaces; everything is gone when it is dropped.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use edge_agent::{
    dataplane::{Entry, Slot, bpf::Bpf},
    settings,
};
use nix::sched::{CloneFlags, setns};
use shared::{
    id::SessionId,
    rate::{Kbps, Shape},
    wire::latest::desired::Class,
};
use uuid::Uuid;

pub(crate) struct World {
    name: String,
    pub settings: settings::Dataplane,
}

impl World {
    /// Puts the calling thread into the gateway's namespace.
    pub(crate) fn new(name: &str) -> Self {
        assert!(
            nix::unistd::geteuid().is_root(),
            "these tests make network namespaces: run them as root"
        );
        let name = format!("kn-{}-{name}", std::process::id());
        let pins = PathBuf::from(format!("/sys/fs/bpf/kennet-test-{name}"));
        let world = Self {
            name,
            settings: settings::Dataplane {
                lan: vec!["lan0".to_owned()],
                wan: vec!["wan0".to_owned()],
                pins,
                slots: 1024,
            },
        };
        let [client, gateway, server] = ["c", "g", "s"].map(|side| world.namespace(side));
        for namespace in [&client, &gateway, &server] {
            run(&format!("ip netns add {namespace}"));
            // No chatter that nobody asked for: it would be in the counters.
            for setting in [
                "net.ipv6.conf.all.accept_dad=0",
                "net.ipv6.conf.default.accept_dad=0",
                "net.ipv6.conf.default.router_solicitations=0",
                "net.ipv6.conf.default.mldv1_unsolicited_report_interval=1",
                "net.ipv6.conf.default.mldv2_unsolicited_report_interval=1",
                "net.ipv4.ip_forward=1",
                "net.ipv6.conf.all.forwarding=1",
            ] {
                run(&format!("nsenter --net=/run/netns/{namespace} sysctl -qw {setting}"));
            }
            run(&format!("ip -n {namespace} link set lo up"));
        }
        for (near, far, name, octet, here, there) in [
            (&gateway, &client, "lan0", 77, GATEWAY_LAN, CLIENT),
            (&gateway, &server, "wan0", 78, GATEWAY_WAN, SERVER),
        ] {
            run(&format!(
                "ip -n {near} link add {name} address {here} type veth peer name eth0 address {there} netns {far}"
            ));
            for (namespace, name, end, peer) in [(near, name, 1, there), (far, "eth0", 2, here)] {
                let other = 3 - end;
                run(&format!("ip -n {namespace} link set {name} up"));
                run(&format!("ip -n {namespace} addr add 10.{octet}.0.{end}/24 dev {name}"));
                run(&format!("ip -n {namespace} -6 addr add fd{octet}::{end}/64 dev {name} nodad"));
                for address in [format!("10.{octet}.0.{other}"), format!("fd{octet}::{other}")] {
                    run(&format!(
                        "ip -n {namespace} neigh replace {address} lladdr {peer} nud permanent dev {name}"
                    ));
                }
            }
            run(&format!("ip -n {far} route add default via 10.{octet}.0.1"));
            run(&format!("ip -n {far} -6 route add default via fd{octet}::1"));
        }
        let inside = File::open(format!("/run/netns/{gateway}")).unwrap();
        setns(inside, CloneFlags::CLONE_NEWNET).unwrap();
        world
    }

    pub(crate) fn open(&self) -> Bpf {
        Bpf::open(&self.settings)
            .unwrap_or_else(|error| panic!("{}", shared::daemon::Chain(&error)))
    }

    pub(crate) fn entry(&self, session: u128, down_kbps: u32, up_kbps: u32) -> Entry {
        Entry {
            slot: Slot(3),
            session: SessionId::from_uuid(Uuid::from_u128(session)),
            mac: CLIENT.parse().unwrap(),
            shape: Shape {
                down_kbps: Kbps::new(down_kbps).unwrap(),
                up_kbps: Kbps::new(up_kbps).unwrap(),
            },
            class: Class::Active,
        }
    }

    fn namespace(&self, side: &str) -> String {
        format!("{}-{side}", self.name)
    }

    pub(crate) fn client(&self, command: &str) -> String {
        self.inside("c", command)
    }

    pub(crate) fn gateway(&self, command: &str) -> String {
        self.inside("g", command)
    }

    pub(crate) fn server(&self, command: &str) -> String {
        self.inside("s", command)
    }

    fn inside(&self, side: &str, command: &str) -> String {
        run(&format!("nsenter --net=/run/netns/{} {command}", self.namespace(side)))
    }

    pub(crate) fn iperf_server(&self) -> Daemon {
        let child = Command::new("nsenter")
            .arg(format!("--net=/run/netns/{}", self.namespace("s")))
            .args(["iperf3", "-s"])
            .stdout(Stdio::null())
            .spawn()
            .expect("iperf3 is installed");
        thread::sleep(Duration::from_millis(300));
        Daemon(child)
    }
}

pub(crate) struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for side in ["c", "g", "s"] {
            let _ = Command::new("ip").args(["netns", "del", &self.namespace(side)]).status();
        }
        let _ = fs::remove_dir_all(&self.settings.pins);
    }
}

fn run(command: &str) -> String {
    let mut words = command.split_whitespace();
    let output = Command::new(words.next().unwrap())
        .args(words)
        .output()
        .unwrap_or_else(|error| panic!("{command}: {error}"));
    assert!(
        output.status.success(),
        "{command}: {} {}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) const CLIENT: &str = "02:00:00:00:00:77";
const SERVER: &str = "02:00:00:00:00:78";
const GATEWAY_LAN: &str = "02:00:00:00:01:77";
const GATEWAY_WAN: &str = "02:00:00:00:01:78";
