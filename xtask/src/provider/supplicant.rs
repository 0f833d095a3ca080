//! wpa_supplicant, who plugs in at a wired port or joins a Wi-Fi network.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};

use crate::{
    lab::{Lab, Process, Seat},
    provider::{authority::Authority, hostapd::values},
    workspace,
};

/// wpa_supplicant on one seat's interface.
#[derive(Debug)]
pub struct Supplicant<'lab> {
    pub process: Process,
    lab: &'lab Lab,
    control: PathBuf,
}

impl<'lab> Supplicant<'lab> {
    /// At a wired port. `network` are the lines of its network block: method, identity, what it
    /// trusts.
    pub fn plug_in(lab: &'lab Lab, seat: &Seat, name: &str, network: &str) -> Result<Self> {
        let network = format!("{network}\nkey_mgmt=IEEE8021X\neapol_flags=0");
        Self::start(lab, seat, name, "wired", &format!("ap_scan=0\n{}", block(&network)))
    }

    /// In the network that is called so, at this frequency in MHz. Without `network`, it is open.
    pub fn join(
        lab: &'lab Lab,
        seat: &Seat,
        ssid: &str,
        frequency: u16,
        network: Option<&str>,
    ) -> Result<Self> {
        let how = network.map_or_else(
            || "key_mgmt=NONE".to_owned(),
            |lines| format!("{lines}\nkey_mgmt=WPA-EAP\nproto=RSN"),
        );
        let network = format!("ssid=\"{ssid}\"\nscan_freq={frequency}\n{how}");
        Self::start(lab, seat, ssid, "nl80211", &block(&network))
    }

    fn start(
        lab: &'lab Lab,
        seat: &Seat,
        name: &str,
        driver: &str,
        settings: &str,
    ) -> Result<Self> {
        let name = format!("supplicant-{name}");
        let folder = lab.folder(&name)?;
        let control = folder.join("control");
        let config = folder.join("wpa_supplicant.conf");
        fs::write(&config, format!("ctrl_interface={}\n{settings}", control.display()))
            .with_context(|| format!("cannot write {}", config.display()))?;
        let mut command = seat.namespace.command("wpa_supplicant");
        command.args(["-D", driver, "-i", INTERFACE, "-dt", "-c"]).arg(config);
        let mut process = lab.start(&name, &mut command)?;
        let socket = control.join(INTERFACE);
        process.wait_until("up", Duration::from_secs(30), || Ok(socket.exists()))?;
        Ok(Self { process, lab, control })
    }

    /// One line of its status: `suppPortStatus`, `EAP state`, `tls_session_reused`.
    pub fn status(&self, name: &str) -> Result<Option<String>> {
        let said = self.ask("status")?;
        Ok(values(&said).get(name).map(|value| (*value).to_owned()))
    }

    /// Begins anew, as after the cable was out.
    pub fn again(&self) -> Result<()> {
        self.ask("reassociate").map(drop)
    }

    fn ask(&self, what: &str) -> Result<String> {
        let mut command = self.lab.command(None, "wpa_cli");
        command.arg("-p").arg(&self.control).args(["-i", INTERFACE, what]);
        workspace::output(&mut command)
    }
}

/// Lines for PEAP with MSCHAPv2, to a server of this authority with this name.
pub fn peap(identity: &str, password: &str, authority: &Authority, server: &str) -> String {
    format!(
        "{}\neap=PEAP\nanonymous_identity=\"anonymous\"\npassword=\"{password}\"\n\
         phase2=\"auth=MSCHAPV2\"",
        trust(identity, authority, server)
    )
}

/// Who somebody is to everybody, and whom it believes.
pub fn trust(identity: &str, authority: &Authority, server: &str) -> String {
    let ca = authority.certificate().display();
    format!("identity=\"{identity}\"\nca_cert=\"{ca}\"\ndomain_match=\"{server}\"")
}

fn block(network: &str) -> String {
    format!("network={{\n{network}\n}}\n")
}

/// What a host calls its only interface.
const INTERFACE: &str = "eth0";
