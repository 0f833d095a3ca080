//! A broker that is not ours: mosquitto, on the host's loopback, keeping its state on disk.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::{
    lab::{Lab, Process},
    provider::controller::free_ports,
};

#[derive(Debug)]
pub struct Broker {
    pub process: Process,
    pub address: SocketAddr,
    config: PathBuf,
}

impl Broker {
    pub fn start(lab: &Lab) -> Result<Self> {
        let folder = lab.folder("mosquitto")?;
        let [address] = free_ports()?;
        let config = folder.join("mosquitto.conf");
        // As root it would drop to a user of its own, who cannot write here.
        let text = format!(
            "listener {} 127.0.0.1\nallow_anonymous true\nuser root\npersistence true\n\
             autosave_interval 1\npersistence_location {}/\n",
            address.port(),
            folder.display()
        );
        fs::write(&config, text).with_context(|| format!("cannot write {}", config.display()))?;
        let process = run(lab, &config)?;
        let mut broker = Self { process, address, config };
        broker.wait_until_up()?;
        Ok(broker)
    }

    /// After it was killed.
    pub fn restart(&mut self, lab: &Lab) -> Result<()> {
        self.process = run(lab, &self.config)?;
        self.wait_until_up()
    }

    fn wait_until_up(&mut self) -> Result<()> {
        let address = self.address;
        self.process
            .wait_until("up", Duration::from_secs(10), || Ok(TcpStream::connect(address).is_ok()))
    }
}

fn run(lab: &Lab, config: &PathBuf) -> Result<Process> {
    let program = crate::setup::program("mosquitto").context("mosquitto is not installed")?;
    lab.start("mosquitto", Command::new(program).arg("-c").arg(config))
}
