//! A NAS that meters by itself: ocserv, a VPN server, and openconnect, who dials in.
//!
//! Its RADIUS client is an old one: no Message-Authenticator, passwords in PAP.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::{
    lab::{Lab, Namespace, Process},
    provider::authority::{Authority, Identity},
};

/// ocserv in a namespace, with the edge on the same loopback.
#[derive(Debug)]
pub struct Vpn {
    pub process: Process,
    listen: SocketAddr,
    name: String,
}

/// Its end of every tunnel, and the interface of the first one.
pub const INSIDE: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 1);
pub const TUNNEL: &str = "vpns0";

impl Vpn {
    /// Shows `identity`, which says `name`, at `listen`.
    pub fn start(
        lab: &Lab,
        namespace: &Namespace,
        listen: SocketAddr,
        (name, identity): (&str, &Identity),
        secret: &str,
    ) -> Result<Self> {
        let folder = lab.folder("ocserv")?;
        let here = folder.display();
        let client = format!(
            "authserver 127.0.0.1:1812\nacctserver 127.0.0.1:1813\nservers {here}/servers\n\
             dictionary /etc/radcli/dictionary\nnas-identifier ocserv\nradius_timeout 5\n\
             radius_retries 2\nbindaddr *\n"
        );
        let settings = format!(
            "auth = \"radius[config={here}/radius.conf,groupconfig=true]\"\n\
             acct = \"radius[config={here}/radius.conf]\"\nstats-report-time = 1\n\
             listen-host = {ip}\ntcp-port = {port}\nudp-port = {port}\nrun-as-user = nobody\n\
             run-as-group = nogroup\nsocket-file = {here}/socket\nserver-cert = {certificate}\n\
             server-key = {key}\nisolate-workers = false\nmax-clients = 4\nkeepalive = 30\n\
             dpd = 60\ndevice = vpns\nipv4-network = 192.168.77.0/24\n\
             cisco-client-compat = true\npid-file = {here}/pid\nlog-level = 2\n",
            ip = listen.ip(),
            port = listen.port(),
            certificate = identity.certificate.display(),
            key = identity.key.display(),
        );
        let config = folder.join("ocserv.conf");
        write(&folder.join("servers"), &format!("127.0.0.1/127.0.0.1 {secret}\n"))?;
        write(&folder.join("radius.conf"), &client)?;
        write(&config, &settings)?;
        let mut command = namespace.command("ocserv");
        let mut process = lab.start("ocserv", command.args(["-f", "-c"]).arg(config))?;
        process.wait_until("listening", Duration::from_secs(10), || {
            Ok(namespace.inside(|| Ok(std::net::TcpStream::connect(listen)?)).is_ok())
        })?;
        Ok(Self { process, listen, name: name.to_owned() })
    }

    /// Somebody dials in from `namespace`; the tunnel's end there is `tun0`.
    pub fn dial(
        &self,
        lab: &Lab,
        namespace: &Namespace,
        authority: &Authority,
        (username, password): (&str, &str),
    ) -> Result<Process> {
        let folder = lab.folder("openconnect")?;
        let script = folder.join("script");
        write(&folder.join("password"), &format!("{password}\n"))?;
        write(&script, SCRIPT)?;
        let line = format!(
            "exec openconnect --protocol=anyconnect --user={username} --passwd-on-stdin \
             --non-inter --cafile={ca} --resolve={name}:{ip} --script='sh {script}' \
             https://{name}:{port} < {password}",
            ca = authority.certificate().display(),
            name = self.name,
            ip = self.listen.ip(),
            port = self.listen.port(),
            script = script.display(),
            password = folder.join("password").display(),
        );
        let mut command: Command = namespace.command("sh");
        lab.start("openconnect", command.args(["-c", &line]))
    }
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// What openconnect calls when the tunnel is there.
const SCRIPT: &str = r#"
if [ "$reason" = connect ]; then
    ip link set dev "$TUNDEV" up mtu 1300
    ip addr add "$INTERNAL_IP4_ADDRESS/32" peer 192.168.77.1 dev "$TUNDEV"
fi
exit 0
"#;
