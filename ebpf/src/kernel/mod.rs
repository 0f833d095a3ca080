//! What needs the kernel: packets, maps, atomics. The only unsafe code of the data plane's
//! kernel side; the programs in `bin/` put it together with the pure parts.

#![expect(unsafe_code, reason = "each block says why it holds")]

pub mod answer;
pub mod atomic;
pub mod event;
pub mod garden;
pub mod lane;
pub mod levels;
pub mod maps;
pub mod packet;
pub mod portal;
pub mod session;
pub mod time;
