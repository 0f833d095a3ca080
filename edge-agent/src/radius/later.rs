//! Replies that go out later, and the thread that sends them.
//!
//! Rejects wait for their time: a guesser waits, the threads that decide do not. Replies whose
//! session or record has become durable come many at a time, so they are sent so.

use std::{
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use shared::daemon::Life;

use super::{
    delay::Delayed,
    exchange::Held,
    outbox::{Headers, Outbox},
    port::Port,
};

/// Of all ways in.
#[derive(Debug, Default)]
pub(super) struct Later {
    queue: Mutex<Queue>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    ready: Vec<Held>,
    rejects: Delayed<Held>,
    /// The thread waits to be woken.
    is_asleep: bool,
    /// The thread has ended.
    is_closed: bool,
}

impl Later {
    /// Sends `held` soon, with others.
    pub(super) fn send(&self, held: Held) {
        let mut queue = self.queue();
        if queue.is_closed || queue.ready.len() >= READY_MAX {
            drop(queue);
            return held.send();
        }
        queue.ready.push(held);
        self.wake(queue);
    }

    /// Sends `held` after a while, or now if too many wait.
    pub(super) fn reject(&self, now: Instant, held: Held) {
        let mut queue = self.queue();
        let is_first = queue.rejects.is_empty();
        let at_once = if queue.is_closed { Some(held) } else { queue.rejects.put(now, held) };
        if is_first {
            self.wake(queue);
        } else {
            drop(queue);
        }
        if let Some(held) = at_once {
            held.send();
        }
    }

    /// Until `life` ends; then none waits any longer.
    pub(super) fn run(&self, life: &Life) {
        let (mut due, mut headers) = (Vec::new(), Headers::new());
        loop {
            let now = Instant::now();
            let mut queue = self.queue();
            queue.is_closed = life.is_stopping();
            let is_closed = queue.is_closed;
            mem::swap(&mut queue.ready, &mut due);
            if is_closed {
                due.extend(mem::take(&mut queue.rejects).into_rest());
            }
            while let Some(held) = queue.rejects.due(now) {
                due.push(held);
            }
            if due.is_empty() && !is_closed {
                let wait = queue.rejects.next().map_or(super::IDLE, |at| {
                    at.saturating_duration_since(now).clamp(TICK, super::IDLE)
                });
                queue.is_asleep = true;
                let woken = self.wake.wait_timeout(queue, wait);
                woken.unwrap_or_else(PoisonError::into_inner).0.is_asleep = false;
                continue;
            }
            drop(queue);
            send(&mut due, &mut headers);
            if is_closed {
                return;
            }
        }
    }

    fn wake(&self, mut queue: MutexGuard<'_, Queue>) {
        let was_asleep = mem::take(&mut queue.is_asleep);
        drop(queue);
        if was_asleep {
            self.wake.notify_one();
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Empties `due`. Those for one NAS follow each other: the kernel takes them in one piece.
fn send(due: &mut Vec<Held>, headers: &mut Headers) {
    due.sort_by_key(|held| held.to().peer);
    let mut outboxes: Vec<(Arc<Port>, Outbox)> = Vec::new();
    for held in due.drain(..) {
        let Some((port, to, reply)) = held.keep() else { continue };
        if !port.is_socket() {
            port.send(to, &reply);
            continue;
        }
        let known = outboxes.iter().position(|(other, _)| Arc::ptr_eq(other, &port));
        let at = known.unwrap_or_else(|| {
            outboxes.push((port, Outbox::new()));
            outboxes.len() - 1
        });
        let Some((port, outbox)) = outboxes.get_mut(at) else { continue };
        if !outbox.push(to, &reply) {
            port.flush(outbox, headers);
            outbox.push(to, &reply);
        }
    }
    for (port, outbox) in &mut outboxes {
        port.flush(outbox, headers);
    }
}

/// In a flood, rejects go out some at a time.
const TICK: Duration = Duration::from_millis(5);

/// Some commits' worth: with more, those who bring them send them.
const READY_MAX: usize = 16_384;
