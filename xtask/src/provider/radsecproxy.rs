//! radsecproxy at a site: RADIUS over UDP from the NAS, over TLS to the edge.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::{
    lab::{Lab, Namespace, Process},
    provider::authority::{Authority, Identity},
};

#[derive(Debug)]
pub struct Proxy {
    pub process: Process,
    /// Where it takes requests, authentication and accounting alike.
    pub listen: SocketAddr,
}

/// Of the proxy's own loopback.
const PORT: u16 = 11812;

impl Proxy {
    /// Takes requests with `secret` on the namespace's loopback and brings them to `edge`.
    pub fn start(
        lab: &Lab,
        namespace: &Namespace,
        edge: SocketAddr,
        authority: &Authority,
        identity: &Identity,
        secret: &str,
    ) -> Result<Self> {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
        let folder = lab.folder("radsecproxy")?;
        let settings = format!(
            "ListenUDP {listen}\nLogLevel 2\nLogDestination file://{log}\n\
             tls default {{\n  CACertificateFile {ca}\n  CertificateFile {certificate}\n\
             \x20 CertificateKeyFile {key}\n}}\n\
             client {host} {{\n  type udp\n  secret \"{secret}\"\n}}\n\
             server edge {{\n  host {edge_host}\n  port {edge_port}\n  type tls\n\
             \x20 secret radsec\n  StatusServer on\n  CertificateNameCheck off\n}}\n\
             realm * {{\n  server edge\n  accountingServer edge\n}}\n",
            log = folder.join("log").display(),
            ca = authority.certificate().display(),
            certificate = identity.certificate.display(),
            key = identity.key.display(),
            host = listen.ip(),
            edge_host = edge.ip(),
            edge_port = edge.port(),
        );
        let config = folder.join("radsecproxy.conf");
        fs::write(&config, settings)
            .with_context(|| format!("cannot write {}", config.display()))?;
        let mut command = namespace.command("radsecproxy");
        let mut process = lab.start("radsecproxy", command.args(["-f", "-c"]).arg(config))?;
        // Once it has the port, nobody else can take it.
        process.wait_until("listening", Duration::from_secs(10), || {
            Ok(namespace.inside(|| Ok(std::net::UdpSocket::bind(listen)?)).is_err())
        })?;
        Ok(Self { process, listen })
    }
}
