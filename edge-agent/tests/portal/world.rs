//! Two network namespaces and a cable: an edge, and a device that speaks raw HTTP to it. Everything
//! is gone when it is dropped.
//!
//! ```text
//!   device eth0 ──── lan0 edge
//!   10.77.0.2, fd77::2    .1
//! ```

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Command, Output},
    sync::Once,
    thread,
    time::Duration,
};

use nix::sched::{CloneFlags, setns};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Side {
    Device,
    Edge,
}

pub(crate) struct Cable {
    name: String,
}

impl Cable {
    pub(crate) fn new(name: &str) -> Self {
        assert!(
            nix::unistd::geteuid().is_root(),
            "these tests make network namespaces: run them as root"
        );
        SWEPT.call_once(sweep);
        let cable = Self { name: format!("{PREFIX}{}-{name}", std::process::id()) };
        for side in [Side::Device, Side::Edge] {
            run(&format!("ip netns add {}", cable.namespace(side)));
            cable.at(side, "sysctl -qw net.ipv6.conf.default.accept_dad=0");
            cable.at(side, "ip link set lo up");
        }
        run(&format!(
            "ip -n {} link add lan0 type veth peer name eth0 address {DEVICE} netns {}",
            cable.namespace(Side::Edge),
            cable.namespace(Side::Device)
        ));
        for (side, link, end) in [(Side::Edge, "lan0", 1), (Side::Device, "eth0", 2)] {
            cable.at(side, &format!("ip addr add 10.77.0.{end}/24 dev {link}"));
            cable.at(side, &format!("ip -6 addr add fd77::{end}/64 dev {link} nodad"));
            cable.at(side, &format!("ip link set {link} up"));
        }
        cable
    }

    pub(crate) fn namespace(&self, side: Side) -> String {
        let letter = match side {
            Side::Device => 'd',
            Side::Edge => 'e',
        };
        format!("{}-{letter}", self.name)
    }

    /// Runs `work` in a thread that is inside the namespace: sockets and threads it makes stay there.
    pub(crate) fn inside<T: Send>(&self, side: Side, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                self.enter(side);
                work()
            });
            thread.join().expect("what was done inside did not fail")
        })
    }

    fn enter(&self, side: Side) {
        let path = format!("/run/netns/{}", self.namespace(side));
        let namespace = File::open(&path).expect(&path);
        setns(namespace, CloneFlags::CLONE_NEWNET).expect("entering a namespace that is there");
    }

    pub(crate) fn command(&self, side: Side, program: &str) -> Command {
        let mut nsenter = Command::new("nsenter");
        nsenter.arg(format!("--net=/run/netns/{}", self.namespace(side))).arg(program);
        nsenter
    }

    pub(crate) fn at(&self, side: Side, command: &str) -> String {
        let mut words = command.split_whitespace();
        let program = words.next().expect("a command");
        finish(command, self.command(side, program).args(words).output())
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for side in [Side::Device, Side::Edge] {
            let _gone = Command::new("ip").args(["netns", "del", &self.namespace(side)]).status();
        }
    }
}

/// What a server has said until it closed the connection.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Reply {
    #[track_caller]
    pub(crate) fn read(said: &str) -> Self {
        let parts = said.split_once("\r\n\r\n");
        let (head, body) = parts.unwrap_or_else(|| panic!("no head: {said:?}"));
        let status = head.starts_with("HTTP/1.").then(|| head.get(9..12)?.parse().ok()).flatten();
        Self { status: status.expect(head), head: head.to_owned(), body: body.to_owned() }
    }

    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// Of the field that is hidden in its form.
    #[track_caller]
    pub(crate) fn token(&self) -> &str {
        let (_, rest) = self.body.split_once("name=\"token\" value=\"").expect(&self.body);
        rest.split('"').next().expect("split gives at least one")
    }
}

/// Sends octets to `server` from the namespace of this thread, and reads all that comes back.
pub(crate) fn send(server: SocketAddr, octets: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(server).expect("the server takes connections");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout can be set");
    // It may have heard enough, and be gone.
    let _gone = stream.write_all(octets);
    let mut said = Vec::new();
    match stream.read_to_end(&mut said) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}"),
    }
    said
}

#[track_caller]
pub(crate) fn ask(server: SocketAddr, request: &str) -> Reply {
    let said = String::from_utf8(send(server, request.as_bytes())).expect("it is text");
    Reply::read(&said)
}

static SWEPT: Once = Once::new();

/// Removes what test processes that were killed have left.
fn sweep() {
    for entry in fs::read_dir("/run/netns").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let rest = name.strip_prefix(PREFIX);
        let process = rest.and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if process.is_some_and(|process| !Path::new(&format!("/proc/{process}")).exists()) {
            let _gone = Command::new("ip").args(["netns", "del", &name]).status();
        }
    }
}

fn run(command: &str) -> String {
    let mut words = command.split_whitespace();
    let program = words.next().expect("a command");
    finish(command, Command::new(program).args(words).output())
}

fn finish(command: &str, output: std::io::Result<Output>) -> String {
    let output = output.unwrap_or_else(|error| panic!("{command}: {error}"));
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command}: {}{}", said(&output.stdout), said(&output.stderr));
    said(&output.stdout)
}

/// Of everything that has a name on this host; the process's number follows.
const PREFIX: &str = "kennet-test-";

pub(crate) const DEVICE: &str = "02:00:00:00:00:77";
