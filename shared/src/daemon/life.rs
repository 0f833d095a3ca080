//! Everything that runs, and the way to stop it.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::Chain;

/// Owner of all tasks of a daemon. No task is spawned outside of it.
#[derive(Clone, Debug, Default)]
pub struct Life {
    stop: CancellationToken,
    tasks: TaskTracker,
}

#[derive(Debug, thiserror::Error)]
#[error("{0} tasks did not stop in time")]
pub struct StillRunning(usize);

impl Life {
    /// Runs `task` until it ends or the daemon stops. A task is cancelled at an `await`, so it
    /// holds nothing across one that it cannot lose.
    pub fn spawn<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            // Also on panic: half a daemon is worse than none, systemd starts a whole one.
            let _stop_all = stop.clone().drop_guard();
            if stop.run_until_cancelled(task).await.is_some() {
                tracing::error!(task.name = name, "task `{name}` ended on its own");
            }
        });
    }

    /// As [`Life::spawn`], for a task whose end is nothing special.
    pub fn spawn_short<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            stop.run_until_cancelled(task).await;
        });
    }

    /// Ends when the daemon is to stop, or a part of it has failed.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Asks every task to stop. For threads that find out that the daemon cannot go on.
    pub fn ask_to_stop(&self) {
        self.stop.cancel();
    }

    /// Ctrl-C and a service manager ask to stop.
    pub fn stop_on_signals(&self) {
        for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
            let life = self.clone();
            match signal(kind) {
                Ok(mut signal) => self.spawn_short(async move {
                    signal.recv().await;
                    life.ask_to_stop();
                }),
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "cannot wait for a signal");
                }
            }
        }
    }

    /// Asks every task to stop and waits for them, at most `grace`.
    pub async fn stop(self, grace: Duration) -> Result<(), StillRunning> {
        self.stop.cancel();
        self.tasks.close();
        let in_time = tokio::time::timeout(grace, self.tasks.wait()).await;
        in_time.map_err(|_| StillRunning(self.tasks.len()))
    }
}
