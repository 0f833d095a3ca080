//! hostapd, a NAS that is not ours: at a switch's port ([`port`]) or as an access point
//! ([`crate::provider::wifi`]).
//!
//! A port is one of the lab's switch ([`crate::lab::network`]). hostapd's wired driver moves no
//! traffic: it speaks EAPOL with the station and RADIUS with the edge, as a switch's port does,
//! and the edge's data plane lets the station's packets pass or not.

use std::{collections::BTreeMap, fs, net::IpAddr, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};

use crate::{
    lab::{
        Lab, Namespace, Process,
        network::{EDGE_V4, SWITCH_V4},
    },
    workspace,
};

/// hostapd on one interface.
#[derive(Debug)]
pub struct Hostapd<'lab> {
    pub process: Process,
    lab: &'lab Lab,
    interface: String,
    control: PathBuf,
}

/// Where a NAS sends its requests.
#[derive(Clone, Copy, Debug)]
pub struct Servers<'a> {
    pub auth: (IpAddr, u16),
    pub acct: (IpAddr, u16),
    pub secret: &'a str,
}

/// What a NAS knows of the device that it serves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Station {
    pub is_authorized: bool,
    /// The Acct-Session-Id; none as long as there is no session.
    pub session: Option<String>,
}

/// A port of the switch. Speaks to `servers` from the switch's end of the management wire, and can
/// be told to end a session from the edge's end.
pub fn port<'lab>(
    lab: &'lab Lab,
    switch: &Namespace,
    name: &str,
    servers: Servers<'_>,
) -> Result<Hostapd<'lab>> {
    let asks = servers.settings(&format!("switch-{name}"), SWITCH_V4.into(), EDGE_V4.into());
    let settings = format!("driver=wired\nuse_pae_group_addr=1\n{asks}");
    Hostapd::start(lab, switch, name, &settings)
}

impl Servers<'_> {
    /// Lines of hostapd.conf: 802.1X by these servers, each session reported every second.
    pub(super) fn settings(&self, nas: &str, own: IpAddr, disconnects: IpAddr) -> String {
        let Self { auth: (auth, auth_port), acct: (acct, acct_port), secret } = self;
        format!(
            "ieee8021x=1\neapol_version=2\neap_reauth_period=0\nown_ip_addr={own}\n\
             nas_identifier={nas}\n\
             auth_server_addr={auth}\nauth_server_port={auth_port}\n\
             auth_server_shared_secret={secret}\n\
             acct_server_addr={acct}\nacct_server_port={acct_port}\n\
             acct_server_shared_secret={secret}\nradius_acct_interim_interval=1\n\
             radius_das_port={DAS_PORT}\nradius_das_client={disconnects} {secret}\n\
             radius_das_time_window=300\nradius_das_require_event_timestamp=1\n\
             radius_das_require_message_authenticator=1\n"
        )
    }
}

impl<'lab> Hostapd<'lab> {
    pub(super) fn start(
        lab: &'lab Lab,
        namespace: &Namespace,
        interface: &str,
        settings: &str,
    ) -> Result<Self> {
        let name = format!("hostapd-{interface}");
        let folder = lab.folder(&name)?;
        let control = folder.join("control");
        let settings = format!(
            "interface={interface}\nctrl_interface={}\nlogger_stdout=-1\nlogger_stdout_level=0\n\
             {settings}",
            control.display(),
        );
        let config = folder.join("hostapd.conf");
        fs::write(&config, settings)
            .with_context(|| format!("cannot write {}", config.display()))?;
        let mut command = namespace.command("hostapd");
        let mut process = lab.start(&name, command.arg("-dt").arg(config))?;
        let socket = control.join(interface);
        process.wait_until("up", Duration::from_secs(30), || Ok(socket.exists()))?;
        Ok(Self { process, lab, interface: interface.to_owned(), control })
    }

    /// The device that it serves, if one has spoken.
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
        command.arg("-p").arg(&self.control).args(["-i", &self.interface, what]);
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

/// `name=value` of each line.
pub(super) fn values(said: &str) -> BTreeMap<&str, &str> {
    said.lines().filter_map(|line| line.split_once('=')).collect()
}

/// Where hostapd listens for Disconnect-Requests.
pub const DAS_PORT: u16 = 3799;

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
