//! What gets no answer: one reason each, one counter each, and a line in the log now and then.

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use metrics::{Counter, Gauge};
use radius::Code;
use shared::wire::latest::desired::Require;

/// Why a packet was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum DropReason {
    UnknownNas,
    /// Of a connection.
    CertificateName,
    /// Of a connection.
    Handshake,
    /// Of a connection.
    TooManyConnections,
    Malformed,
    UnexpectedCode,
    RateLimit,
    NoMessageAuthenticator,
    BadMessageAuthenticator,
    BadAuthenticator,
    UnprovedProxyState,
    IncompleteAccounting,
    NotRecent,
    InWork,
    Overload,
    NotDurable,
    GivenUp,
    NotSent,
}

impl DropReason {
    const ALL: [Self; 18] = [
        Self::UnknownNas,
        Self::CertificateName,
        Self::Handshake,
        Self::TooManyConnections,
        Self::Malformed,
        Self::UnexpectedCode,
        Self::RateLimit,
        Self::NoMessageAuthenticator,
        Self::BadMessageAuthenticator,
        Self::BadAuthenticator,
        Self::UnprovedProxyState,
        Self::IncompleteAccounting,
        Self::NotRecent,
        Self::InWork,
        Self::Overload,
        Self::NotDurable,
        Self::GivenUp,
        Self::NotSent,
    ];

    /// The `reason` of the metric.
    const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownNas => "unknown_nas",
            Self::CertificateName => "certificate_name",
            Self::Handshake => "tls_handshake",
            Self::TooManyConnections => "too_many_connections",
            Self::Malformed => "malformed",
            Self::UnexpectedCode => "unexpected_code",
            Self::RateLimit => "rate_limit",
            Self::NoMessageAuthenticator => "no_message_authenticator",
            Self::BadMessageAuthenticator => "bad_message_authenticator",
            Self::BadAuthenticator => "bad_authenticator",
            Self::UnprovedProxyState => "unproved_proxy_state",
            Self::IncompleteAccounting => "incomplete_accounting",
            Self::NotRecent => "not_recent",
            Self::InWork => "in_work",
            Self::Overload => "overload",
            Self::NotDurable => "not_durable",
            Self::GivenUp => "given_up",
            Self::NotSent => "not_sent",
        }
    }

    /// For the person who reads the log, with what to do about it where somebody can.
    const fn sentence(self) -> &'static str {
        match self {
            Self::UnknownNas => "no NAS is known at this address",
            Self::CertificateName => {
                "its certificate does not carry the name that the NAS at this address has \
                 (tls_name)"
            }
            Self::Handshake => "the TLS handshake failed",
            Self::TooManyConnections => "there are too many connections",
            Self::Malformed => "it is not a RADIUS packet",
            Self::UnexpectedCode => "this port does not serve packets of this code",
            Self::RateLimit => {
                "it asks too much: is it in a loop? Or set requests_per_second for it"
            }
            Self::NoMessageAuthenticator => {
                "it has no Message-Authenticator: turn it on at the NAS, or set \
                 require_message_authenticator = false for it"
            }
            Self::BadMessageAuthenticator => {
                "its Message-Authenticator is wrong: is the NAS's secret the same here and there?"
            }
            Self::BadAuthenticator => {
                "its authenticator is wrong: is the NAS's secret the same here and there?"
            }
            Self::UnprovedProxyState => {
                "it has a Proxy-State and no Message-Authenticator, as a forged one would"
            }
            Self::IncompleteAccounting => "it has no Acct-Status-Type or no Acct-Session-Id",
            Self::NotRecent => "its Event-Timestamp is old: are both clocks right?",
            Self::InWork => "it repeats a request that is being decided",
            Self::Overload => "too many requests are waiting",
            Self::NotDurable => "what it asked for could not be recorded",
            Self::GivenUp => "its decision was given up",
            Self::NotSent => "its reply could not be sent",
        }
    }

    /// Things that are the normal course of a retransmission are not worth a warning.
    const fn is_normal(self) -> bool {
        match self {
            Self::InWork => true,
            Self::UnknownNas
            | Self::CertificateName
            | Self::Handshake
            | Self::TooManyConnections
            | Self::Malformed
            | Self::UnexpectedCode
            | Self::RateLimit
            | Self::NoMessageAuthenticator
            | Self::BadMessageAuthenticator
            | Self::BadAuthenticator
            | Self::UnprovedProxyState
            | Self::IncompleteAccounting
            | Self::NotRecent
            | Self::Overload
            | Self::NotDurable
            | Self::GivenUp
            | Self::NotSent => false,
        }
    }
}

