//! What comes in which order: handshake, what is said inside, the end.

use super::{
    Tls, certificate,
    peap::Peap,
    ttls::Ttls,
    tunnel::{BEGIN, Fault, Fragment, Taken, Tunnel},
};
use crate::eap::{
    Around, Keys, Reason,
    conversation::{Next, wrong},
    packet::Kind,
};

#[derive(Debug)]
pub(in crate::eap) struct Tunnelled {
    kind: Kind,
    tunnel: Tunnel,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Handshake,
    Peap(Peap),
    Ttls(Ttls),
    /// All is said and right; the peer acknowledges it.
    Right {
        identity: String,
    },
    /// The peer is told why not, and acknowledges it.
    Wrong {
        reason: Reason,
        identity: Option<String>,
        detail: Option<String>,
    },
}

/// What is said inside, or that it is over.
pub(super) enum Inside {
    Say(Vec<u8>),
    Right { identity: String },
    Wrong { reason: Reason, identity: Option<String> },
}

/// Nothing follows inside: RFC 9190 §2.1.1, and RFC 9427 for a resumed EAP-TTLS.
const COMMITMENT: &[u8] = &[0];

impl Tunnelled {
    /// The data of the first request.
    pub(in crate::eap) const START: &[u8] = &BEGIN;

    /// `None` if the method does not run TLS.
    pub(in crate::eap) fn start(kind: Kind) -> Option<Self> {
        matches!(kind, Kind::TLS | Kind::TTLS | Kind::PEAP).then_some(Self {
            kind,
            tunnel: Tunnel::new(),
            phase: Phase::Handshake,
        })
    }

    pub(in crate::eap) const fn kind(&self) -> Kind {
        self.kind
    }

    /// Why it will fail, when the peer has acknowledged that.
    pub(in crate::eap) const fn refusal(&self) -> Option<Reason> {
        match self.phase {
            Phase::Wrong { reason, .. } => Some(reason),
            Phase::Handshake | Phase::Peap(_) | Phase::Ttls(_) | Phase::Right { .. } => None,
        }
    }

    pub(in crate::eap) fn is_handshaking(&self) -> bool {
        self.tunnel.is_handshaking()
    }

    /// What the peer, who calls itself `claimed`, has answered to request `id`.
    pub(in crate::eap) fn handle(
        &mut self,
        tls: &Tls,
        claimed: &str,
        id: u8,
        data: &[u8],
        around: &mut Around<'_>,
    ) -> Next {
        // Who claims to be somebody is only known as that until it has said more.
        let who = || Some(claimed.to_owned());
        let Some(fragment) = Fragment::parse(data) else {
            return wrong(Reason::Malformed, who());
        };
        let (kind, now) = (self.kind, around.now);
        match self.tunnel.take(fragment, || tls.connect(kind, now)) {
            Ok(Taken::PeerHasMore | Taken::WeHaveMore) => return self.ask(around),
            Ok(Taken::Whole) => {}
            Err(Fault::Malformed) => return wrong(Reason::Malformed, who()),
            Err(Fault::Tls(error)) => {
                let (reason, detail) = (reason_of(&error), Some(error.to_string()));
                if !self.tunnel.has_more() {
                    return Next::Wrong { reason, identity: who(), detail };
                }
                self.phase = Phase::Wrong { reason, identity: who(), detail };
                return self.ask(around);
            }
        }
        match &mut self.phase {
            Phase::Handshake if self.tunnel.is_handshaking() => {
                if self.tunnel.has_more() {
                    self.ask(around)
                } else {
                    wrong(Reason::Malformed, who())
                }
            }
            Phase::Handshake => self.established(tls, claimed, id, around),
            Phase::Peap(_) | Phase::Ttls(_) => self.inside(id, around),
            Phase::Right { identity } => {
                let identity = std::mem::take(identity);
                self.right(identity, around)
            }
            Phase::Wrong { reason, identity, detail } => {
                Next::Wrong { reason: *reason, identity: identity.take(), detail: detail.take() }
            }
        }
    }

    fn established(&mut self, tls: &Tls, claimed: &str, id: u8, around: &mut Around<'_>) -> Next {
        match self.kind {
            Kind::TLS => match self.certificate(tls, claimed, around) {
                Ok(identity) => self.commit(identity, around),
                Err((reason, identity)) => wrong(reason, identity),
            },
            Kind::TTLS => match self.come_back(around) {
                Some(identity) => self.commit(identity, around),
                // The peer will not say again who it is.
                None if self.tunnel.is_resumed() => {
                    self.tunnel.visit().inspect(|visit| visit.forget());
                    wrong(Reason::WrongPassword, Some(claimed.to_owned()))
                }
                None => {
                    self.phase = Phase::Ttls(Ttls::default());
                    self.inside(id, around)
                }
            },
            Kind(_) => {
                self.phase = Phase::Peap(Peap::new(self.come_back(around)));
                // The end of a full handshake of TLS 1.2 is ours, and the peer acknowledges it.
                if self.tunnel.has_more() && !self.tunnel.is_tls13() {
                    self.ask(around)
                } else {
                    self.inside(id, around)
                }
            }
        }
    }

