//! What is measured, and who is measured with it.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{
    HERE, Pace, SUBSCRIBERS,
    certificates::Certificates,
    eap::{EapLoad, Method, Plan, Version},
    echo,
    freeradius::{self, Store, Threads},
    least,
    load::Load,
    measured::Measured,
    peers::Peer,
    request::Kind,
};

#[derive(Debug)]
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) work: Work,
    pub(super) servers: &'static [Server],
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Work {
    Packets {
        kind: Kind,
        /// Source ports, as of so many NASes.
        ports: usize,
        outstanding_per_port: usize,
        /// So many a second whatever the server does, or as many as it answers.
        per_second: Option<u32>,
    },
    Eap(Plan),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Server {
    Edge,
    FreeRadius(Store, Threads),
    /// What only the protocol takes.
    Least,
    /// Many datagrams with one call, or one.
    BatchedEcho,
    Echo,
}

const ONE: Server = Server::FreeRadius(Store::Files, Threads::One);
const POOL: Server = Server::FreeRadius(Store::Files, Threads::Pool);

const WITH_ECHO: &[Server] =
    &[Server::Edge, ONE, POOL, Server::Least, Server::BatchedEcho, Server::Echo];
const BOTH: &[Server] = &[Server::Edge, ONE, POOL];
const SQL: &[Server] = &[
    Server::Edge,
    Server::FreeRadius(Store::Sql, Threads::One),
    Server::FreeRadius(Store::Sql, Threads::Pool),
];
const ACCOUNTING: &[Server] = &[
    Server::Edge,
    ONE,
    Server::FreeRadius(Store::Detail, Threads::One),
    Server::FreeRadius(Store::Sql, Threads::One),
    Server::FreeRadius(Store::Sql, Threads::Pool),
    Server::BatchedEcho,
];

const fn packets(kind: Kind, ports: usize, outstanding_per_port: usize) -> Work {
    Work::Packets { kind, ports, outstanding_per_port, per_second: None }
}

const fn eap(method: Method, version: Version) -> Work {
    Work::Eap(Plan { method, version, resumes: false, abandons: false, peers: 32 })
}

pub(super) const CASES: &[Case] = &[
    Case { name: "pap", work: packets(Kind::Pap, 1, 64), servers: WITH_ECHO },
    Case { name: "pap-alone", work: packets(Kind::Pap, 1, 1), servers: WITH_ECHO },
    Case {
        name: "pap-50000",
        work: Work::Packets {
            kind: Kind::Pap,
            ports: 4,
            outstanding_per_port: 128,
            per_second: Some(50_000),
        },
        servers: WITH_ECHO,
    },
    Case { name: "pap-sql", work: packets(Kind::Pap, 1, 64), servers: SQL },
    Case { name: "chap", work: packets(Kind::Chap, 1, 64), servers: BOTH },
    Case { name: "mschapv2", work: packets(Kind::MsChapV2, 1, 64), servers: BOTH },
    Case { name: "accounting", work: packets(Kind::Accounting, 1, 64), servers: ACCOUNTING },
    Case {
        name: "accounting-16-nas",
        work: packets(Kind::Accounting, 16, 64),
        servers: ACCOUNTING,
    },
    Case { name: "eap-md5", work: eap(Method::Md5, Version::Tls12), servers: BOTH },
    Case { name: "peap-tls12", work: eap(Method::Peap, Version::Tls12), servers: BOTH },
    Case { name: "peap-tls13", work: eap(Method::Peap, Version::Tls13), servers: BOTH },
    Case {
        name: "peap-resumed",
        work: Work::Eap(Plan {
            method: Method::Peap,
            version: Version::Tls12,
            resumes: true,
            abandons: false,
            peers: 32,
        }),
        servers: BOTH,
    },
    Case { name: "ttls-pap", work: eap(Method::TtlsPap, Version::Tls12), servers: BOTH },
    Case { name: "eap-tls", work: eap(Method::Tls, Version::Tls12), servers: BOTH },
];

impl Case {
    /// How many are on their way, or come each second.
    pub(super) fn load(&self) -> String {
        match self.work {
            Work::Packets { per_second: Some(rate), .. } => format!("{rate}/s"),
            Work::Packets { ports, outstanding_per_port, .. } => {
                (ports * outstanding_per_port).to_string()
            }
            Work::Eap(plan) => plan.peers.to_string(),
        }
    }

    /// A server that is not busy says nothing about what it could do.
    pub(super) const fn is_busy(&self) -> bool {
        !matches!(self.work, Work::Packets { per_second: Some(_), .. })
    }
}

impl Server {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Edge => "kennet-edge",
            Self::FreeRadius(Store::Files, Threads::One) => "freeradius -s",
            Self::FreeRadius(Store::Files, Threads::Pool) => "freeradius",
            Self::FreeRadius(Store::Detail, Threads::One) => "freeradius -s, detail",
            Self::FreeRadius(Store::Detail, Threads::Pool) => "freeradius, detail",
            Self::FreeRadius(Store::Sql, Threads::One) => "freeradius -s, SQL",
            Self::FreeRadius(Store::Sql, Threads::Pool) => "freeradius, SQL",
            Self::Least => "the least",
            Self::BatchedEcho => "udp echo, batched",
            Self::Echo => "udp echo",
        }
    }

    pub(super) fn start(
        self,
        case: &Case,
        binaries: &Path,
        certificates: &Certificates,
    ) -> Result<Peer> {
        let resumes = matches!(case.work, Work::Eap(plan) if plan.resumes);
        match self {
            Self::Edge => Peer::edge(binaries, certificates),
            Self::FreeRadius(store, threads) => {
                freeradius::start(store, threads, resumes, certificates)
            }
            Self::Least => Peer::thread(least::serve),
            Self::BatchedEcho => Peer::thread(echo::batched),
            Self::Echo => Peer::thread(echo::one_by_one),
        }
    }

    const fn is_echo(self) -> bool {
        matches!(self, Self::BatchedEcho | Self::Echo)
    }
}

