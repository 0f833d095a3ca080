//! Wi-Fi, with an access point and stations that are not ours: hostapd and wpa_supplicant on radios
//! that the kernel simulates, EAP over our RADIUS, traffic shaped and metered on the radio's own
//! interface, where the edge is the gateway.
//!
//! This machine's kernel is left alone: these run in a guest, `cargo xtask vm test Wi-Fi`.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use xtask::{
    lab::{self, Counters, Lab, Network, Offload, Process, network::SERVER_V4},
    provider::{
        authority::{Authority, Role},
        edge::{Edge, Live, Orders, Settings},
        hostapd::{Hostapd, Servers},
        supplicant::{self, Supplicant},
        traffic::{self, Direction, FIRST_PORT, Family, Taker, Together, Transfer, near},
        wifi::{self, CLOSED, OPEN, Radios},
    },
    workspace,
};

const SECRET: &str = "a secret of the access point";

const LIMIT: Duration = Duration::from_mins(1);

const AMINA: &str = r#"
[[subscriber]]
username = "amina"
password = "jasmine-1"
down_kbps = 10000
up_kbps = 5000
"#;

#[test]
#[ignore = "for a guest with simulated radios: cargo xtask vm test Wi-Fi"]
fn who_logs_in_gets_the_plan_each_byte_is_counted_and_a_disconnect_ends_it() -> Result<()> {
    let site = Site::build()?;
    let mut closed = site.closed()?;
    let _servers = traffic::serve(&site.lab, &site.network.internet, 1)?;
    let supplicant = site.log_in("jasmine-1")?;
    let session = is_in(&mut closed, &supplicant)?;
    let seat = &site.radios.lease(&site.lab, &site.network.edge, CLOSED)?;
    let air = traffic::silence(seat)?;
    let start = site.live()?.context("she has a session")?;

    for (direction, plan_kbps) in [(Direction::Down, 10_000), (Direction::Up, 5_000)] {
        let transfer =
            Transfer { direction, family: Family::V4, port: FIRST_PORT, seconds: SECONDS };
        let taker = Taker { seat, transfer, plan_kbps };
        let Together { goodputs, tries } = traffic::together(&site.lab, &[taker])?;
        let reached = goodputs.first().context("there is one")?.kbps;
        println!("{direction:?}: {reached} of {plan_kbps} kbit/s, measured {tries} times");
        ensure!(near(plan_kbps, reached), "{direction:?}: {reached} of {plan_kbps} kbit/s");
    }

    let air = ip_bytes(traffic::silence(seat)? - air);
    let live = site.live()?.context("the session is still there")?;
    assert_eq!(live.session, start.session, "and is the same");
    assert_eq!(live.acct_session_id, session, "the edge knows the access point's own id");
    let (passed, dropped) = (live.passed - start.passed, live.dropped - start.dropped);
    println!("on the air {air:?}, passed {passed:?}, dropped {dropped:?}");
    let moved = Counters {
        up_bytes: passed.up_bytes + dropped.up_bytes,
        up_packets: passed.up_packets + dropped.up_packets,
        ..passed
    };
    assert_eq!(moved, air, "what the edge counted is what the station moved");
    ensure!(passed.down_packets > 1_000 && passed.up_packets > 1_000, "too little: {passed:?}");

    // Gone from the desired state: off the air.
    let start = Instant::now();
    site.edge.order(&desired(""))?;
    closed.wait_until("without her", LIMIT, |closed| {
        Ok(!closed.station()?.is_some_and(|station| station.is_authorized))
    })?;
    until("she knows", || Ok(!is_connected(&supplicant)?))?;
    println!("off the air {} ms after SIGHUP", start.elapsed().as_millis());
    until("the journal has it", || {
        Ok(!site.edge.records(&site.lab, "session_effect")?.is_empty())
    })?;
    let effect = site.edge.records(&site.lab, "session_effect")?.remove(0);
    let told = ["asked", "answered", "observed"].map(|name| field(&effect, name));
    assert_eq!(told, ["disconnect", "ack", "ended"], "{effect}");
    ensure!(site.live()?.is_none(), "no session is left");

    // She tries again by herself, and is refused.
    closed.wait_until("refused", LIMIT, |closed| {
        Ok(closed.counter("radiusAuthClientAccessRejects")? > 0)
    })?;
    ensure!(!is_connected(&supplicant)? && !site.passes()?, "nothing passes any more");
    site.lab.keep_logs(false);
    Ok(())
}

