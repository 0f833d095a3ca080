//! RADIUS between link-local IPv6 addresses: of a router at the other end of a cable, on an
//! interface that has to be named to reach it. Needs root and `ip`.

#![expect(clippy::unwrap_used, reason = "a fault is a failed test")]

use std::{
    fs::File,
    net::{Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket},
    process::Command,
    sync::{Arc, mpsc::sync_channel},
    thread,
    time::Duration,
};

use arc_swap::ArcSwap;
use edge_agent::{
    desired::{Current, Snapshot},
    radius::bind,
    settings,
};
use nix::{
    net::if_::if_nametoindex,
    sched::{CloneFlags, setns},
};
use radius::{Code, LEN_MAX, Packet, Secret, Writer, authenticator::verify_reply};
use shared::daemon::Life;

const EDGE: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const NAS: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);

/// Two namespaces with a cable between them.
struct Cable {
    edge: String,
    nas: String,
}

impl Cable {
    fn new() -> Self {
        let id = std::process::id();
        let cable = Self { edge: format!("kn-ll-{id}-edge"), nas: format!("kn-ll-{id}-nas") };
        let Self { edge, nas } = &cable;
        for command in [
            format!("netns add {edge}"),
            format!("netns add {nas}"),
            // In the second namespace the number of the interface differs.
            format!("-n {nas} link add filler type veth peer name other"),
            format!("-n {edge} link add cable type veth peer name cable netns {nas}"),
            format!("-n {edge} addr add {EDGE}/64 dev cable nodad"),
            format!("-n {nas} addr add {NAS}/64 dev cable nodad"),
            format!("-n {edge} link set cable up"),
            format!("-n {nas} link set cable up"),
        ] {
            ip(&command);
        }
        cable
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for namespace in [&self.edge, &self.nas] {
            // The cable goes with its ends.
            let _gone_already_is_fine =
                Command::new("ip").args(["netns", "del", namespace]).status();
        }
    }
}

#[track_caller]
fn ip(command: &str) {
    let output = Command::new("ip").args(command.split(' ')).output();
    let output = output.unwrap_or_else(|error| panic!("ip: {error}: apt-get install iproute2"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {command} (root is needed): {error}");
}

/// Runs `work` in a thread of the namespace: sockets that it makes stay there.
fn inside<T: Send>(namespace: &str, work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let file = File::open(format!("/run/netns/{namespace}")).unwrap();
            setns(file, CloneFlags::CLONE_NEWNET).unwrap();
            work()
        });
        thread.join().unwrap()
    })
}

fn at(address: Ipv6Addr, port: u16) -> SocketAddr {
    let scope = if address.is_unspecified() { 0 } else { if_nametoindex("cable").unwrap() };
    SocketAddr::V6(SocketAddrV6::new(address, port, 0, scope))
}

#[test]
fn a_reply_finds_its_way_back_over_the_interface_that_the_request_came_by() {
    let cable = Cable::new();
    let desired = r#"
        [[nas]]
        name = "router"
        address = "fe80::2"
        secret = "s"
        [[subscriber]]
        username = "020000000001"
        macs = ["02:00:00:00:00:01"]
        down_kbps = 1000
        up_kbps = 1000
    "#;
    let snapshot = Snapshot::new(toml::from_str(desired).unwrap()).unwrap();
    let desired: Current = Arc::new(ArcSwap::new(Arc::new(snapshot)));
    let (events, _inbox) = sync_channel(8);
    for here in [Ipv6Addr::UNSPECIFIED, EDGE] {
        let life = Life::default();
        let port = inside(&cable.edge, || {
            let auth = vec![at(here, 0)];
            let bound = bind(&settings::Radius { auth, ..settings::Radius::default() }).unwrap();
            let port = bound.auth_address().unwrap().port();
            bound.start(&desired, &events, &Arc::default(), &life).unwrap();
            port
        });
        inside(&cable.nas, || {
            let socket = UdpSocket::bind(at(NAS, 0)).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            // A connected socket hears only whom it has asked.
            socket.connect(at(EDGE, port)).unwrap();
            let (secret, nonce, mut buffer) = (Secret::new(b"s"), [7; 16], [0; LEN_MAX]);
            let mut writer = Writer::request(&mut buffer, Code::ACCESS_REQUEST, 1, nonce);
            writer.text(radius::AttrType::USER_NAME, "020000000001");
            socket.send(writer.sign(&secret).unwrap()).unwrap();
            let mut buffer = [0; LEN_MAX];
            let len = socket.recv(&mut buffer).unwrap();
            let reply = Packet::decode(buffer.get(..len).unwrap()).unwrap();
            assert_eq!(reply.code(), Code::ACCESS_ACCEPT, "at {here}");
            verify_reply(&reply, &nonce, &secret).unwrap();
        });
        life.ask_to_stop();
    }
}