    /// Who resumes a session, if it still would be let in.
    fn come_back(&self, around: &Around<'_>) -> Option<String> {
        if !self.tunnel.is_resumed() {
            return None;
        }
        let who = self.tunnel.visit()?.resumed()?;
        who.is_still(around.directory.credential(&who.identity)).then_some(who.identity)
    }

    /// Whose certificate it is.
    fn certificate(
        &self,
        tls: &Tls,
        claimed: &str,
        around: &Around<'_>,
    ) -> Result<String, (Reason, Option<String>)> {
        let chain = self.tunnel.tls().and_then(|tls| tls.peer_certificates()).unwrap_or_default();
        let names = chain.first().map(|first| certificate::names(first)).unwrap_or_default();
        let bearer = || names.first().cloned().or_else(|| Some(claimed.to_owned()));
        if self.tunnel.is_resumed() && !tls.is_still_good(chain, around.now) {
            self.tunnel.visit().inspect(|visit| visit.forget());
            return Err((Reason::Certificate, bearer()));
        }
        let holder = around.directory.holder(&names, claimed);
        holder.ok_or_else(|| (Reason::UnknownCertificate, bearer()))
    }

    /// Nothing is left to say inside.
    fn commit(&mut self, identity: String, around: &mut Around<'_>) -> Next {
        if self.tunnel.is_tls13() {
            self.tunnel.write(COMMITMENT);
        }
        if !self.tunnel.has_more() {
            return self.right(identity, around);
        }
        self.phase = Phase::Right { identity };
        self.ask(around)
    }

    fn inside(&mut self, id: u8, around: &mut Around<'_>) -> Next {
        let said = self.tunnel.read();
        let inside = match &mut self.phase {
            Phase::Peap(peap) => peap.handle(id, &said, around),
            Phase::Ttls(ttls) => match ttls.handle(&said, &self.tunnel, around) {
                Some(inside) => inside,
                None => return self.ask(around),
            },
            Phase::Handshake | Phase::Right { .. } | Phase::Wrong { .. } => {
                return wrong(Reason::Malformed, None);
            }
        };
        match inside {
            Inside::Say(octets) => {
                self.tunnel.write(&octets);
                self.ask(around)
            }
            Inside::Right { identity } => self.right(identity, around),
            Inside::Wrong { reason, identity } => {
                self.tunnel.visit().inspect(|visit| visit.forget());
                wrong(reason, identity)
            }
        }
    }

    fn right(&self, identity: String, around: &Around<'_>) -> Next {
        let Some(keys) = self.keys() else { return wrong(Reason::Tls, Some(identity)) };
        if let Some(visit) = self.tunnel.visit() {
            visit.keep(&identity, around.directory.credential(&identity));
        }
        Next::Right { identity, keys: Some(keys), is_resumed: self.tunnel.is_resumed() }
    }

    /// The MSK is the first 64 octets. RFC 5216 §2.3, RFC 5281 §8; RFC 9190 §2.3, RFC 9427 §2.1:
    /// of TLS 1.3, 128 octets are exported in one, as their number goes into the derivation.
    fn keys(&self) -> Option<Keys> {
        let kind = [self.kind.0];
        let (label, context): (&[u8], Option<&[u8]>) = match (self.tunnel.is_tls13(), self.kind) {
            (true, _) => (b"EXPORTER_EAP_TLS_Key_Material", Some(&kind)),
            (false, Kind::TTLS) => (b"ttls keying material", None),
            (false, Kind(_)) => (b"client EAP encryption", None),
        };
        let material = self.tunnel.export::<128>(label, context)?;
        let (recv, rest) = material.split_first_chunk::<32>()?;
        let send = rest.first_chunk::<32>()?;
        Some(Keys { recv: recv.to_vec(), send: send.to_vec() })
    }

    fn ask(&mut self, around: &Around<'_>) -> Next {
        Next::Ask(self.kind, self.tunnel.next(around.len_max.saturating_sub(EAP_HEADER_LEN)))
    }
}

/// Code, identifier, length, type.
const EAP_HEADER_LEN: usize = 5;

fn reason_of(error: &rustls::Error) -> Reason {
    if matches!(
        error,
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented
    ) {
        Reason::Certificate
    } else {
        Reason::Tls
    }
}
