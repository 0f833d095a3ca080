//! The CPU's own counters of what a thread did, where there are any.

#![expect(unsafe_code, reason = "perf_event_open has no wrapper")]

use std::{
    fs::File,
    io::{self, Read as _},
    os::fd::FromRawFd as _,
};

use nix::libc;

/// Cycles and instructions of the thread that opened it, in the kernel too.
pub(crate) struct Counters {
    cycles: File,
    instructions: File,
}

impl Counters {
    /// An error where the CPU, or what it is a guest of, does not count.
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self { cycles: counter(0)?, instructions: counter(1)? })
    }

    pub(crate) fn read(&mut self) -> [u64; 2] {
        [number(&mut self.cycles), number(&mut self.instructions)]
    }
}

fn number(file: &mut File) -> u64 {
    let mut bytes = [0; 8];
    file.read_exact(&mut bytes).expect("a counter is eight bytes");
    u64::from_ne_bytes(bytes)
}

/// `config`: what `PERF_TYPE_HARDWARE` calls it.
fn counter(config: u64) -> io::Result<File> {
    // `struct perf_event_attr` as it was first: type, size, config, and zeroes.
    let mut attributes = [0_u64; 8];
    attributes[0] = 64 << 32;
    attributes[1] = config;
    // SAFETY: the kernel reads 64 bytes, which are there.
    let descriptor =
        unsafe { libc::syscall(libc::SYS_perf_event_open, attributes.as_ptr(), 0, -1, -1, 0) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    let descriptor = i32::try_from(descriptor).expect("descriptors are small");
    // SAFETY: it is open, and nobody else's.
    Ok(unsafe { File::from_raw_fd(descriptor) })
}
