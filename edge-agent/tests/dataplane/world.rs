//! Client, gateway and server in three network namespaces; everything is gone when it is dropped.
//!
//! ```text
//!   client eth0 ──── lan0 gateway wan0 ──── eth0 server
//!   10.77.0.2, fd77::2   .1        .1   10.78.0.2, fd78::2
//! ```

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::Once,
    thread,
    time::{Duration, Instant},
};

use edge_agent::{
    dataplane::{Dataplane as _, Entry, Reading, Slot, bpf::Bpf},
    settings,
};
use nix::sched::{CloneFlags, setns};
use shared::{
    daemon::Chain,
    id::SessionId,
    net::Mac,
    rate::{Kbps, Shape},
};
use uuid::Uuid;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Side {
    Client,
    Gateway,
    Server,
}

pub(crate) struct World {
    name: String,
    pub(crate) settings: settings::Dataplane,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) bytes: u64,
    pub(crate) packets: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) received: Counted,
    pub(crate) sent: Counted,
}

impl Interface {
    pub(crate) fn since(self, before: Self) -> Self {
        Self { received: self.received.since(before.received), sent: self.sent.since(before.sent) }
    }
}

impl Counted {
    pub(crate) fn since(self, before: Self) -> Self {
        Self { bytes: self.bytes - before.bytes, packets: self.packets - before.packets }
    }

    /// Without the Ethernet headers.
    pub(crate) fn of_ip(self) -> Self {
        Self { bytes: self.bytes - 14 * self.packets, packets: self.packets }
    }
}

impl World {
    /// Puts the calling thread into the gateway's namespace.
    pub(crate) fn new(name: &str) -> Self {
        assert!(
            nix::unistd::geteuid().is_root(),
            "these tests make network namespaces and load kernel programs: run them as root"
        );
        SWEPT.call_once(sweep);
        let name = format!("{PREFIX}{}-{name}", std::process::id());
        let pins = PathBuf::from(format!("/sys/fs/bpf/{name}"));
        let settings = settings::Dataplane {
            lan: vec!["lan0".to_owned()],
            wan: vec!["wan0".to_owned()],
            pins,
            slots: 1024,
            muscle: None,
        };
        let world = Self { name, settings };
        for side in [Side::Client, Side::Gateway, Side::Server] {
            run(&format!("ip netns add {}", world.namespace(side)));
            world.inside(side, || {
                for (key, value) in SETTINGS {
                    let file = Path::new("/proc/sys/net").join(key);
                    fs::write(&file, value).unwrap_or_else(|error| panic!("{key}: {error}"));
                }
            });
            world.ip(side, &["link set lo up".to_owned()]);
        }
        world.wire(Side::Client, "lan0", 77, [GATEWAY_LAN, CLIENT]);
        world.wire(Side::Server, "wan0", 78, [GATEWAY_WAN, SERVER]);
        world.enter(Side::Gateway);
        world.wait_for_quiet();
        world
    }

    /// Until the client has told everybody of its new addresses: nobody is to count that.
    fn wait_for_quiet(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut before = self.counted(Side::Client, "eth0").sent;
        loop {
            thread::sleep(QUIET);
            let now = self.counted(Side::Client, "eth0").sent;
            if now == before {
                return;
            }
            assert!(Instant::now() < deadline, "the client does not come to rest: {now:?}");
            before = now;
        }
    }

    /// The cable to the client once more, after it was taken away.
    pub(crate) fn wire_client(&self) {
        self.wire(Side::Client, "lan0", 77, [GATEWAY_LAN, CLIENT]);
    }

    /// A cable from the gateway, with every neighbour known: no ARP.
    fn wire(&self, far: Side, name: &str, net: u8, [here, there]: [&str; 2]) {
        let pair = format!(
            "link add {name} address {here} type veth peer name eth0 address {there} netns {}",
            self.namespace(far)
        );
        let end = |name: &str, end: u8, peer: &str| {
            let other = 3 - end;
            let neighbour = format!("lladdr {peer} nud permanent dev {name}");
            vec![
                format!("link set {name} up"),
                format!("addr add 10.{net}.0.{end}/24 dev {name}"),
                format!("addr add fd{net}::{end}/64 dev {name} nodad"),
                format!("neigh replace 10.{net}.0.{other} {neighbour}"),
                format!("neigh replace fd{net}::{other} {neighbour}"),
            ]
        };
        self.ip(Side::Gateway, &[vec![pair], end(name, 1, there)].concat());
        let routes = vec![
            format!("route add default via 10.{net}.0.1"),
            format!("route add ::/0 via fd{net}::1"),
        ];
        self.ip(far, &[end("eth0", 2, here), routes].concat());
    }

