//! The requests of a load, made before it runs (pure).

use anyhow::{Context as _, Result};
use radius::{
    AttrType, Code, LEN_MAX, Secret, Writer,
    accounting::Status,
    attr::{microsoft, vendor::Vendor},
    mschap::{challenge_hash, challenge_response},
    password,
};

use super::SUBSCRIBERS;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Pap,
    Chap,
    MsChapV2,
    Accounting,
}

impl Kind {
    pub(super) const fn reply(self) -> Code {
        match self {
            Self::Pap | Self::Chap | Self::MsChapV2 => Code::ACCESS_ACCEPT,
            Self::Accounting => Code::ACCOUNTING_RESPONSE,
        }
    }
}

pub(super) fn username(subscriber: usize) -> String {
    format!("subscriber{subscriber:05}")
}

pub(super) fn password_of(subscriber: usize) -> String {
    format!("password{subscriber:05}")
}

pub(super) fn calling_station_id(subscriber: usize) -> String {
    let [.., high, low] = subscriber.to_be_bytes();
    format!("02-00-00-00-{high:02X}-{low:02X}")
}

/// The request number `at`: its identifier and its subscriber follow from it. `round` is how
/// often it was sent; the counters of a session grow with it.
pub(super) fn request(kind: Kind, secret: &Secret, at: usize, round: u32) -> Result<Vec<u8>> {
    let mut buffer = [0; LEN_MAX];
    let id = u8::try_from(at % 256)?;
    let subscriber = at % SUBSCRIBERS;
    let (username, typed) = (username(subscriber), password_of(subscriber));
    // It need not be random for this, only another one each time.
    let mut nonce = [0x5a; 16];
    for (octet, bits) in nonce.iter_mut().zip(at.to_be_bytes()) {
        *octet ^= bits;
    }
    let mut writer = match kind {
        Kind::Pap | Kind::Chap | Kind::MsChapV2 => {
            Writer::request(&mut buffer, Code::ACCESS_REQUEST, id, nonce)
        }
        Kind::Accounting => Writer::accounting_request(&mut buffer, Code::ACCOUNTING_REQUEST, id),
    };
    writer.text(AttrType::USER_NAME, &username);
    match kind {
        Kind::Pap => {
            let hidden = password::hide(typed.as_bytes(), &nonce, secret);
            let (hidden, len) = hidden.context("a password is too long")?;
            writer.attr(AttrType::USER_PASSWORD, hidden.get(..len).unwrap_or_default());
        }
        Kind::Chap => {
            let answer = password::chap_answer(id, typed.as_bytes(), &nonce);
            writer.attr(AttrType::CHAP_PASSWORD, &[&[id][..], &answer].concat());
        }
        Kind::MsChapV2 => {
            let peer_challenge = nonce.map(|octet| !octet);
            let asked = challenge_hash(&peer_challenge, &nonce, username.as_bytes());
            let answer = challenge_response(&asked, &password::nt_hash(&typed));
            let response = [&[id, 0][..], &peer_challenge, &[0; 8], &answer].concat();
            writer.vendor(Vendor::MICROSOFT, microsoft::CHAP_CHALLENGE, &nonce).vendor(
                Vendor::MICROSOFT,
                microsoft::CHAP2_RESPONSE,
                &response,
            );
        }
        Kind::Accounting => {
            writer
                .integer(AttrType::ACCT_STATUS_TYPE, Status::INTERIM.0)
                .text(AttrType::ACCT_SESSION_ID, &format!("{subscriber:08x}"))
                .integer(AttrType::ACCT_INPUT_OCTETS, round.wrapping_mul(100_000))
                .integer(AttrType::ACCT_OUTPUT_OCTETS, round.wrapping_mul(1_000_000))
                .integer(AttrType::ACCT_SESSION_TIME, round.wrapping_mul(60));
        }
    }
    writer
        .attr(AttrType::NAS_IP_ADDRESS, &[127, 0, 0, 1])
        .text(AttrType::CALLED_STATION_ID, "02-00-00-00-00-01:KenNet")
        .text(AttrType::CALLING_STATION_ID, &calling_station_id(subscriber))
        .integer(AttrType::NAS_PORT_TYPE, 19);
    Ok(writer.sign(secret)?.to_vec())
}
