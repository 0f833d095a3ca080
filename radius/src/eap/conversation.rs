//! One login over EAP, from the peer's first packet to success or failure.

use std::{fmt, sync::Arc};

#[cfg(feature = "tls")]
use super::tls::{Tls, tunnelled::Tunnelled};
use super::{
    Around, Failure, Keys, Reason, Step, Success,
    login::{self, Login},
    packet::{Code, Kind, Packet, encode, end},
};

/// Which methods there are, the first is offered first; shared by all conversations.
#[derive(Debug)]
pub struct Methods {
    order: Vec<Kind>,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
}

impl Methods {
    /// EAP-MSCHAPv2 and EAP-MD5 of `order`, or both.
    pub fn simple(order: Option<&[Kind]>) -> Self {
        let order = order.unwrap_or(login::SIMPLE);
        Self {
            order: order.iter().copied().filter(|kind| login::SIMPLE.contains(kind)).collect(),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Those of `order` that can be, or all: PEAP, EAP-TTLS, EAP-TLS (where clients'
    /// certificates can be verified), EAP-MSCHAPv2, EAP-MD5.
    #[cfg(feature = "tls")]
    pub fn with_tls(tls: Tls, order: Option<&[Kind]>) -> Self {
        const ALL: &[Kind] = &[Kind::PEAP, Kind::TTLS, Kind::TLS, Kind::MSCHAPV2, Kind::MD5];
        let order = order.unwrap_or(ALL).iter().copied();
        let order = order.filter(|&kind| login::SIMPLE.contains(&kind) || tls.serves(kind));
        Self { order: order.collect(), tls: Some(tls) }
    }

    /// What the methods with TLS are served with.
    #[cfg(feature = "tls")]
    pub const fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// The methods, in the order in which they are offered.
    pub fn order(&self) -> &[Kind] {
        &self.order
    }
}

/// One login. It is small until TLS begins; then it holds some tens of KiB.
pub struct Conversation {
    methods: Arc<Methods>,
    state: State,
    /// Of the request that waits for its response.
    id: u8,
    rounds: u8,
}

enum State {
    /// Nothing was said, or only asked who it is.
    New,
    Simple(Login),
    #[cfg(feature = "tls")]
    Tls {
        identity: String,
        tunnelled: Box<Tunnelled>,
        may_nak: bool,
    },
    Over,
}

/// What a method says; it becomes a packet.
pub(super) enum Next {
    Ask(Kind, Vec<u8>),
    Right { identity: String, keys: Option<Keys>, is_resumed: bool },
    Wrong { reason: Reason, identity: Option<String>, detail: Option<String> },
}

impl Conversation {
    /// The peer's first packet goes to [`Conversation::step`].
    pub const fn new(methods: Arc<Methods>) -> Self {
        Self { methods, state: State::New, id: 0, rounds: 0 }
    }

    /// Is the next step one that takes long (asymmetric cryptography)?
    pub fn is_heavy(&self) -> bool {
        match self.state {
            #[cfg(feature = "tls")]
            State::Tls { ref tunnelled, .. } => tunnelled.is_handshaking(),
            State::New | State::Simple(_) | State::Over => false,
        }
    }

    /// What the peer calls itself, outside of a tunnel.
    pub fn identity(&self) -> Option<&str> {
        match &self.state {
            State::Simple(login) => Some(login.identity()),
            #[cfg(feature = "tls")]
            State::Tls { identity, .. } => Some(identity),
            State::New | State::Over => None,
        }
    }

    /// Why it has failed already, while the peer has not acknowledged it; there are peers that
    /// never do.
    pub const fn refusal(&self) -> Option<Reason> {
        match &self.state {
            #[cfg(feature = "tls")]
            State::Tls { tunnelled, .. } => tunnelled.refusal(),
            State::New | State::Simple(_) | State::Over => None,
        }
    }

    /// Takes what the peer says: an EAP packet, or nothing at all, which is how a NAS asks us to
    /// begin (RFC 3579 §2.1).
    pub fn step(&mut self, message: &[u8], around: &mut Around<'_>) -> Step {
        self.rounds = self.rounds.saturating_add(1);
        if message.is_empty() && matches!(self.state, State::New) && self.rounds == 1 {
            return self.ask(0, Kind::IDENTITY, b"");
        }
        let Ok(Packet { code: Code::Response, id, body: Some((kind, data)) }) =
            Packet::decode(message)
        else {
            return self.fail(self.id, Reason::Malformed, None);
        };
        let is_first = matches!(self.state, State::New);
        if !is_first && id != self.id {
            return self.fail(id, Reason::Malformed, None);
        }
        if self.rounds > ROUNDS_MAX {
            return self.fail(id, Reason::TooLong, None);
        }
        let next = self.handle(id, kind, data, around);
        self.become_step(id, next)
    }

    fn become_step(&mut self, id: u8, next: Next) -> Step {
        match next {
            Next::Ask(kind, data) => self.ask(id.wrapping_add(1), kind, &data),
            Next::Right { identity, keys, is_resumed } => {
                let method = self.method();
                self.state = State::Over;
                let packet = end(Code::Success, id);
                Step::Success(Success { packet, identity, method, keys, is_resumed })
            }
            Next::Wrong { reason, identity, detail } => {
                let mut step = self.fail(id, reason, identity);
                if let Step::Failure(failure) = &mut step {
                    failure.detail = detail;
                }
                step
            }
        }
    }

    fn handle(&mut self, id: u8, kind: Kind, data: &[u8], around: &mut Around<'_>) -> Next {
        let methods = Arc::clone(&self.methods);
        match &mut self.state {
            State::New if kind == Kind::IDENTITY => {
                // A name that is not text is nobody's.
                let identity = String::from_utf8_lossy(data).into_owned();
                match methods.order.first() {
                    Some(&first) => self.begin(identity, first, id, true, around),
                    None => wrong(Reason::NoCommonMethod, Some(identity)),
                }
            }
            State::Simple(login) => {
                if kind == Kind::NAK && login.may_nak() {
                    let identity = login.identity().to_owned();
                    return self.instead(identity, data, id, around);
                }
                match login.handle(id, (kind, data), &[], around) {
                    login::Next::Ask(kind, data) => Next::Ask(kind, data),
                    login::Next::Right(keys) => Next::Right {
                        identity: login.identity().to_owned(),
                        keys,
                        is_resumed: false,
                    },
                    login::Next::Wrong(reason) => wrong(reason, Some(login.identity().to_owned())),
                }
            }
            #[cfg(feature = "tls")]
            State::Tls { identity, tunnelled, may_nak } => {
                if kind == Kind::NAK && *may_nak {
                    let identity = std::mem::take(identity);
                    return self.instead(identity, data, id, around);
                }
                *may_nak = false;
                match &methods.tls {
                    Some(tls) if kind == tunnelled.kind() => {
                        tunnelled.handle(tls, identity, id, data, around)
                    }
                    Some(_) | None => wrong(Reason::Malformed, Some(identity.clone())),
                }
            }
            State::New | State::Over => wrong(Reason::Malformed, None),
        }
    }

    /// The peer wants another method.
    fn instead(&mut self, identity: String, nak: &[u8], id: u8, around: &mut Around<'_>) -> Next {
        match login::wanted(nak, self.methods.order()) {
            Some(kind) => self.begin(identity, kind, id, false, around),
            None => wrong(Reason::NoCommonMethod, Some(identity)),
        }
    }

    fn begin(
        &mut self,
        identity: String,
        kind: Kind,
        id: u8,
        may_nak: bool,
        around: &mut Around<'_>,
    ) -> Next {
        #[cfg(feature = "tls")]
        if let Some(tunnelled) = Tunnelled::start(kind) {
            self.state = State::Tls { identity, tunnelled: Box::new(tunnelled), may_nak };
            return Next::Ask(kind, Tunnelled::START.to_vec());
        }
        match Login::start(identity, kind, id.wrapping_add(1), may_nak, around) {
            Some((login, data)) => {
                self.state = State::Simple(login);
                Next::Ask(kind, data)
            }
            None => wrong(Reason::NoCommonMethod, None),
        }
    }

    fn method(&self) -> Kind {
        match &self.state {
            State::Simple(login) => login.kind(),
            #[cfg(feature = "tls")]
            State::Tls { tunnelled, .. } => tunnelled.kind(),
            State::New | State::Over => Kind::IDENTITY,
        }
    }

    fn ask(&mut self, id: u8, kind: Kind, data: &[u8]) -> Step {
        self.id = id;
        Step::Challenge(encode(Code::Request, id, kind, data))
    }

    fn fail(&mut self, id: u8, reason: Reason, identity: Option<String>) -> Step {
        self.state = State::Over;
        let packet = end(Code::Failure, id);
        Step::Failure(Failure { packet, reason, identity, detail: None })
    }
}

pub(super) fn wrong(reason: Reason, identity: Option<String>) -> Next {
    Next::Wrong { reason, identity, detail: None }
}

/// Without the keys in it.
impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} after {} packets", self.method(), self.rounds)
    }
}

/// A chain of certificates of the greatest length in fragments of the smallest usual one.
const ROUNDS_MAX: u8 = 100;
