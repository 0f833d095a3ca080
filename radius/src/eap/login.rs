//! One name and a method without TLS, alone or in a tunnel: which method, and whether it is
//! passed.

use super::{
    Around, Credential, Keys, Kind, Reason, Unusable,
    md5::Md5,
    mschapv2::{self, Mschapv2},
};

/// Methods that work without TLS, the stronger first.
pub(super) const SIMPLE: &[Kind] = &[Kind::MSCHAPV2, Kind::MD5];

/// And those that are good enough inside of a tunnel.
#[cfg(feature = "tls")]
pub(super) const INNER: &[Kind] = &[Kind::MSCHAPV2, Kind::MD5, Kind::GTC];

#[derive(Debug)]
pub(super) struct Login {
    identity: String,
    method: Method,
    /// A peer that has agreed, or has asked for something else once, cannot ask again.
    may_nak: bool,
}

#[derive(Debug)]
enum Method {
    Md5(Md5),
    Mschapv2(Mschapv2),
    Gtc,
}

pub(super) enum Next {
    /// Send this in the next request.
    Ask(Kind, Vec<u8>),
    Right(Option<Keys>),
    Wrong(Reason),
}

impl Login {
    /// `None` if the method is not one of these. `id` is that of the request that asks.
    pub(super) fn start(
        identity: String,
        kind: Kind,
        id: u8,
        may_nak: bool,
        around: &mut Around<'_>,
    ) -> Option<(Self, Vec<u8>)> {
        let (method, data) = Method::start(kind, id, around)?;
        Some((Self { identity, method, may_nak }, data))
    }

    pub(super) fn identity(&self) -> &str {
        &self.identity
    }

    pub(super) fn may_nak(&self) -> bool {
        self.may_nak
    }

    pub(super) fn kind(&self) -> Kind {
        match self.method {
            Method::Md5(_) => Kind::MD5,
            Method::Mschapv2(_) => Kind::MSCHAPV2,
            Method::Gtc => Kind::GTC,
        }
    }

    /// What the peer has answered to request `id`; if it wants another method, one of `offered`.
    pub(super) fn handle(
        &mut self,
        id: u8,
        (kind, data): (Kind, &[u8]),
        offered: &[Kind],
        around: &mut Around<'_>,
    ) -> Next {
        if kind == Kind::NAK && self.may_nak {
            let wanted = wanted(data, offered);
            let started = wanted.and_then(|kind| {
                let identity = std::mem::take(&mut self.identity);
                Some((kind, Self::start(identity, kind, id.wrapping_add(1), false, around)?))
            });
            let Some((kind, (login, ask))) = started else {
                return Next::Wrong(Reason::NoCommonMethod);
            };
            *self = login;
            return Next::Ask(kind, ask);
        }
        if kind != self.kind() {
            return Next::Wrong(Reason::Malformed);
        }
        self.may_nak = false;
        match &mut self.method {
            Method::Md5(md5) => match md5.check(id, data, &self.identity, around) {
                Ok(()) => Next::Right(None),
                Err(reason) => Next::Wrong(reason),
            },
            Method::Gtc => match password(data, &self.identity, around) {
                Ok(()) => Next::Right(None),
                Err(reason) => Next::Wrong(reason),
            },
            Method::Mschapv2(method) => match method.handle(data, &self.identity, around) {
                mschapv2::Next::Ask(data) => Next::Ask(Kind::MSCHAPV2, data),
                mschapv2::Next::Right(keys) => Next::Right(Some(keys)),
                mschapv2::Next::Wrong(reason) => Next::Wrong(reason),
            },
        }
    }
}

impl Method {
    fn start(kind: Kind, id: u8, around: &mut Around<'_>) -> Option<(Self, Vec<u8>)> {
        Some(match kind {
            Kind::MD5 => {
                let (md5, data) = Md5::start(around);
                (Self::Md5(md5), data)
            }
            Kind::MSCHAPV2 => {
                let (mschapv2, data) = Mschapv2::start(id, around);
                (Self::Mschapv2(mschapv2), data)
            }
            Kind::GTC => (Self::Gtc, b"Password: ".to_vec()),
            Kind(_) => return None,
        })
    }
}

/// EAP-GTC. Who is unknown is answered as who is wrong, and as fast.
fn password(typed: &[u8], identity: &str, around: &Around<'_>) -> Result<(), Reason> {
    let known = around.directory.credential(identity);
    let against = known.unwrap_or(Credential { password: Some(""), nt_hash: None });
    let is_right = against.is(typed).map_err(|Unusable| Reason::Unusable)?;
    match known {
        Some(_) if is_right => Ok(()),
        Some(_) => Err(Reason::WrongPassword),
        None => Err(Reason::UnknownIdentity),
    }
}

/// The first method of a Nak that is offered.
pub(super) fn wanted(nak: &[u8], offered: &[Kind]) -> Option<Kind> {
    nak.iter().map(|&kind| Kind(kind)).find(|kind| offered.contains(kind))
}