#[test]
#[ignore = "for a guest with simulated radios: cargo xtask vm test Wi-Fi"]
fn an_unknown_device_gets_an_address_and_names_and_is_shown_the_portal() -> Result<()> {
    let site = Site::build()?;
    let _open = site.open()?;
    let _supplicant = site.come_in()?;
    let seat = site.radios.lease(&site.lab, &site.network.edge, OPEN)?;
    let said = wifi::look_up(&site.lab, &seat, OPEN, wifi::NAME)?;
    ensure!(said.contains(&SERVER_V4.to_string()), "{} is somewhere else: {said}", wifi::NAME);
    ensure!(!site.passes()?, "nothing else passes before somebody logs in");
    ensure!(site.live()?.is_none(), "and there is no session");

    // There is no web server at that address: who answers is the edge.
    let answer = site.ask_the_web()?;
    println!("{answer}");
    let status = answer.lines().next().unwrap_or_default();
    ensure!(["302", "303", "307", "511"].iter().any(|it| status.contains(it)), "{status}");
    let portal = format!("http://{}:{PORTAL_PORT}/", OPEN.address);
    ensure!(answer.contains(&portal), "it does not name {portal}: {answer}");
    site.lab.keep_logs(false);
    Ok(())
}

/// An edge that is an access point's gateway, and one device.
struct Site {
    edge: Edge,
    _addresses: Process,
    authority: Authority,
    radios: Radios,
    network: Network,
    lab: Lab,
    _alone: File,
}

impl Site {
    fn build() -> Result<Self> {
        let alone = lab::alone()?;
        let binaries = workspace::binaries()?;
        let lab = Lab::new()?;
        lab.keep_logs(true);
        let network = Network::build(&lab, 0, Offload::Off)?;
        let radios = Radios::make(&lab, &network.edge, 1)?;
        let authority = Authority::new(&lab.folder("certificates")?, "root")?;
        let shown = authority.issue(Role::Server, SERVER)?;
        let (cert, key) = (shown.certificate.display(), shown.key.display());
        let listens = format!(
            "auth = [\"127.0.0.1:1812\"]\nacct = [\"127.0.0.1:1813\"]\n\
             eap = {{ cert = \"{cert}\", key = \"{key}\" }}\n"
        );
        let settings = Settings {
            orders: Orders::File(&desired(AMINA)),
            radius: &listens,
            lan: &[CLOSED.interface, OPEN.interface],
            more: &format!("[portal]\nlisten = \"{}:{PORTAL_PORT}\"\n", OPEN.address),
        };
        let mut edge = Edge::start_as(&lab, &binaries, &network.edge, settings)?;
        let log = edge.process.log().to_owned();
        edge.wait_until("running", LIMIT, || {
            Ok(std::fs::read_to_string(&log)?.contains("kennet-edge is running"))
        })?;
        let addresses = wifi::addresses(&lab, &network.edge)?;
        Ok(Self { edge, _addresses: addresses, authority, radios, network, lab, _alone: alone })
    }