/// Counters of all RADIUS threads.
#[derive(Debug)]
pub(super) struct Tally {
    drops: [Counter; DropReason::ALL.len()],
    requests: PerCode,
    replies: PerCode,
    /// Retransmissions that got the stored reply.
    pub(super) repeated: Counter,
    /// Over TLS, now.
    pub(super) connections: Gauge,
    notices: Mutex<Notices>,
}

#[derive(Debug)]
struct PerCode {
    known: [(Code, Counter); CODES.len()],
    other: Counter,
}

const CODES: [Code; 7] = [
    Code::ACCESS_REQUEST,
    Code::ACCESS_ACCEPT,
    Code::ACCESS_REJECT,
    Code::ACCESS_CHALLENGE,
    Code::ACCOUNTING_REQUEST,
    Code::ACCOUNTING_RESPONSE,
    Code::STATUS_SERVER,
];

impl PerCode {
    fn new(metric: &'static str) -> Self {
        let counter = |name: &'static str| metrics::counter!(metric, "code" => name);
        Self {
            known: CODES.map(|code| (code, counter(code.name().unwrap_or("other")))),
            other: counter("other"),
        }
    }

    fn count(&self, code: Code) {
        let known = self.known.iter().find(|(known, _)| *known == code);
        known.map_or(&self.other, |(_, counter)| counter).increment(1);
    }
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            drops: DropReason::ALL.map(
                |reason| metrics::counter!("kennet_radius_drops_total", "reason" => reason.as_str()),
            ),
            requests: PerCode::new("kennet_radius_requests_total"),
            replies: PerCode::new("kennet_radius_replies_total"),
            repeated: metrics::counter!("kennet_radius_repeated_replies_total"),
            connections: metrics::gauge!("kennet_radius_tls_connections"),
            notices: Mutex::default(),
        }
    }

    pub(super) fn request(&self, code: Code) {
        self.requests.count(code);
    }

    /// `reply` are the octets that went out.
    pub(super) fn reply(&self, reply: &[u8]) {
        self.replies.count(Code(reply.first().copied().unwrap_or(0)));
    }

    /// Counts a drop, and says so unless it was said in the last ten seconds. `nas` is the name of
    /// the NAS, if it is one.
    pub(super) fn dropped(&self, now: Instant, source: IpAddr, nas: Option<&str>, why: DropReason) {
        self.count(why);
        let Some(unsaid) = self.notices().due(now, source, why) else { return };
        let nas = nas.unwrap_or("unknown");
        let (reason, sentence) = (why.as_str(), why.sentence());
        if why.is_normal() {
            tracing::debug!(
                nas.name = nas, nas.address = %source, radius.reason = reason, radius.unsaid = unsaid,
                "dropped a packet of NAS {nas} at {source}: {sentence}"
            );
        } else {
            tracing::warn!(
                nas.name = nas, nas.address = %source, radius.reason = reason, radius.unsaid = unsaid,
                "dropped a packet of NAS {nas} at {source}: {sentence}{}", more(unsaid)
            );
        }
    }

    /// Counts a connection that is not served, or not any longer, and says so now and then.
    pub(super) fn refused(
        &self,
        now: Instant,
        source: IpAddr,
        why: DropReason,
        detail: &dyn fmt::Display,
    ) {
        self.count(why);
        let Some(unsaid) = self.notices().due(now, source, why) else { return };
        tracing::warn!(
            nas.address = %source, radius.reason = why.as_str(), radius.unsaid = unsaid,
            "refused a RADIUS connection from {source}: {}: {detail}{}", why.sentence(), more(unsaid)
        );
    }

    fn count(&self, why: DropReason) {
        let counter = DropReason::ALL.iter().zip(&self.drops).find(|(known, _)| **known == why);
        if let Some((_, counter)) = counter {
            counter.increment(1);
        }
    }

    /// Says, now and then, that a NAS hides who is behind it.
    pub(super) fn without_mac(&self, now: Instant, source: IpAddr, nas: &str) {
        if let Some(unsaid) = self.notices().due_without_mac(now, source) {
            tracing::warn!(
                nas.name = nas, nas.address = %source, radius.unsaid = unsaid,
                "NAS {nas} names no device (Calling-Station-Id is not a MAC address): its \
                 subscribers are accepted and have no session in the data plane"
            );
        }
    }

    fn notices(&self) -> std::sync::MutexGuard<'_, Notices> {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says that the requests of a NAS prove nothing.
