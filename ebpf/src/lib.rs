//! Metering and shaping in the kernel: the map layout, and the decisions of the programs.
//!
//! It knows devices, slots and rates; what a subscriber or a plan is, it does not know. Everything
//! outside `kernel/` is pure, without dependencies, and tested on the host. The programs are in
//! `bin/shape.rs`; start there. The edge compiles them in its `build.rs` for the BPF target and
//! reads their maps by [`layout`].

#![no_std]
#![expect(
    clippy::inline_always,
    reason = "the verifier follows packet addresses best in one function"
)]
#![cfg_attr(
    target_arch = "bpf",
    expect(internal_features, reason = "atomics, see kernel/atomic.rs")
)]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch, core_intrinsics))]

pub mod clock;
#[cfg(target_arch = "bpf")]
pub mod kernel;
pub mod layout;
pub mod parse;
pub mod rtt;
pub mod verdict;
