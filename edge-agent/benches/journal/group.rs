//! Many writers, one thread that writes: whatever has arrived is one group.

use std::{
    fs,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use nix::time::{ClockId, clock_gettime};
use shared::wire::latest::journal::Record;

use crate::stores::{Store, record};

pub(crate) struct Measured {
    /// Of each record, from handing it over to hearing that it is durable; milliseconds.
    pub(crate) waits: Vec<f64>,
    pub(crate) groups: usize,
    pub(crate) took: Duration,
    /// Of the thread that writes.
    pub(crate) cpu: Duration,
    /// To the disk, by this process meanwhile.
    pub(crate) written: u64,
}

struct Asked {
    record: Record,
    durable: SyncSender<()>,
}

/// For so long, and until the last of them has heard.
pub(crate) fn run(store: &mut dyn Store, writers: usize, time: Duration) -> Measured {
    let (hand_over, arrived) = sync_channel::<Asked>(EVENTS_MAX);
    let is_over = AtomicBool::new(false);
    let (began, cpu, written) = (Instant::now(), cpu(), written());
    thread::scope(|scope| {
        let writers: Vec<_> = (0..writers)
            .map(|writer| {
                let (hand_over, is_over) = (hand_over.clone(), &is_over);
                scope.spawn(move || {
                    let (durable, heard) = sync_channel(1);
                    let mut waits = Vec::new();
                    while !is_over.load(Ordering::Relaxed) {
                        let since = Instant::now();
                        let record = record(writer as u64, waits.len() as u64);
                        let asked = Asked { record, durable: durable.clone() };
                        hand_over.send(asked).expect("it is read to the end");
                        heard.recv().expect("each is answered");
                        waits.push(since.elapsed().as_secs_f64() * 1e3);
                    }
                    waits
                })
            })
            .collect();
        drop(hand_over);
        let mut groups = 0;
        while let Ok(first) = arrived.recv() {
            let (records, durable): (Vec<Record>, Vec<_>) = std::iter::once(first)
                .chain(arrived.try_iter().take(BATCH_MAX))
                .map(|asked| (asked.record, asked.durable))
                .unzip();
            store.append(&records);
            groups += 1;
            for durable in durable {
                durable.send(()).expect("each waits");
            }
            if began.elapsed() > time {
                is_over.store(true, Ordering::Relaxed);
            }
        }
        let waits = writers.into_iter().flat_map(|writer| writer.join().expect("it counts"));
        Measured {
            waits: waits.collect(),
            groups,
            took: began.elapsed(),
            cpu: self::cpu().saturating_sub(cpu),
            written: self::written() - written,
        }
    })
}

/// Of this thread.
fn cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock").into()
}

fn written() -> u64 {
    let text = fs::read_to_string("/proc/self/io").expect("what this process writes");
    let line = text.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|bytes| bytes.parse().ok()).expect("a number")
}

/// As the session thread's.
const EVENTS_MAX: usize = 32_768;
const BATCH_MAX: usize = 2_048;
