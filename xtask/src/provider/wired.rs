//! 802.1X at a wired port: hostapd is the switch, wpa_supplicant who plugs in.
//!
//! The port is one of the lab's switch ([`crate::lab::network`]). hostapd's wired driver moves no
//! traffic: it speaks EAPOL with the station and RADIUS with the edge, as a switch's port does,
//! and the edge's data plane lets the station's packets pass or not.

use std::{collections::BTreeMap, fs, net::IpAddr, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};

use crate::{
    lab::{
        Lab, Namespace, Process, Seat,
        network::{EDGE_V4, SWITCH_V4},
    },
    workspace,
};

/// hostapd at one port of the switch.
#[derive(Debug)]
pub struct Port<'lab> {
    pub process: Process,
    lab: &'lab Lab,
    name: String,
    control: PathBuf,
}

/// Where a NAS sends its requests.
#[derive(Clone, Copy, Debug)]
pub struct Servers<'a> {
    pub auth: (IpAddr, u16),
    pub acct: (IpAddr, u16),
    pub secret: &'a str,
}

/// What a NAS knows of the device at its port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Station {
    pub is_authorized: bool,
    /// The Acct-Session-Id; none as long as there is no session.
    pub session: Option<String>,
}

/// wpa_supplicant on one seat's interface.
#[derive(Debug)]
pub struct Supplicant<'lab> {
    pub process: Process,
    lab: &'lab Lab,
    control: PathBuf,
}

impl<'lab> Port<'lab> {
    /// Speaks to `servers` from the switch's end of the management wire, reports each session
    /// every second, and can be told to end one from the edge's end.
    pub fn open(
        lab: &'lab Lab,
        switch: &Namespace,
        name: &str,
        servers: Servers<'_>,
    ) -> Result<Self> {
        let folder = lab.folder(&format!("hostapd-{name}"))?;
        let control = folder.join("control");
        let (auth, auth_port) = servers.auth;
        let (acct, acct_port) = servers.acct;
        let settings = format!(
            "driver=wired\ninterface={name}\nctrl_interface={}\nlogger_stdout=-1\n\
             logger_stdout_level=0\nieee8021x=1\neapol_version=2\nuse_pae_group_addr=1\n\
             eap_reauth_period=0\nown_ip_addr={SWITCH_V4}\nnas_identifier=switch-{name}\n\
             auth_server_addr={auth}\nauth_server_port={auth_port}\n\
             auth_server_shared_secret={secret}\n\
             acct_server_addr={acct}\nacct_server_port={acct_port}\n\
             acct_server_shared_secret={secret}\nradius_acct_interim_interval=1\n\
             radius_das_port={DAS_PORT}\nradius_das_client={EDGE_V4} {secret}\n\
             radius_das_time_window=300\nradius_das_require_event_timestamp=1\n\
             radius_das_require_message_authenticator=1\n",
            control.display(),
            secret = servers.secret,
        );
        let config = folder.join("hostapd.conf");
        fs::write(&config, settings)
            .with_context(|| format!("cannot write {}", config.display()))?;
        let mut command = switch.command("hostapd");
        let process = lab.start(&format!("hostapd-{name}"), command.arg("-dt").arg(config))?;
        let mut port = Self { process, lab, name: name.to_owned(), control };
        port.wait_until_up()?;
        Ok(port)
    }

    fn wait_until_up(&mut self) -> Result<()> {
        let socket = self.control.join(&self.name);
        self.process.wait_until("up", Duration::from_secs(10), || Ok(socket.exists()))
    }

    /// The device at the port, if one has spoken.
    pub fn station(&self) -> Result<Option<Station>> {
        let said = self.ask("all_sta")?;
        Ok(Station::read(&said))
    }

    /// One of hostapd's own counters, as in the MIB of RFC 4668 and RFC 4670:
    /// `radiusAuthClientAccessAccepts`.
    pub fn counter(&self, name: &str) -> Result<u64> {
        let said = self.ask("mib")?;
        let value = values(&said).get(name).and_then(|value| value.parse().ok());
        value.with_context(|| format!("hostapd does not count {name}: {said}"))
    }

    pub fn wait_until(
        &mut self,
        what: &str,
        limit: Duration,
        mut ready: impl FnMut(&Self) -> Result<bool>,
    ) -> Result<()> {
        let start = std::time::Instant::now();
        while !ready(self)? {
            if let Some(status) = self.process.has_ended()? {
                anyhow::bail!("hostapd ended ({status}); {}", self.process.last_words());
            }
            if start.elapsed() > limit {
                anyhow::bail!("not {what} within {limit:?}; {}", self.process.last_words());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn ask(&self, what: &str) -> Result<String> {
        let mut command = self.lab.command(None, "hostapd_cli");
        command.arg("-p").arg(&self.control).args(["-i", &self.name, what]);
        workspace::output(&mut command)
    }
}

impl Station {
    fn read(said: &str) -> Option<Self> {
        let values = values(said);
        let flags = values.get("flags")?;
        Some(Self {
            is_authorized: flags.contains("[AUTHORIZED]"),
            session: values.get("dot1xAuthSessionId").map(|id| (*id).to_owned()),
        })
    }
}

impl<'lab> Supplicant<'lab> {
    /// `network` are the lines of its network block: method, identity, what it trusts.
    pub fn plug_in(lab: &'lab Lab, seat: &Seat, name: &str, network: &str) -> Result<Self> {
        let folder = lab.folder(&format!("supplicant-{name}"))?;
        let control = folder.join("control");
        let settings = format!(
            "ctrl_interface={}\nap_scan=0\nnetwork={{\n{network}\nkey_mgmt=IEEE8021X\n\
             eapol_flags=0\n}}\n",
            control.display()
        );
        let config = folder.join("wpa_supplicant.conf");
        fs::write(&config, settings)
            .with_context(|| format!("cannot write {}", config.display()))?;
        let mut command = seat.namespace.command("wpa_supplicant");
        command.args(["-D", "wired", "-i", INTERFACE, "-dt", "-c"]).arg(config);
        let mut process = lab.start(&format!("supplicant-{name}"), &mut command)?;
        let socket = control.join(INTERFACE);
        process.wait_until("up", Duration::from_secs(10), || Ok(socket.exists()))?;
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

/// `name=value` of each line.
fn values(said: &str) -> BTreeMap<&str, &str> {
    said.lines().filter_map(|line| line.split_once('=')).collect()
}

/// Where hostapd listens for Disconnect-Requests.
pub const DAS_PORT: u16 = 3799;

/// What a host calls its only interface.
const INTERFACE: &str = "eth0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostapd_s_words_are_understood() {
        let said = "02:6b:6e:00:00:01\nflags=[AUTHORIZED]\naid=0\ndot1xAuthSessionId=9C61\n";
        let session = Some("9C61".to_owned());
        assert_eq!(Station::read(said), Some(Station { is_authorized: true, session }));
        let said = "02:6b:6e:00:00:01\nflags=\naid=0\n";
        assert_eq!(Station::read(said), Some(Station { is_authorized: false, session: None }));
        assert_eq!(Station::read(""), None);
    }
}
