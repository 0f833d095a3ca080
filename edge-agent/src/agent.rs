//! Builds the parts of the edge and owns the channels between them.
//!
//! [`check`] reads everything that can be read without touching anything: files, secrets,
//! interface names. [`Agent::start`] then binds, and only then takes over kernel and journal.

use std::{
    fs::{self, File, TryLockError},
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use arc_swap::ArcSwap;
use nix::net::if_::{if_nameindex, if_nametoindex};
use shared::{
    daemon::{Chain, Life, StillRunning},
    id::EpochId,
};
use tokio::sync::{Notify, mpsc, watch::channel as watch_channel};
use uuid::Uuid;

use crate::{
    dataplane::{
        Dataplane, DataplaneError, Garden,
        bpf::{Bpf, Events, Names},
        memory::Memory,
        watch,
    },
    desired::{self, Current, Snapshot, disk::DiskError, file::FileError},
    journal::{Journal, JournalError},
    metrics::{self, MetricsError},
    portal, radius,
    sessions::{
        desk::{Desk, DeskError, EVENTS_MAX, Ways},
        event::Event,
        leases::Leases,
    },
    settings::Settings,
    uplink::{Births, BrokerError, Uplink, follow, lend},
};

pub struct Agent {
    life: Life,
    desk: JoinHandle<()>,
    /// Held for as long as the agent runs.
    _lock: File,
    reload: Reload,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{key}: there is no interface `{name}` here; there are: {present}")]
    NoInterface { key: &'static str, name: String, present: String },
    #[error("desired.file")]
    DesiredFile(#[from] FileError),
    #[error("{file}")]
    Reply { file: PathBuf, source: radius::ExtraError },
    #[error("the copy of the desired state in state_dir")]
    DesiredCopy(#[from] DiskError),
    #[error("the copy of the desired state in state_dir contradicts itself")]
    Contradiction(#[from] desired::Contradiction),
    #[error("cannot {attempt} state_dir {path}")]
    StateDir { attempt: &'static str, path: PathBuf, source: io::Error },
    #[error("another kennet-edge runs on state_dir {0}")]
    Running(PathBuf),
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error(transparent)]
    Client(#[from] follow::ClientError),
    #[error(transparent)]
    Radius(#[from] radius::ListenError),
    #[error(transparent)]
    Portal(#[from] portal::ServeError),
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    #[error("the data plane cannot be set up")]
    Dataplane(#[from] DataplaneError),
    #[error("the journal cannot be opened")]
    Journal(#[from] JournalError),
    #[error("the sessions cannot be taken over")]
    Desk(#[from] DeskError),
    #[error("cannot start the session thread")]
    Thread(#[source] io::Error),
    #[error("cannot listen to what the kernel tells")]
    Watch(#[source] io::Error),
}

pub const JOURNAL: &str = "journal.db";

/// Everything that can be wrong before anything is touched.
pub fn check(settings: &Settings) -> Result<Snapshot, StartError> {
    if let Some(dataplane) = &settings.dataplane {
        for (key, names) in [("dataplane.lan", &dataplane.lan), ("dataplane.wan", &dataplane.wan)] {
            for name in names {
                if if_nametoindex(name.as_str()).is_err() {
                    let (name, present) = (name.clone(), interfaces_here());
                    return Err(StartError::NoInterface { key, name, present });
                }
            }
        }
    }
    if let Some(radius) = &settings.radius {
        radius::check(radius)?;
    }
    if let Some(portal) = &settings.portal {
        portal::check(portal).map_err(portal::ServeError::from)?;
    }
    if let Some(uplink) = &settings.uplink {
        Uplink::broker(uplink)?;
    }
    // What the controller said last is newer than what a person once wrote into a file.
    if settings.uplink.is_some()
        && let Some(desired) = desired::disk::load(&settings.state_dir)?
    {
        return Ok(Snapshot::new(desired)?);
    }
    let Some(desired) = &settings.desired else { return Ok(Snapshot::default()) };
    let snapshot = desired::file::read(&desired.file)?;
    radius::check_replies(&settings.dictionary, &snapshot)
        .map_err(|source| StartError::Reply { file: desired.file.clone(), source })?;
    Ok(snapshot)
}

fn interfaces_here() -> String {
    let names = if_nameindex().map(|all| {
        let names = all.iter().map(|one| one.name().to_string_lossy().into_owned());
        names.collect::<Vec<_>>().join(", ")
    });
    names.unwrap_or_default()
}

impl Agent {
    /// `snapshot` is what [`check`] gave.
    pub async fn start(settings: Settings, snapshot: Snapshot) -> Result<Self, StartError> {
        let lock = lock(&settings.state_dir)?;
        let prometheus = metrics::install()?;
        // First: who finds RADIUS there finds its counters.
        let listener = match &settings.metrics {
            Some(metrics) => Some(metrics::bind(metrics.listen).await?),
            None => None,
        };
        let radius = settings.radius.as_ref().map(radius::bind).transpose()?;
        let radius = radius.map(|bound| bound.with_dictionary(Arc::clone(&settings.dictionary)));
        let portal = settings.portal.as_ref().map(portal::bind).transpose()?;

        let life = Life::default();
        let (dataplane, told) = open_dataplane(&settings)?;
        let capabilities = dataplane.capabilities();
        tracing::info!(?capabilities, "the data plane is there");
        let journal_path = settings.state_dir.join(JOURNAL);
        let journal = Journal::open(&journal_path, EpochId::from_uuid(Uuid::now_v7()))?;
        let births = Births::new(journal.birth());
        let (written_sender, written) = watch_channel(journal.head().next_seq);
        let (asks_sender, asks) = mpsc::channel(radius::ASKS_MAX);
        let leases = Arc::new(Leases::default());
        let (hungry, epoch) = (Arc::new(Notify::new()), journal.head().epoch);
        let ways = Ways {
            written: written_sender,
            asks: asks_sender,
            leases: Arc::clone(&leases),
            hungry: Arc::clone(&hungry),
            base: garden(&settings),
        };
        let desk = Desk::open(journal, dataplane, settings.sessions.pace(), ways)?;

        let (events, inbox) = sync_channel(EVENTS_MAX);
        let snapshot = Arc::new(snapshot);
        let (applied_sender, applied) = watch_channel(snapshot.revision);
        // First of all events: sessions that were taken over come under today's terms.
        let _ = events.try_send(Event::Desired(Arc::clone(&snapshot), None));
        let current: Current = Arc::new(ArcSwap::new(snapshot));

        if let Some((ring, names)) = told {
            let lan = settings.dataplane.iter().flat_map(|dataplane| dataplane.lan.clone());
            watch::events(ring, names, Arc::clone(&current), events.clone(), life.clone())
                .and_then(|()| watch::neighbours(lan.collect(), events.clone(), life.clone()))
                .map_err(StartError::Watch)?;
        }
        let desk_life = life.clone();
        let desk = std::thread::Builder::new()
            .name("sessions".to_owned())
            .spawn(move || desk.run(&inbox, &desk_life))
            .map_err(StartError::Thread)?;
        let radius =
            radius.map(|bound| bound.start(&current, &events, &leases, &life)).transpose()?;
        let asker = radius::Asker::new(asks, Arc::clone(&current), events.clone());
        life.spawn("dynamic authorisation", asker.run());
        if let Some(bound) = portal {
            bound.start(&current, &events, &leases, &life);
        }
        if let Some(listener) = listener {
            life.spawn("metrics", metrics::serve(listener, prometheus));
        }
        let reload = Reload {
            radius,
            file: settings.desired.as_ref().map(|desired| desired.file.clone()),
            current: Arc::clone(&current),
            events: events.clone(),
            look_again: Arc::new(Notify::new()),
            followed: settings.uplink.is_some(),
        };
        if let Some(uplink) = settings.uplink {
            let look_again = Arc::clone(&reload.look_again);
            let dataplane = settings.dataplane.as_ref();
            let interfaces = dataplane.map(|it| [&it.lan[..], &it.wan[..]].concat());
            let session = Uplink {
                broker: Uplink::broker(&uplink)?,
                journal: journal_path,
                events: events.clone(),
                written,
                applied,
                look_again: Arc::clone(&look_again),
                births,
                interfaces: interfaces.unwrap_or_default(),
                capabilities,
                live_every: settings.sessions.live_every(),
                life: life.clone(),
            };
            let follow = follow::Follow {
                client: follow::client(&uplink)?,
                settings: uplink,
                state_dir: settings.state_dir,
                current,
                events,
                applied: applied_sender,
                look_again,
            };
            life.spawn("uplink", session.run());
            life.spawn("lend", lend::Lend::beside(&follow, epoch, hungry).run());
            life.spawn("follow", follow.run());
        }
        Ok(Self { life, desk, _lock: lock, reload })
    }

    /// Ends when a part has failed.
    pub async fn failed(&self) {
        self.life.stopped().await;
    }

    /// Reads the desired state again, from its file or from the controller, and the certificates
    /// of EAP.
    pub fn reload(&self) {
        self.reload.run();
    }

    /// Stops asking, writes down what was moved so far, and leaves the sessions in the kernel.
    pub async fn stop(self) -> Result<(), StillRunning> {
        let stopped = self.life.stop(GRACE).await;
        let desk = self.desk;
        let joined = tokio::task::spawn_blocking(move || {
            if desk.join().is_err() {
                tracing::error!("the session thread panicked");
            }
        });
        let _ = tokio::time::timeout(GRACE, joined).await;
        stopped
    }
}

/// What SIGHUP does.
struct Reload {
    radius: Option<radius::Running>,
    file: Option<PathBuf>,
    current: Current,
    events: SyncSender<Event>,
    look_again: Arc<Notify>,
    followed: bool,
}

impl Reload {
    fn run(&self) {
        self.look_again.notify_one();
        if let Some(radius) = &self.radius {
            radius.reload();
        }
        // Once the controller has said what it wants, the file is history.
        if self.followed && self.current.load().revision > 0 {
            return;
        }
        let Some(file) = &self.file else { return };
        match desired::file::read(file) {
            Ok(snapshot) => {
                let snapshot = Arc::new(snapshot);
                self.current.store(Arc::clone(&snapshot));
                if self.events.try_send(Event::Desired(snapshot, None)).is_err() {
                    tracing::error!("the session thread is overloaded: reload again");
                }
                tracing::info!(file = %file.display(), "the desired state is read again");
            }
            Err(error) => {
                tracing::error!(error = %Chain(&error), "the desired state stays as it is");
            }
        }
    }
}

fn lock(state_dir: &Path) -> Result<File, StartError> {
    let failed = |attempt| {
        move |source| StartError::StateDir { attempt, path: state_dir.to_owned(), source }
    };
    fs::create_dir_all(state_dir).map_err(failed("create"))?;
    let file = File::create(state_dir.join("lock")).map_err(failed("write to"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StartError::Running(state_dir.to_owned())),
        Err(TryLockError::Error(source)) => Err(failed("lock")(source)),
    }
}

/// The data plane, and what tells of it.
type Opened = (Box<dyn Dataplane>, Option<(Events, Names)>);

fn open_dataplane(settings: &Settings) -> Result<Opened, StartError> {
    if let Some(dataplane) = &settings.dataplane {
        let mut bpf = Bpf::open(dataplane)?;
        let told = match bpf.events() {
            Some(ring) => Some((ring, bpf.names()?)),
            None => None,
        };
        return Ok((Box::new(bpf), told));
    }
    tracing::warn!("no [dataplane]: nothing is metered or shaped on this host");
    Ok((Box::new(Memory::default()), None))
}

/// What is for everybody, by this host's settings.
fn garden(settings: &Settings) -> Garden {
    let (mut portal_v4, mut portal_v6) = (None, None);
    if let Some(portal) = &settings.portal {
        for listen in [Some(portal.listen), portal.listen_v6.map(SocketAddr::V6)] {
            match listen {
                Some(SocketAddr::V4(v4)) if !v4.ip().is_unspecified() => portal_v4 = Some(v4),
                Some(SocketAddr::V6(v6)) if !v6.ip().is_unspecified() => portal_v6 = Some(v6),
                Some(_) | None => {}
            }
        }
    }
    Garden { portal_v4, portal_v6, ..Garden::default() }
}

const GRACE: Duration = Duration::from_secs(5);
