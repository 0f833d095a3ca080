//! `up/journal`: what happened at an edge, in order. Protobuf.
//!
//! A record is opaque bytes inside a batch: the hash chain is over exactly these bytes, and a
//! record of an unknown kind is kept as it is. The chain: `hash(n) = SHA-256(hash(n-1) ‖
//! record(n))`, and the hash before the first record of an epoch is 32 zero octets.

use sha2::{Digest as _, Sha256};

use crate::octets::Counters;

/// Consecutive records of one epoch.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Batch {
    /// Which journal: a new one (lost disk, new machine) starts a new epoch. 16 octets.
    #[prost(bytes = "vec", tag = "1")]
    pub epoch: Vec<u8>,
    /// Sequence number of the first record; the first of an epoch is 1.
    #[prost(uint64, tag = "2")]
    pub first_seq: u64,
    /// Chain hash before the first record. 32 octets.
    #[prost(bytes = "vec", tag = "3")]
    pub prev_hash: Vec<u8>,
    /// Encoded [`Record`]s.
    #[prost(bytes = "vec", repeated, tag = "4")]
    pub records: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Record {
    /// The edge's clock, milliseconds since 1970.
    #[prost(uint64, tag = "1")]
    pub at_ms: u64,
    #[prost(oneof = "Event", tags = "10, 11, 12, 13, 14, 15")]
    pub event: Option<Event>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Event {
    #[prost(message, tag = "10")]
    SessionStarted(SessionStarted),
    #[prost(message, tag = "11")]
    Usage(Usage),
    #[prost(message, tag = "12")]
    SessionStopped(SessionStopped),
    #[prost(message, tag = "13")]
    EdgeStarted(EdgeStarted),
    #[prost(message, tag = "14")]
    AuthFailures(AuthFailures),
    #[prost(message, tag = "15")]
    SessionEffect(SessionEffect),
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct SessionStarted {
    /// 16 octets.
    #[prost(bytes = "vec", tag = "1")]
    pub session: Vec<u8>,
    /// 16 octets, or empty when the desired state came from a file.
    #[prost(bytes = "vec", tag = "2")]
    pub subscriber: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub subscription: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    pub nas: Vec<u8>,
    #[prost(string, tag = "5")]
    pub username: String,
    #[prost(string, tag = "6")]
    pub nas_name: String,
    /// 6 octets, or empty when the NAS named none.
    #[prost(bytes = "vec", tag = "7")]
    pub mac: Vec<u8>,
    /// Framed-IP-Address or Framed-IPv6-Address as text; empty when none is known.
    #[prost(string, tag = "8")]
    pub ip: String,
    /// Acct-Session-Id; empty until the NAS has named one.
    #[prost(string, tag = "9")]
    pub acct_session_id: String,
    #[prost(uint32, tag = "10")]
    pub down_kbps: u32,
    #[prost(uint32, tag = "11")]
    pub up_kbps: u32,
    #[prost(enumeration = "Metering", tag = "12")]
    pub metering: i32,
    /// Revision of the desired state that the session was opened under.
    #[prost(uint64, tag = "13")]
    pub revision: u64,
}

/// Whose counters a session's usage is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Metering {
    Unknown = 0,
    /// This host's kernel.
    Kernel = 1,
    /// The accounting packets of a NAS.
    Nas = 2,
    /// No data plane: nobody counts.
    Nobody = 3,
}

/// Cumulative since the session's start: a replay changes nothing.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Octets {
    #[prost(uint64, tag = "1")]
    pub down_bytes: u64,
    #[prost(uint64, tag = "2")]
    pub up_bytes: u64,
    #[prost(uint64, tag = "3")]
    pub down_packets: u64,
    #[prost(uint64, tag = "4")]
    pub up_packets: u64,
}

impl From<Counters> for Octets {
    fn from(counters: Counters) -> Self {
        let Counters { down_bytes, up_bytes, down_packets, up_packets } = counters;
        Self { down_bytes, up_bytes, down_packets, up_packets }
    }
}

