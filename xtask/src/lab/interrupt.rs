//! Ctrl-C and `kill`: everything that was made is removed before this process ends.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError, RwLock, RwLockReadGuard},
    thread,
};

use anyhow::{Context as _, Result};
use nix::sys::signal::{SigSet, Signal};

use crate::lab::sweep;

/// Held while something is made; the thread that handles a signal takes it for good, so that
/// nothing is made while all is being removed.
static MAKING: RwLock<()> = RwLock::new(());

static LABS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// To be called once, while there is one thread and before the first lab: the threads that come
/// later inherit which signals are blocked. So do child processes; [`Process`] undoes it there.
///
/// [`Process`]: crate::lab::Process
pub fn watch() -> Result<()> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        signals.add(signal);
    }
    signals.thread_block().context("cannot block signals")?;
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            let Ok(signal) = signals.wait() else { return };
            let _for_good = MAKING.write().unwrap_or_else(PoisonError::into_inner);
            let labs = LABS.lock().unwrap_or_else(PoisonError::into_inner).clone();
            println!("\n{signal}: removing what was made");
            let mut code = 128 + signal as i32;
            for lab in labs {
                if let Err(error) = sweep::lab(&lab) {
                    println!("cannot remove all of {}: {error:#}", lab.display());
                    code = 1;
                }
            }
            std::process::exit(code);
        })
        .context("cannot start a thread")?;
    Ok(())
}

pub(super) fn making() -> RwLockReadGuard<'static, ()> {
    MAKING.read().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn register(lab: &Path) {
    LABS.lock().unwrap_or_else(PoisonError::into_inner).push(lab.to_owned());
}

pub(super) fn forget(lab: &Path) {
    LABS.lock().unwrap_or_else(PoisonError::into_inner).retain(|other| other != lab);
}
