//! The database of a controller: a private cluster of its own, or yours.

use shared::daemon::Life;

use crate::{
    app::StartError,
    db::{self, Db},
    postgres::{Cluster, ClusterError},
    settings::{Database, Settings},
};

/// The database of the settings, with the private cluster below it if that is what was asked for.
#[derive(Clone, Debug)]
pub struct Storage {
    pub db: Db,
    cluster: Option<Cluster>,
    /// Another controller runs, and does what is due.
    pub is_shared: bool,
}

impl Storage {
    /// Starts the private cluster if there is to be one, and migrates.
    pub async fn open(settings: &Settings) -> Result<Self, StartError> {
        match &settings.database {
            Database::Yours(options) => {
                db::migrate(options).await?;
                Ok(Self { db: Db::open(options), cluster: None, is_shared: false })
            }
            Database::Private(cluster) => {
                let cluster = Cluster::open(cluster).await?;
                let made = Self::in_cluster(&cluster).await;
                if made.is_err() {
                    cluster.stop().await;
                }
                made
            }
        }
    }

    /// As [`Storage::open`], or the private cluster of the controller that runs already.
    pub async fn reach(settings: &Settings) -> Result<Self, StartError> {
        match (Self::open(settings).await, &settings.database) {
            (Err(StartError::Cluster(ClusterError::InUse(_))), Database::Private(cluster)) => {
                let options = Cluster::join(cluster)?.database(DATABASE);
                db::migrate(&options).await?;
                Ok(Self { db: Db::open(&options), cluster: None, is_shared: true })
            }
            (result, _) => result,
        }
    }

    async fn in_cluster(cluster: &Cluster) -> Result<Self, StartError> {
        db::create(&cluster.options(), DATABASE).await?;
        let options = cluster.options().database(DATABASE);
        db::migrate(&options).await?;
        let (db, cluster) = (Db::open(&options), Some(cluster.clone()));
        Ok(Self { db, cluster, is_shared: false })
    }

    pub fn watch(&self, life: &Life) {
        if let Some(cluster) = &self.cluster {
            cluster.watch(life);
        }
    }

    pub async fn close(&self) {
        self.db.close().await;
        if let Some(cluster) = &self.cluster {
            cluster.stop().await;
        }
    }
}

const DATABASE: &str = "kennet";
