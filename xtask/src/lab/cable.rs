//! A wire between the edge's namespace and the host's loopback, which can be cut and mended.
//!
//! It listens in the namespace and carries each connection to the same port of the host, so the
//! host needs no interface of its own towards the lab.

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::lab::Namespace;

/// What a cut looks like to those at the ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Nothing arrives and nobody is told, as when a mast loses power.
    Silent,
    /// Connections are reset and new ones are refused at once.
    Reset,
}

#[derive(Debug)]
pub struct Cable {
    state: Arc<State>,
    acceptors: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct State {
    line: Mutex<Line>,
    mended: Condvar,
    ended: AtomicBool,
}

#[derive(Debug)]
struct Line {
    cut: Option<Cut>,
    /// Both ends of every connection, to reset them.
    streams: Vec<TcpStream>,
}

impl Cable {
    /// Carries connections to `(inner, outer)` ports of the loopbacks.
    pub fn lay(namespace: &Namespace, ports: &[(u16, u16)]) -> Result<Self> {
        let line = Mutex::new(Line { cut: None, streams: Vec::new() });
        let state = Arc::new(State { line, mended: Condvar::new(), ended: AtomicBool::new(false) });
        let mut acceptors = Vec::new();
        for &(inner, outer) in ports {
            let listener = namespace.listen(SocketAddr::from((Ipv4Addr::LOCALHOST, inner)))?;
            listener.set_nonblocking(true).context("cannot make a listener non-blocking")?;
            let state = Arc::clone(&state);
            acceptors.push(
                thread::Builder::new()
                    .name(format!("cable-{inner}"))
                    .spawn(move || accept(&listener, outer, &state))
                    .context("cannot start a thread")?,
            );
        }
        Ok(Self { state, acceptors })
    }

    pub fn cut(&self, cut: Cut) {
        let mut line = self.state.line();
        line.cut = Some(cut);
        if cut == Cut::Reset {
            for stream in line.streams.drain(..) {
                let _gone_already_is_fine = stream.shutdown(Shutdown::Both);
            }
        }
    }

    pub fn mend(&self) {
        self.state.line().cut = None;
        self.state.mended.notify_all();
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::Relaxed);
        self.cut(Cut::Reset);
        self.mend();
        for acceptor in self.acceptors.drain(..) {
            let _a_panic_there_was_reported = acceptor.join();
        }
    }
}

impl State {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while the line is silent.
    fn pass(&self) {
        let mut line = self.line();
        while line.cut == Some(Cut::Silent) {
            line = self.mended.wait(line).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn accept(listener: &TcpListener, outer: u16, state: &Arc<State>) {
    while !state.ended.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((inner, _)) => {
                let state = Arc::clone(state);
                // A thread that cannot be started drops the connection, and the edge tries again.
                let _ = thread::Builder::new().spawn(move || carry(&inner, outer, &state));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                thread::sleep(Duration::from_millis(5));
            }
            Err(_) => return,
        }
    }
}

/// Carries one connection. Whatever fails ends it, as a broken wire does.
fn carry(inner: &TcpStream, outer: u16, state: &Arc<State>) {
    state.pass();
    let carried = || -> io::Result<()> {
        inner.set_nonblocking(false)?;
        let outer = TcpStream::connect((Ipv4Addr::LOCALHOST, outer))?;
        inner.set_nodelay(true)?;
        outer.set_nodelay(true)?;
        {
            let mut line = state.line();
            if line.cut.is_some() || state.ended.load(Ordering::Relaxed) {
                return Ok(());
            }
            line.streams.retain(|stream| stream.peer_addr().is_ok());
            line.streams.extend([inner.try_clone()?, outer.try_clone()?]);
        }
        thread::scope(|scope| {
            scope.spawn(|| pump(inner, &outer, state));
            pump(&outer, inner, state);
        });
        Ok(())
    };
    let _an_end_of_the_wire_is_gone = carried();
}

fn pump(mut from: &TcpStream, mut to: &TcpStream, state: &State) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer);
        state.pass();
        let Some(bytes) = read.ok().filter(|count| *count > 0).and_then(|n| buffer.get(..n)) else {
            break;
        };
        if to.write_all(bytes).is_err() {
            break;
        }
    }
    // Both directions: a half-closed connection has no use in either protocol carried here.
    let _gone_already_is_fine = from.shutdown(Shutdown::Both);
    let _gone_already_is_fine = to.shutdown(Shutdown::Both);
}