/// How long a server may take for its first lap.
const LAP_MAX: Duration = Duration::from_secs(20);

/// A load, aimed at one server.
pub(super) enum Generator {
    Packets(Load),
    Eap(EapLoad),
}

impl Generator {
    /// Ready when the server is.
    pub(super) fn aim(
        case: &Case,
        server: Server,
        peer: &Peer,
        certificates: &Certificates,
    ) -> Result<Self> {
        match case.work {
            Work::Packets { kind, ports, outstanding_per_port, per_second } => {
                let to = match kind {
                    Kind::Pap | Kind::Chap | Kind::MsChapV2 => peer.auth,
                    Kind::Accounting => peer.acct,
                };
                let mut load =
                    Load::new(HERE, to, kind, (ports, outstanding_per_port), server.is_echo())?;
                load.wait_for_server()?;
                load.at(per_second);
                Ok(Self::Packets(load))
            }
            Work::Eap(plan) => {
                let mut load = EapLoad::new(HERE, peer.auth, plan, certificates)?;
                load.wait_for_server()?;
                Ok(Self::Eap(load))
            }
        }
    }

    pub(super) fn warm_up(&mut self, pace: &Pace) -> Result<()> {
        self.run(pace.warm_up, &|| Ok(0.0))?;
        let start = Instant::now();
        if let Self::Packets(load) = self {
            let mut answered = load.answered();
            let all = if pace.laps && load.is_accounting() { SUBSCRIBERS as u64 } else { 0 };
            while answered < all && start.elapsed() < LAP_MAX {
                load.run(pace.warm_up, &|| Ok(0.0))?;
                answered += load.answered();
            }
        }
        Ok(())
    }

    pub(super) fn run(
        &mut self,
        time: Duration,
        cpu_seconds: &dyn Fn() -> Result<f64>,
    ) -> Result<Measured> {
        match self {
            Self::Packets(load) => load.run(time, cpu_seconds),
            Self::Eap(load) => load.run(time, cpu_seconds),
        }
    }
}