impl From<Octets> for Counters {
    fn from(octets: Octets) -> Self {
        let Octets { down_bytes, up_bytes, down_packets, up_packets } = octets;
        Self { down_bytes, up_bytes, down_packets, up_packets }
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Usage {
    #[prost(bytes = "vec", tag = "1")]
    pub session: Vec<u8>,
    #[prost(message, required, tag = "2")]
    pub octets: Octets,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct SessionStopped {
    #[prost(bytes = "vec", tag = "1")]
    pub session: Vec<u8>,
    #[prost(message, required, tag = "2")]
    pub octets: Octets,
    /// Acct-Terminate-Cause, RFC 2866 §5.10.
    #[prost(uint32, tag = "3")]
    pub cause: u32,
}

/// The agent started; sessions that the kernel kept go on.
#[derive(Clone, PartialEq, prost::Message)]
pub struct EdgeStarted {
    #[prost(string, tag = "1")]
    pub version: String,
    #[prost(uint64, tag = "2")]
    pub birth: u64,
    /// Sessions taken over from before the start.
    #[prost(uint32, tag = "3")]
    pub sessions: u32,
}

/// Refused logins of one user name at one NAS since the last such record.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AuthFailures {
    #[prost(string, tag = "1")]
    pub nas_name: String,
    #[prost(string, tag = "2")]
    pub username: String,
    /// Word from the edge's list of reasons, for people.
    #[prost(string, tag = "3")]
    pub reason: String,
    #[prost(uint32, tag = "4")]
    pub count: u32,
}

/// A NAS was asked to end or to change a session (RFC 5176): what it said, and what was seen.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SessionEffect {
    #[prost(bytes = "vec", tag = "1")]
    pub session: Vec<u8>,
    #[prost(enumeration = "Asked", tag = "2")]
    pub asked: i32,
    /// The edge's clock, milliseconds since 1970.
    #[prost(uint64, tag = "3")]
    pub asked_at_ms: u64,
    #[prost(enumeration = "Answered", tag = "4")]
    pub answered: i32,
    /// Error-Cause of a NAK, RFC 5176 §3.5; 0 when there is none.
    #[prost(uint32, tag = "5")]
    pub error_cause: u32,
    #[prost(enumeration = "Observed", tag = "6")]
    pub observed: i32,
    /// From asking to observing.
    #[prost(uint32, tag = "7")]
    pub after_ms: u32,
    #[prost(string, tag = "8")]
    pub nas_name: String,
}

/// What a NAS was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Asked {
    Unknown = 0,
    Disconnect = 1,
    /// Other rates.
    Change = 2,
}

/// What a NAS has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Answered {
    Unknown = 0,
    Ack = 1,
    Nak = 2,
    /// Nothing, however often it was asked.
    Silence = 3,
    /// It could not be asked.
    NotAsked = 4,
}

/// What was seen afterwards, whatever the NAS has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Observed {
    /// Nothing that tells.
    Unknown = 0,
    Ended = 1,
    /// Its traffic keeps to the new rates and did not to the old ones.
    Changed = 2,
    /// It goes on as before.
    StillThere = 3,
}

impl Asked {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Disconnect => "disconnect",
            Self::Change => "change",
        }
    }
}

impl Answered {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Ack => "ack",
            Self::Nak => "nak",
            Self::Silence => "silence",
            Self::NotAsked => "not_asked",
        }
    }
}

impl Observed {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Ended => "ended",
            Self::Changed => "changed",
            Self::StillThere => "still_there",
        }
    }
}

pub type Hash = [u8; 32];

/// The hash before the first record of an epoch.
pub const GENESIS: Hash = [0; 32];

/// The chain hash after `record`.
pub fn link(prev: &Hash, record: &[u8]) -> Hash {
    Sha256::new().chain_update(prev).chain_update(record).finalize().into()
}