    /// The access point for subscribers.
    fn closed(&self) -> Result<Hostapd<'_>> {
        let server = |port| (IpAddr::from(Ipv4Addr::LOCALHOST), port);
        let servers = Servers { auth: server(1812), acct: server(1813), secret: SECRET };
        wifi::closed(&self.lab, &self.network.edge, servers)
    }

    /// The access point for everybody.
    fn open(&self) -> Result<Hostapd<'_>> {
        wifi::open(&self.lab, &self.network.edge)
    }

    fn log_in(&self, password: &str) -> Result<Supplicant<'_>> {
        let lines = supplicant::peap("amina", password, &self.authority, SERVER);
        let seat = self.radios.seats.first().context("there is one")?;
        Supplicant::join(&self.lab, seat, CLOSED.ssid, CLOSED.frequency(), Some(&lines))
    }

    /// Into the open network, and waits until it is there.
    fn come_in(&self) -> Result<Supplicant<'_>> {
        let seat = self.radios.seats.first().context("there is one")?;
        let supplicant = Supplicant::join(&self.lab, seat, OPEN.ssid, OPEN.frequency(), None)?;
        until("in the open network", || is_connected(&supplicant))?;
        Ok(supplicant)
    }

    fn live(&self) -> Result<Option<Live>> {
        Ok(self.edge.sessions(&self.lab)?.into_iter().next())
    }

    /// Whether five packets come back from the internet.
    fn passes(&self) -> Result<bool> {
        let seat = self.radios.seats.first().context("there is one")?;
        let mut ping = self.lab.command(Some(&seat.namespace), "ping");
        ping.args(["-n", "-c", "5", "-i", "0.1", "-W", "2", &SERVER_V4.to_string()]);
        let output = ping.output().context("cannot start ping")?;
        match output.status.code() {
            Some(0) => Ok(true),
            // 2: there is no way, since its network is gone.
            Some(1 | 2) => Ok(false),
            other => bail!("ping ended with {other:?}: {output:?}"),
        }
    }

    /// What answers to a request for a page of [`wifi::NAME`].
    fn ask_the_web(&self) -> Result<String> {
        let seat = self.radios.seats.first().context("there is one")?;
        seat.namespace.inside(|| {
            let mut stream = TcpStream::connect_timeout(&(SERVER_V4, 80).into(), LIMIT)?;
            stream.set_read_timeout(Some(LIMIT))?;
            let request =
                format!("GET / HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", wifi::NAME);
            stream.write_all(request.as_bytes())?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        })
    }
}

/// The kernel's Wi-Fi counts what it receives as Ethernet, but what it sends with the headers of the
/// air: 26 bytes and 8 in place of 14.
fn ip_bytes(counted: Counters) -> Counters {
    Counters { up_bytes: counted.up_bytes - 20 * counted.up_packets, ..counted }
}

/// Waits until she is in by all accounts; the access point's session.
fn is_in(closed: &mut Hostapd<'_>, supplicant: &Supplicant<'_>) -> Result<String> {
    closed
        .wait_until("open to her", LIMIT, |closed| {
            Ok(closed.station()?.is_some_and(|station| station.is_authorized))
        })
        .with_context(|| supplicant.process.last_words())?;
    until("connected", || is_connected(supplicant))?;
    let station = closed.station()?.context("somebody is there")?;
    station.session.context("who is in has a session")
}

fn is_connected(supplicant: &Supplicant<'_>) -> Result<bool> {
    Ok(supplicant.status("wpa_state")?.as_deref() == Some("COMPLETED"))
}

fn desired(subscribers: &str) -> String {
    format!(
        "[[nas]]\nname = \"access point\"\naddress = \"127.0.0.1\"\nsecret = \"{SECRET}\"\n\
         enforce = \"edge\"\n{subscribers}"
    )
}

fn field<'a>(record: &'a Value, name: &str) -> &'a str {
    record.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn until(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !holds().with_context(|| what.to_owned())? {
        ensure!(start.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// The name in the edge's certificate.
const SERVER: &str = "radius.lab";

/// Of a transfer.
const SECONDS: u32 = 6;

const PORTAL_PORT: u16 = 2080;
