//! What proves that a packet comes from somebody who knows the secret.
//!
//! An Access-Request proves nothing by its authenticator (a nonce) and so needs a
//! Message-Authenticator; an Accounting-Request is proved by its authenticator. Replies are made by
//! [`crate::writer::Writer`], which signs them.

use hmac::Mac as _;
use md5::{Digest as _, Md5};
use subtle::ConstantTimeEq as _;

use crate::{
    attr::AttrType,
    code::Code,
    packet::{Authenticator, Packet},
    secret::Secret,
};

/// Nobody who knows the secret has made this packet, or it was changed on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the authenticator is not made with this secret")]
pub struct BadAuthenticator;

/// What a request's Message-Authenticator says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageAuthenticator {
    /// There is one, and it is right.
    Valid,
    /// There is none: anybody could have made or changed the packet.
    Absent,
    /// There is one that was not made with this secret, or of a wrong form, or more than one.
    Invalid,
}

const LEN: usize = 16;
const ZEROS: [u8; LEN] = [0; LEN];

/// Where the authenticator is in a packet.
const AUTHENTICATOR_AT: usize = 4;

/// Of an Access-Request, Status-Server, Accounting-Request, CoA- or Disconnect-Request.
/// RFC 3579 §3.2, RFC 5176 §3.4.
pub fn message_authenticator(request: &Packet<'_>, secret: &Secret) -> MessageAuthenticator {
    let nonce = match request.code() {
        Code::ACCESS_REQUEST | Code::STATUS_SERVER => request.authenticator(),
        // Their authenticator is a hash over this attribute, so this one counts it as zero.
        _ => &ZEROS,
    };
    verify(request, nonce, secret)
}

/// Of the reply to a request with this authenticator.
pub fn message_authenticator_of_reply(
    reply: &Packet<'_>,
    request: &Authenticator,
    secret: &Secret,
) -> MessageAuthenticator {
    verify(reply, request, secret)
}

fn verify(packet: &Packet<'_>, nonce: &Authenticator, secret: &Secret) -> MessageAuthenticator {
    let mut found = None;
    let mut attrs = packet.attrs();
    loop {
        let at = attrs.position();
        let Some(attr) = attrs.next() else { break };
        if attr.kind == AttrType::MESSAGE_AUTHENTICATOR && found.replace((at, attr)).is_some() {
            return MessageAuthenticator::Invalid;
        }
    }
    let Some((at, attr)) = found else { return MessageAuthenticator::Absent };
    if attr.value.len() != LEN {
        return MessageAuthenticator::Invalid;
    }
    let computed = hmac(packet.as_bytes(), at, nonce, secret);
    if bool::from(computed.ct_eq(attr.value)) {
        MessageAuthenticator::Valid
    } else {
        MessageAuthenticator::Invalid
    }
}

/// HMAC-MD5 over `packet` with `nonce` as authenticator and a Message-Authenticator at `at` that
/// counts as zero.
pub(crate) fn hmac(
    packet: &[u8],
    at: usize,
    nonce: &Authenticator,
    secret: &Secret,
) -> Authenticator {
    let mut hmac = secret.hmac();
    let value_at = at + 2;
    hmac.update(packet.get(..AUTHENTICATOR_AT).unwrap_or_default());
    hmac.update(nonce);
    hmac.update(packet.get(AUTHENTICATOR_AT + LEN..value_at).unwrap_or_default());
    hmac.update(&ZEROS);
    hmac.update(packet.get(value_at + LEN..).unwrap_or_default());
    hmac.finalize().into_bytes().into()
}

/// MD5 over `packet` with `nonce` as authenticator, then the secret: the authenticator of replies
/// (the request's as nonce, RFC 2865 §3) and of accounting requests (zero as nonce, RFC 2866 §3).
pub(crate) fn hash(packet: &[u8], nonce: &Authenticator, secret: &Secret) -> Authenticator {
    let mut md5 = Md5::new();
    md5.update(packet.get(..AUTHENTICATOR_AT).unwrap_or_default());
    md5.update(nonce);
    md5.update(packet.get(AUTHENTICATOR_AT + LEN..).unwrap_or_default());
    md5.update(secret.text());
    md5.finalize().into()
}

/// Of an Accounting-Request (RFC 2866 §3), and of CoA- and Disconnect-Requests (RFC 5176 §2.3).
pub fn verify_accounting(request: &Packet<'_>, secret: &Secret) -> Result<(), BadAuthenticator> {
    check(request, &ZEROS, secret)
}

/// Response Authenticator of the reply to a request with this authenticator, RFC 2865 §3.
pub fn verify_reply(
    reply: &Packet<'_>,
    request: &Authenticator,
    secret: &Secret,
) -> Result<(), BadAuthenticator> {
    check(reply, request, secret)
}

fn check(
    packet: &Packet<'_>,
    nonce: &Authenticator,
    secret: &Secret,
) -> Result<(), BadAuthenticator> {
    let computed = hash(packet.as_bytes(), nonce, secret);
    if computed.ct_eq(packet.authenticator()).into() { Ok(()) } else { Err(BadAuthenticator) }
}