pub(super) fn unproved(nas: &str, require: Require) {
    match require {
        Require::Auto => tracing::warn!(
            nas.name = nas,
            "NAS {nas} has sent no Message-Authenticator so far: who is on its network path \
             can forge an answer to it (CVE-2024-3596). As soon as it sends one, it has to"
        ),
        Require::Yes | Require::No => tracing::warn!(
            nas.name = nas,
            "NAS {nas} sends no Message-Authenticator and is excepted from it: who is on its \
             network path can forge an answer to it (CVE-2024-3596)"
        ),
    }
}

/// Says that a NAS has proved its request for the first time.
pub(super) fn proves(nas: &str) {
    tracing::info!(
        nas.name = nas,
        "NAS {nas} sends a Message-Authenticator: from now on it has to"
    );
}

/// What a line stands for beside its own packet.
fn more(unsaid: u64) -> String {
    if unsaid == 0 { String::new() } else { format!(" (and {unsaid} before it)") }
}

/// What was said, and when.
#[derive(Debug, Default)]
struct Notices {
    said: HashMap<(IpAddr, Option<DropReason>), Said>,
}

#[derive(Debug)]
struct Said {
    at: Instant,
    unsaid: u64,
}

impl Notices {
    /// Is it time for a line, and for how many others does it stand?
    fn due(&mut self, now: Instant, source: IpAddr, why: DropReason) -> Option<u64> {
        self.due_for(now, (source, Some(why)))
    }

    fn due_without_mac(&mut self, now: Instant, source: IpAddr) -> Option<u64> {
        self.due_for(now, (source, None))
    }

    fn due_for(&mut self, now: Instant, key: (IpAddr, Option<DropReason>)) -> Option<u64> {
        if let Some(said) = self.said.get_mut(&key) {
            if now.saturating_duration_since(said.at) < QUIET {
                said.unsaid += 1;
                return None;
            }
            said.at = now;
            return Some(std::mem::take(&mut said.unsaid));
        }
        if self.said.len() >= SOURCES_MAX {
            self.said.retain(|_, said| now.saturating_duration_since(said.at) < QUIET);
        }
        // Somebody invents addresses faster than a log can be read: the counters have them.
        if self.said.len() >= SOURCES_MAX {
            return None;
        }
        self.said.insert(key, Said { at: now, unsaid: 0 });
        Some(0)
    }
}

/// One line per source and reason in this time.
const QUIET: Duration = Duration::from_secs(10);

