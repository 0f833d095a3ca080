//! What MS-CHAP and EAP want in a reply: proofs, keys, errors. RFC 2548.

use radius::{
    Packet, Secret, Writer,
    attr::{microsoft, vendor::Vendor},
    mschap::Answer,
    packet::Authenticator,
    password,
    salted::Salt,
};

use super::Proof;

/// With what the values in a reply are hidden.
#[derive(Clone, Copy)]
pub(in crate::radius) struct Hide<'a> {
    pub(in crate::radius) secret: &'a Secret,
    pub(in crate::radius) request: Authenticator,
    /// Random.
    pub(in crate::radius) salt: [u8; 2],
}

pub(in crate::radius) fn write_proof(reply: &mut Writer<'_>, proof: &Proof, hide: Hide<'_>) {
    match proof {
        Proof::Plain => {}
        Proof::MsChap { keys } => {
            if let Some((hidden, len)) = password::hide(keys, &hide.request, hide.secret) {
                let hidden = hidden.get(..len).unwrap_or_default();
                reply.vendor(Vendor::MICROSOFT, microsoft::CHAP_MPPE_KEYS, hidden);
            }
            write_encryption(reply);
        }
        Proof::MsChap2 { success, keys } => {
            reply.vendor(Vendor::MICROSOFT, microsoft::CHAP2_SUCCESS, success);
            write_keys(reply, &keys.send, &keys.recv, hide);
            write_encryption(reply);
        }
    }
}

/// The keys of a link: what we would send with, and what the peer does.
pub(in crate::radius) fn write_keys(
    reply: &mut Writer<'_>,
    send: &[u8],
    recv: &[u8],
    hide: Hide<'_>,
) {
    let salt = Salt::new(hide.salt);
    for (kind, key, salt) in
        [(microsoft::MPPE_RECV_KEY, recv, salt), (microsoft::MPPE_SEND_KEY, send, salt.next())]
    {
        reply.vendor_salted(Vendor::MICROSOFT, kind, key, salt, hide.secret);
    }
}

/// PPP may encrypt (1), with keys of 40 (2) or 128 (4) bits.
fn write_encryption(reply: &mut Writer<'_>) {
    for (kind, value) in
        [(microsoft::MPPE_ENCRYPTION_POLICY, 1_u32), (microsoft::MPPE_ENCRYPTION_TYPES, 6)]
    {
        reply.vendor(Vendor::MICROSOFT, kind, &value.to_be_bytes());
    }
}

/// Who has answered by MS-CHAP is told in its words that it was wrong.
pub(in crate::radius) fn error_of(
    request: &Packet<'_>,
    random: impl FnOnce() -> [u8; 16],
) -> Option<Vec<u8>> {
    let answer = Answer::of(request).ok()??;
    Some(answer.error(&random()))
}

pub(in crate::radius) fn write_error(reply: &mut Writer<'_>, error: &[u8]) {
    reply.vendor(Vendor::MICROSOFT, microsoft::CHAP_ERROR, error);
}
