//! 802.1X at a wired port, with a switch and a supplicant that are not ours: hostapd and
//! wpa_supplicant in namespaces, EAP over our RADIUS, traffic metered by the kernel.

use std::{
    net::{IpAddr, SocketAddr},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use xtask::{
    lab::{
        Lab, Network, Offload, Seat,
        network::{self, EDGE_V4, SERVER_V4, SWITCH_V4},
    },
    provider::{
        authority::{Authority, Role},
        edge::{Edge, Live, Orders},
        hostapd::{self, Hostapd, Servers},
        radsecproxy::Proxy,
        supplicant::{self, Supplicant},
    },
    workspace,
};

const SECRET: &str = "a secret of the switch";

/// The name in the switch's client certificate, for RADIUS over TLS.
const SWITCH: &str = "switch.lab";

const LIMIT: Duration = Duration::from_secs(15);

const AMINA: &str = r#"
[[subscriber]]
username = "amina"
password = "jasmine-1"
down_kbps = 10000
up_kbps = 5000
"#;

#[test]
fn a_port_opens_for_its_subscriber_is_accounted_and_closes_when_she_is_gone() -> Result<()> {
    let site = Site::build(0)?;
    let mut port = site.port(None)?;
    ensure!(!site.passes()?, "nothing passes before somebody logs in");

    // Log in: the port opens, the kernel has the session, and all sides say so.
    let supplicant = site.plug_in("peap", &site.peap("jasmine-1"))?;
    let session = opened(&mut port)?;
    until("the supplicant knows", || {
        Ok(supplicant.status("suppPortStatus")?.as_deref() == Some("Authorized"))
    })?;
    let started = site.record("session_started")?;
    assert_eq!(field(&started, "username"), "amina", "the inner identity: {started}");
    assert_eq!(field(&started, "nas"), "switch", "{started}");
    site.moves_exactly(5)?;

    // Start and interim are answered, and the edge takes them for this session.
    let answered = port.counter("radiusAccClientResponses")?;
    port.wait_until("accounted for again", LIMIT, |port| {
        Ok(port.counter("radiusAccClientResponses")? >= answered + 2)
    })?;
    until("the edge knows the NAS's own id", || {
        Ok(site.live()?.is_some_and(|live| live.acct_session_id == session))
    })?;
    until("usage is in the journal", || {
        let usage = site.records("usage")?;
        Ok(usage.iter().any(|it| field(it, "session") == field(&started, "session")))
    })?;

    // Log in again, without going: the same session goes on.
    let accepts = port.counter(ACCEPTS)?;
    supplicant.again()?;
    port.wait_until("logged in again", LIMIT, |port| Ok(port.counter(ACCEPTS)? > accepts))?;
    assert_eq!(opened(&mut port)?, session, "the NAS's session goes on");
    site.moves_exactly(10)?;
    let starts = site.records("session_started")?;
    let other = starts.iter().find(|it| field(it, "session") != field(&started, "session"));
    assert_eq!(other, None, "the edge's session goes on");

    // Gone from the desired state: a Disconnect from the edge closes the port.
    let start = Instant::now();
    site.edge.order(&desired(""))?;
    port.wait_until("closed", LIMIT, |port| Ok(!is_open(port)?))?;
    println!("closed {} ms after SIGHUP", start.elapsed().as_millis());
    let stopped = site.record("session_stopped")?;
    assert_eq!(field(&stopped, "session"), field(&started, "session"), "{stopped}");
    ensure!(site.live()?.is_none(), "no session is left");
    let effect = site.record("session_effect")?;
    println!("in the journal: {effect}");
    let told = ["session", "asked", "answered", "observed"].map(|name| field(&effect, name));
    let session = field(&started, "session");
    assert_eq!(told, [session, "disconnect", "ack", "ended"], "{effect}");
    ensure!(!site.passes()?, "nothing passes after the Disconnect");

    for fault in FAULTS {
        assert_eq!(port.counter(fault)?, 0, "{fault}; {}", port.process.last_words());
    }
    site.lab.keep_logs(false);
    Ok(())
}

#[test]
fn a_port_stays_closed_for_a_wrong_password() -> Result<()> {
    let site = Site::build(0)?;
    let mut port = site.port(None)?;
    let supplicant = site.plug_in("wrong", &site.peap("jasmine-2"))?;
    port.wait_until("refused", LIMIT, |port| Ok(port.counter(REJECTS)? > 0))?;
    ensure!(!is_open(&port)?, "the port is open: {}", port.process.last_words());
    let status = supplicant.status("suppPortStatus")?;
    assert_eq!(status.as_deref(), Some("Unauthorized"));
    ensure!(!site.passes()?, "nothing passes");
    ensure!(site.live()?.is_none(), "and there is no session");
    assert_eq!(port.counter(ACCEPTS)?, 0);
    site.lab.keep_logs(false);
    Ok(())
}

#[test]
fn every_method_passes_a_proxy_over_tls_with_long_chains_of_certificates() -> Result<()> {
    let site = Site::build(3)?;
    let identity = site.authority.issue(Role::Client, SWITCH)?;
    let edge = SocketAddr::from((EDGE_V4, 2083));
    let switch = &site.network.switch;
    let proxy = Proxy::start(&site.lab, switch, edge, &site.authority, &identity, SECRET)?;
    let mut port = site.port(Some(&proxy))?;
    let device = site.authority.issue_through(3, Role::Client, "amina")?;
    let with_password = format!(
        "{}\neap=TTLS\nanonymous_identity=\"anonymous\"\npassword=\"jasmine-1\"\n\
         phase2=\"auth=PAP\"",
        site.trust()
    );
    let with_certificate = format!(
        "{}\neap=TLS\nclient_cert=\"{}\"\nprivate_key=\"{}\"",
        site.trust(),
        device.certificate.display(),
        device.key.display()
    );
    for (name, lines) in
        [("peap", site.peap("jasmine-1")), ("ttls", with_password), ("tls", with_certificate)]
    {
        let accepts = port.counter(ACCEPTS)?;
        let supplicant = site.plug_in(name, &lines)?;
        port.wait_until(name, LIMIT, |port| Ok(port.counter(ACCEPTS)? > accepts && is_open(port)?))
            .with_context(|| supplicant.process.last_words())?;
        until("the supplicant is content", || {
            Ok(supplicant.status("EAP state")?.as_deref() == Some("SUCCESS"))
        })?;
        println!("{name}: open, over TLS, with chains of five certificates");
    }
    until("accounted for", || Ok(port.counter("radiusAccClientResponses")? >= 2))?;
    assert_eq!(port.counter("radiusAuthClientBadAuthenticators")?, 0);
    assert_eq!(port.counter("radiusAccClientBadAuthenticators")?, 0);
    site.lab.keep_logs(false);
    Ok(())
}

/// A lab with a switch that the edge knows, and one subscriber, amina, at its first port.
struct Site {
    edge: Edge,
    authority: Authority,
    seat: Seat,
    network: Network,
    lab: Lab,
}

const ACCEPTS: &str = "radiusAuthClientAccessAccepts";
const REJECTS: &str = "radiusAuthClientAccessRejects";

/// What hostapd counts when it does not like its server.
const FAULTS: &[&str] = &[
    "radiusAuthClientAccessRetransmissions",
    "radiusAuthClientBadAuthenticators",
    "radiusAuthClientMalformedAccessResponses",
    "radiusAuthClientUnknownTypes",
    "radiusAuthClientPacketsDropped",
    "radiusAccClientRetransmissions",
    "radiusAccClientBadAuthenticators",
    "radiusAccClientMalformedResponses",
];

impl Site {
    /// The edge's certificate has so many authorities between it and the root.
    fn build(between: usize) -> Result<Self> {
        let binaries = workspace::binaries()?;
        let lab = Lab::new()?;
        lab.keep_logs(true);
        let network = Network::build(&lab, 1, Offload::Off)?;
        network.manage()?;
        let seat = network.seats.first().context("there is one")?.clone();
        let authority = Authority::new(&lab.folder("certificates")?, "root")?;
        let shown = authority.issue_through(between, Role::Server, "radius.lab")?;
        let (cert, key) = (shown.certificate.display(), shown.key.display());
        let ca = authority.certificate().display();
        let radius = format!(
            "auth = [\"{EDGE_V4}:1812\"]\nacct = [\"{EDGE_V4}:1813\"]\n\
             eap = {{ cert = \"{cert}\", key = \"{key}\", client_ca = \"{ca}\" }}\n\
             tls = {{ listen = \"{EDGE_V4}:2083\", cert = \"{cert}\", key = \"{key}\", \
             client_ca = \"{ca}\" }}\n"
        );
        let orders = desired(AMINA);
        let orders = Orders::File(&orders);
        let mut edge = Edge::start_with(&lab, &binaries, &network.edge, orders, &radius)?;
        let log = edge.process.log().to_owned();
        edge.wait_until("running", Duration::from_secs(30), || {
            Ok(std::fs::read_to_string(&log)?.contains("kennet-edge is running"))
        })?;
        Ok(Self { edge, authority, seat, network, lab })
    }

    /// A switch's port that asks the edge, or a proxy in between.
    fn port(&self, through: Option<&Proxy>) -> Result<Hostapd<'_>> {
        let edge = |port| (IpAddr::from(EDGE_V4), port);
        let servers = match through {
            None => Servers { auth: edge(1812), acct: edge(1813), secret: SECRET },
            Some(proxy) => {
                let at = (proxy.listen.ip(), proxy.listen.port());
                Servers { auth: at, acct: at, secret: SECRET }
            }
        };
        hostapd::port(&self.lab, &self.network.switch, &network::port(1), servers)
    }

    fn plug_in(&self, name: &str, lines: &str) -> Result<Supplicant<'_>> {
        Supplicant::plug_in(&self.lab, &self.seat, name, lines)
    }

    /// Who she is to everybody, and whom she believes.
    fn trust(&self) -> String {
        supplicant::trust("amina", &self.authority, "radius.lab")
    }

    fn peap(&self, password: &str) -> String {
        supplicant::peap("amina", password, &self.authority, "radius.lab")
    }

    fn live(&self) -> Result<Option<Live>> {
        Ok(self.edge.sessions(&self.lab)?.into_iter().next())
    }

    /// Five packets through the edge to the internet and back, if they may pass.
    fn passes(&self) -> Result<bool> {
        let mut ping = self.seat.namespace.command("ping");
        ping.args(["-n", "-c", "5", "-i", "0.02", "-s", "100", "-W", "1", &SERVER_V4.to_string()]);
        let output = ping.output().context("cannot start ping")?;
        match output.status.code() {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            other => bail!("ping ended with {other:?}: {output:?}"),
        }
    }

    /// Five packets more, `all` since she has logged in: the kernel counts them to the byte.
    fn moves_exactly(&self, all: u64) -> Result<()> {
        ensure!(self.passes()?, "nothing passes");
        let live = self.live()?.context("a session is live")?;
        // ICMP echoes of 100 octets, 8 of header, 20 of IP header.
        let bytes = all * 128;
        assert_eq!((live.passed.down_bytes, live.passed.up_bytes), (bytes, bytes), "{live:?}");
        Ok(())
    }

    fn records(&self, kind: &str) -> Result<Vec<Value>> {
        self.edge.records(&self.lab, kind)
    }

    /// The first of its kind, once it is there.
    fn record(&self, kind: &str) -> Result<Value> {
        until(kind, || Ok(!self.records(kind)?.is_empty()))?;
        self.records(kind)?.into_iter().next().context("it was there")
    }
}

fn desired(subscribers: &str) -> String {
    format!(
        "[[nas]]\nname = \"switch\"\naddress = \"{SWITCH_V4}\"\nsecret = \"{SECRET}\"\n\
         enforce = \"edge\"\ntls_name = \"{SWITCH}\"\n{subscribers}"
    )
}

fn is_open(port: &Hostapd<'_>) -> Result<bool> {
    Ok(port.station()?.is_some_and(|station| station.is_authorized))
}

/// Waits until the port is open; the NAS's session.
fn opened(port: &mut Hostapd<'_>) -> Result<String> {
    port.wait_until("open", LIMIT, is_open)?;
    let station = port.station()?.context("somebody is there")?;
    station.session.context("an open port has a session")
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