/// Source addresses are anybody's invention.
const SOURCES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use std::{io, sync::Arc};

    use super::*;

    #[test]
    fn a_source_is_named_once_in_ten_seconds_with_the_number_of_the_others() {
        let (mut notices, t0) = (Notices::default(), Instant::now());
        let nas = IpAddr::from([192, 0, 2, 1]);
        let mut due =
            |seconds, source, why| notices.due(t0 + Duration::from_secs(seconds), source, why);
        assert_eq!(due(0, nas, DropReason::Malformed), Some(0));
        assert_eq!(due(1, nas, DropReason::Malformed), None);
        assert_eq!(due(9, nas, DropReason::Malformed), None);
        assert_eq!(due(9, nas, DropReason::UnknownNas), Some(0));
        assert_eq!(due(9, IpAddr::from([192, 0, 2, 2]), DropReason::Malformed), Some(0));
        assert_eq!(due(10, nas, DropReason::Malformed), Some(2));
        assert_eq!(due(19, nas, DropReason::Malformed), None);
        assert_eq!(due(20, nas, DropReason::Malformed), Some(1));
    }

    #[test]
    fn invented_addresses_fill_neither_memory_nor_log() {
        let (mut notices, t0) = (Notices::default(), Instant::now());
        let lines = (0..5_000_u32)
            .filter(|&host| {
                let source = IpAddr::from(host.to_be_bytes());
                notices.due(t0, source, DropReason::UnknownNas).is_some()
            })
            .count();
        assert_eq!(lines, SOURCES_MAX);
        assert_eq!(notices.said.len(), SOURCES_MAX);
        let later = t0 + QUIET;
        assert_eq!(notices.due(later, IpAddr::from([1, 1, 1, 1]), DropReason::InWork), Some(0));
    }

    #[test]
    fn every_reason_has_its_own_counter() {
        let names: std::collections::HashSet<_> =
            DropReason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(names.len(), DropReason::ALL.len());
    }

    /// What `say` writes into the log.
    fn logged(say: impl FnOnce(&Tally)) -> String {
        #[derive(Clone, Default)]
        struct Log(Arc<Mutex<Vec<u8>>>);

        impl io::Write for Log {
            fn write(&mut self, text: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().write(text)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).without_time();
        let subscriber = subscriber.with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || say(&Tally::new()));
        let text = log.0.lock().unwrap().clone();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_line_names_the_nas_its_address_and_what_to_do() {
        let source = IpAddr::from([192, 0, 2, 1]);
        let now = Instant::now();
        for (nas, why, expected) in [
            (
                Some("tower"),
                DropReason::BadMessageAuthenticator,
                "dropped a packet of NAS tower at 192.0.2.1: its Message-Authenticator is wrong: \
                 is the NAS's secret the same here and there? nas.name=\"tower\" \
                 nas.address=192.0.2.1 radius.reason=\"bad_message_authenticator\"",
            ),
            (
                None,
                DropReason::UnknownNas,
                "dropped a packet of NAS unknown at 192.0.2.1: no NAS is known at this address",
            ),
            (
                Some("tower"),
                DropReason::RateLimit,
                "NAS tower at 192.0.2.1: it asks too much: is it in a loop? Or set \
                 requests_per_second for it",
            ),
        ] {
            let text = logged(|tally| tally.dropped(now, source, nas, why));
            assert!(text.contains(expected), "{text}\nshould contain: {expected}");
        }
        let text = logged(|tally| {
            tally.refused(now, source, DropReason::Handshake, &"certificate expired");
        });
        let expected = "refused a RADIUS connection from 192.0.2.1: the TLS handshake failed: \
                        certificate expired";
        assert!(text.contains(expected), "{text}\nshould contain: {expected}");
    }

    #[test]
    fn a_flood_is_one_line() {
        let source = IpAddr::from([192, 0, 2, 1]);
        let t0 = Instant::now();
        let text = logged(|tally| {
            for at in 0..1_000 {
                let now = t0 + Duration::from_millis(at * 10);
                tally.dropped(now, source, Some("tower"), DropReason::RateLimit);
            }
            tally.dropped(t0 + QUIET, source, Some("tower"), DropReason::RateLimit);
        });
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains("(and 999 before it)"), "{text}");
    }
}
