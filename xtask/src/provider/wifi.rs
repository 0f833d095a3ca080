//! A Wi-Fi network whose radios are simulated by the kernel, in namespaces of the lab.
//!
//! hostapd stands in the edge's namespace, as on an access point that is its own gateway, so its
//! interfaces are the edge's LAN. Kernels have such radios where Debian built them: in a guest
//! ([`crate::vm`]). They have no loss and no limit of the air.

use std::{
    collections::BTreeMap,
    env, fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    lab::{Lab, Namespace, Process, Seat, network::SERVER_V4},
    provider::hostapd::{Hostapd, Servers},
    vm, workspace,
};

/// Radios, gone when this is dropped: the access points' and one for each station.
#[derive(Debug)]
pub struct Radios {
    pub seats: Vec<Seat>,
    /// Addresses of the access points' interfaces, by name.
    macs: BTreeMap<&'static str, String>,
}

/// Of an access point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Radio {
    pub interface: &'static str,
    pub ssid: &'static str,
    channel: u8,
    /// The edge's address there; its network has 24 bits.
    pub address: Ipv4Addr,
}

/// Who logs in gets in.
pub const CLOSED: Radio = Radio {
    interface: "wlan0",
    ssid: "subscribers",
    channel: 1,
    address: Ipv4Addr::new(10, 67, 0, 1),
};

/// Everybody gets in, and the edge says what he may.
pub const OPEN: Radio =
    Radio { interface: "wlan1", ssid: "welcome", channel: 6, address: Ipv4Addr::new(10, 67, 1, 1) };

impl Radio {
    /// In MHz.
    pub fn frequency(&self) -> u16 {
        2_407 + 5 * u16::from(self.channel)
    }
}

impl Radios {
    /// Two in the edge's namespace, and `stations` seats.
    pub fn make(lab: &Lab, edge: &Namespace, stations: u8) -> Result<Self> {
        ensure!(
            env::var_os(vm::INSIDE).is_some(),
            "simulated radios are for guests, not for this machine's kernel: cargo xtask vm test Wi-Fi"
        );
        // What encrypts is loaded by nobody else: there is no udev in a guest.
        workspace::output(Command::new("modprobe").args(["-a", "aesni_intel", "ccm"]))?;
        let count = format!("radios={}", 2 + stations);
        workspace::output(Command::new("modprobe").args([MODULE, &count]))?;
        let mut radios = Self { seats: Vec::new(), macs: BTreeMap::new() };
        for radio in [CLOSED, OPEN] {
            let Radio { interface, address, .. } = radio;
            radios.macs.insert(interface, give(interface, edge)?);
            edge.ip([format!("address add {address}/24 dev {interface}")])?;
        }
        for number in 1..=stations {
            let namespace = lab.namespace(&format!("w{number}"))?;
            // Nothing speaks unasked: it would be counted.
            namespace.settings(&[("ipv6/conf/default/disable_ipv6", "1")])?;
            let name = format!("wlan{}", 1 + number);
            let mac = give(&name, &namespace)?.replace(':', "-").to_uppercase();
            namespace.ip([format!("link set {name} name {INTERFACE}")])?;
            let (v4, v6) = (Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED);
            radios.seats.push(Seat { namespace, mac, v4, v6 });
        }
        Ok(radios)
    }

    /// The first station asks for an address as a device does, and takes it. Then nothing but its
    /// own packets is on the air: both ends know each other's address.
    pub fn lease(&self, lab: &Lab, edge: &Namespace, radio: Radio) -> Result<Seat> {
        let mut seat = self.seats.first().context("there is a station")?.clone();
        let folder = lab.folder("lease")?;
        let (script, lease) = (folder.join("script"), folder.join("lease"));
        let text = format!(
            "#!/bin/sh\n[ \"$1\" != bound ] || echo $ip $router $dns >{}\n",
            lease.display()
        );
        fs::write(&script, text)?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
        let mut command = lab.command(Some(&seat.namespace), "busybox");
        command.args(["udhcpc", "-i", INTERFACE, "-n", "-q", "-f", "-t", "10", "-T", "1", "-s"]);
        workspace::output(command.arg(&script))?;
        let said = fs::read_to_string(&lease).context("it got no address")?;
        let said: Vec<Ipv4Addr> =
            said.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let [own, router, dns] = said[..] else { bail!("not three addresses: {said:?}") };
        ensure!([router, dns] == [radio.address; 2], "{router} and {dns} are somebody else");
        seat.v4 = own;
        let mac = seat.mac.replace('-', ":");
        let gateway = self.macs.get(radio.interface).context("it has a radio")?;
        seat.namespace.ip([
            format!("address add {own}/24 dev {INTERFACE}"),
            format!("route add default via {router}"),
            format!("neighbour replace {router} lladdr {gateway} dev {INTERFACE} nud permanent"),
        ])?;
        let interface = radio.interface;
        edge.ip([format!("neighbour replace {own} lladdr {mac} dev {interface} nud permanent")])?;
        Ok(seat)
    }
}