    /// All lines in one process: where the machine is emulated, starting one takes long.
    fn ip(&self, side: Side, lines: &[String]) {
        let mut child = Command::new("ip")
            .args(["-n", &self.namespace(side), "-batch", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("ip is installed");
        let mut input = child.stdin.take().expect("it is piped");
        input.write_all(lines.join("\n").as_bytes()).expect("ip reads");
        drop(input);
        finish(&lines.join("; "), child.wait_with_output());
    }

    /// What its namespaces are called, before a letter for the side.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn namespace(&self, side: Side) -> String {
        let letter = match side {
            Side::Client => 'c',
            Side::Gateway => 'g',
            Side::Server => 's',
        };
        format!("{}-{letter}", self.name)
    }

    fn enter(&self, side: Side) {
        let path = format!("/run/netns/{}", self.namespace(side));
        let namespace = File::open(&path).expect(&path);
        setns(namespace, CloneFlags::CLONE_NEWNET).expect("entering a namespace that is there");
    }

    /// Runs `work` in a thread that is inside the namespace: sockets it makes stay there.
    pub(crate) fn inside<T: Send>(&self, side: Side, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                self.enter(side);
                work()
            });
            thread.join().expect("what was done inside did not fail")
        })
    }

    fn command(&self, side: Side, command: &str) -> Command {
        let mut words = command.split_whitespace();
        let mut nsenter = Command::new("nsenter");
        nsenter.arg(format!("--net=/run/netns/{}", self.namespace(side))).args(&mut words);
        nsenter
    }

    pub(crate) fn at(&self, side: Side, command: &str) -> String {
        finish(command, self.command(side, command).output())
    }

    pub(crate) fn fails(&self, side: Side, command: &str) -> bool {
        let output = self.command(side, command).output().expect(command);
        !output.status.success()
    }

    /// In the background, until it is dropped.
    pub(crate) fn start(&self, side: Side, command: &str) -> Background {
        let child = self.command(side, command).stdout(Stdio::null()).spawn().expect(command);
        Background(child)
    }

    /// Until the command says that.
    pub(crate) fn wait_for(&self, side: Side, command: &str, what: &str) {
        let deadline = Instant::now() + Duration::from_secs(5);
        while !self.at(side, command).contains(what) {
            assert!(Instant::now() < deadline, "{command} never says {what}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// One transfer by iperf3 from the client to the server at `host`, or back with `-R`.
    pub(crate) fn transfer(&self, host: &str, flags: &str) -> String {
        // A server of its own: one that has just served may still be busy with that.
        let _server = self.start(Side::Server, "iperf3 -s -1");
        self.wait_for(Side::Server, "ss -Hltn sport = :5201", "5201");
        self.at(Side::Client, &format!("iperf3 -c {host} {flags}"))
    }

    /// Payload bits per second that a TCP transfer of `seconds` reached after its first second.
    pub(crate) fn goodput(&self, seconds: u32, flags: &str) -> f64 {
        let said = self.transfer("10.78.0.2", &format!("-J -O 1 -t {seconds} {flags}"));
        let report: serde_json::Value = serde_json::from_str(&said).expect("iperf3 speaks JSON");
        let reached = report.pointer("/end/sum_received/bits_per_second");
        reached.and_then(serde_json::Value::as_f64).expect("iperf3 measures")
    }

    pub(crate) fn counted(&self, side: Side, interface: &str) -> Interface {
        let [bytes_in, packets_in, _, _, _, _, _, _, bytes_out, packets_out, ..] =
            self.columns(side, interface);
        Interface {
            received: Counted { bytes: bytes_in, packets: packets_in },
            sent: Counted { bytes: bytes_out, packets: packets_out },
        }
    }

    /// Packets that left an interface, and for which its other end had no room.
    pub(crate) fn undelivered(&self, side: Side, interface: &str) -> u64 {
        let [.., dropped_out, _, _, _, _] = self.columns(side, interface);
        dropped_out
    }

    /// Of `/proc/net/dev`: bytes, packets, errs, drop, fifo, frame, compressed and multicast of what
    /// came in; bytes, packets, errs, drop, fifo, colls, carrier and compressed of what went out.
    fn columns(&self, side: Side, interface: &str) -> [u64; 16] {
        let text = self.inside(side, || fs::read_to_string("/proc/thread-self/net/dev"));
        let text = text.expect("the kernel counts");
        let prefix = format!("{interface}:");
        let line = text.lines().find_map(|line| line.trim_start().strip_prefix(&prefix));
        let fields: Vec<u64> = line
            .expect("the interface is there")
            .split_whitespace()
            .map(|field| field.parse().expect("counters are numbers"))
            .collect();
        fields.try_into().expect("sixteen columns")
    }

    /// Waits until no counter moves any more.
    pub(crate) fn settle(&self, bpf: &Bpf) -> Reading {
        let deadline = Instant::now() + Duration::from_secs(10);
        let look = || {
            (reading(bpf), self.counted(Side::Client, "eth0"), self.counted(Side::Server, "eth0"))
        };
        let mut before = look();
        loop {
            thread::sleep(Duration::from_millis(300));
            let now = look();
            if now == before {
                return now.0;
            }
            assert!(Instant::now() < deadline, "the counters do not come to rest: {now:?}");
            before = now;
        }
    }

    pub(crate) fn open(&self) -> Bpf {
        Bpf::open(&self.settings).unwrap_or_else(|error| panic!("{}", Chain(&error)))
    }

    /// Each packet is one frame, on both ways.
    pub(crate) fn settle_segmentation(&self) {
        for side in [Side::Client, Side::Server] {
            self.segmentation(side, "eth0", false);
        }
    }

    pub(crate) fn segmentation(&self, side: Side, interface: &str, on: bool) {
        let state = if on { "on" } else { "off" };
        let kinds = format!("tso {state} gso {state} tx-udp-segmentation {state}");
        self.at(side, &format!("ethtool -K {interface} {kinds}"));
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for side in [Side::Client, Side::Gateway, Side::Server] {
            let _gone = Command::new("ip").args(["netns", "del", &self.namespace(side)]).status();
        }
        // Links and maps live as long as their pins.
        let _gone = fs::remove_dir_all(&self.settings.pins);
    }
}

static SWEPT: Once = Once::new();

/// Removes what test processes that were killed have left.
fn sweep() {
    let entries = |folder: &str| fs::read_dir(folder).into_iter().flatten().flatten();
    let is_dead = |name: &str| {
        let rest = name.strip_prefix(PREFIX);
        let process = rest.and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        process.is_some_and(|process| !Path::new(&format!("/proc/{process}")).exists())
    };
    for entry in entries("/run/netns") {
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_dead(&name) {
            let _gone = Command::new("ip").args(["netns", "del", &name]).status();
        }
    }
    for entry in entries("/sys/fs/bpf") {
        if is_dead(&entry.file_name().to_string_lossy()) {
            let _gone = fs::remove_dir_all(entry.path());
        }
    }
}

/// A process that ends with the test.
pub(crate) struct Background(Child);

impl Drop for Background {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// The client's session.
pub(crate) fn entry(session: u128, down_kbps: u32, up_kbps: u32) -> Entry {
    let session = SessionId::from_uuid(Uuid::from_u128(session));
    let mac = CLIENT.parse::<Mac>().expect("a MAC address");
    Entry::of_device(SLOT, session, mac, shape(down_kbps, up_kbps))
}

pub(crate) fn shape(down_kbps: u32, up_kbps: u32) -> Shape {
    Shape {
        down_kbps: Kbps::new(down_kbps).expect("not zero"),
        up_kbps: Kbps::new(up_kbps).expect("not zero"),
    }
}

pub(crate) fn reading(bpf: &Bpf) -> Reading {
    *bpf.read(&[SLOT]).expect("the slot is there").first().expect("one reading for one slot")
}

pub(crate) fn verdict(bpf: &Bpf, reason: &str) -> u64 {
    let verdicts = bpf.verdicts();
    verdicts.iter().find(|(name, _)| *name == reason).expect("a known reason").1
}

fn run(command: &str) -> String {
    let mut words = command.split_whitespace();
    let program = words.next().expect("a command");
    finish(command, Command::new(program).args(words).output())
}

pub(crate) fn finish(command: &str, output: std::io::Result<Output>) -> String {
    let output = output.unwrap_or_else(|error| panic!("{command}: {error}"));
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command}: {}{}", said(&output.stdout), said(&output.stderr));
    said(&output.stdout)
}

/// No chatter that nobody asked for: it would be in the counters.
const SETTINGS: &[(&str, &str)] = &[
    ("ipv6/conf/all/accept_dad", "0"),
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/default/router_solicitations", "0"),
    ("ipv6/conf/default/mldv1_unsolicited_report_interval", "1"),
    ("ipv6/conf/default/mldv2_unsolicited_report_interval", "1"),
    ("ipv4/ip_forward", "1"),
    ("ipv6/conf/all/forwarding", "1"),
];

/// Between two reports of an address there is less.
const QUIET: Duration = Duration::from_millis(400);

/// Of everything that has a name on this host; the process's number follows.
const PREFIX: &str = "kennet-test-";

pub(crate) const SLOT: Slot = Slot(3);
pub(crate) const CLIENT: &str = "02:00:00:00:00:77";
const SERVER: &str = "02:00:00:00:00:78";
const GATEWAY_LAN: &str = "02:00:00:00:01:77";
const GATEWAY_WAN: &str = "02:00:00:00:01:78";