impl Drop for Radios {
    fn drop(&mut self) {
        let _the_guest_ends_soon = Command::new("modprobe").args(["-r", MODULE]).status();
    }
}

/// Moves a radio into a namespace; the address of its interface.
fn give(interface: &str, to: &Namespace) -> Result<String> {
    let folder = Path::new("/sys/class/net").join(interface);
    let read = |name: &str| {
        let file = folder.join(name);
        let text = fs::read_to_string(&file);
        text.map(|text| text.trim().to_owned())
            .with_context(|| format!("cannot read {}", file.display()))
    };
    let (mac, phy) = (read("address")?, read("phy80211/name")?);
    workspace::output(Command::new("iw").args(["phy", &phy, "set", "netns", "name", to.name()]))?;
    Ok(mac)
}

/// The access point of those who log in at `servers`, on the edge's own loopback.
pub fn closed<'lab>(
    lab: &'lab Lab,
    edge: &Namespace,
    servers: Servers<'_>,
) -> Result<Hostapd<'lab>> {
    let own = IpAddr::from(Ipv4Addr::LOCALHOST);
    let asks = servers.settings(CLOSED.ssid, own, own);
    access_point(
        lab,
        edge,
        CLOSED,
        &format!("wpa=2\nwpa_key_mgmt=WPA-EAP\nrsn_pairwise=CCMP\n{asks}"),
    )
}

/// The access point of everybody.
pub fn open<'lab>(lab: &'lab Lab, edge: &Namespace) -> Result<Hostapd<'lab>> {
    access_point(lab, edge, OPEN, "")
}

fn access_point<'lab>(
    lab: &'lab Lab,
    edge: &Namespace,
    radio: Radio,
    security: &str,
) -> Result<Hostapd<'lab>> {
    let Radio { interface, ssid, channel, .. } = radio;
    let settings = format!(
        "driver=nl80211\nssid={ssid}\nhw_mode=g\nchannel={channel}\nieee80211n=1\n\
         wmm_enabled=1\n{security}"
    );
    Hostapd::start(lab, edge, interface, &settings)
}

/// dnsmasq, as on most such machines: addresses for stations, and one name of the internet.
pub fn addresses(lab: &Lab, edge: &Namespace) -> Result<Process> {
    let leases = lab.folder("dnsmasq")?.join("leases");
    let mut command = edge.command("dnsmasq");
    command.args(["--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--pid-file="]);
    command.args(["--no-resolv", "--no-hosts", "--no-ping", "--dhcp-authoritative"]);
    command.args(["--bind-dynamic", "--log-dhcp", "--log-queries", "--log-facility=-"]);
    command.arg(format!("--dhcp-leasefile={}", leases.display()));
    command.arg(format!("--address=/{NAME}/{SERVER_V4}"));
    for Radio { interface, address, .. } in [CLOSED, OPEN] {
        let [a, b, c, _] = address.octets();
        command.arg(format!("--interface={interface}"));
        command.arg(format!("--dhcp-range={a}.{b}.{c}.10,{a}.{b}.{c}.99,1h"));
    }
    let mut process = lab.start("dnsmasq", &mut command)?;
    let log = process.log().to_owned();
    process.wait_until("serving", Duration::from_secs(30), || {
        Ok(fs::read_to_string(&log)?.contains("DHCP, IP range"))
    })?;
    Ok(process)
}

/// What a name is, asked as a device asks.
pub fn look_up(lab: &Lab, seat: &Seat, radio: Radio, name: &str) -> Result<String> {
    let mut command = lab.command(Some(&seat.namespace), "busybox");
    workspace::output(command.args(["nslookup", "-type=a", name, &radio.address.to_string()]))
}

/// A host of the internet, by its name.
pub const NAME: &str = "www.internet.lab";

const MODULE: &str = "mac80211_hwsim";

/// What a host calls its only interface.
const INTERFACE: &str = "eth0";
