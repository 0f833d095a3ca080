//! What somebody shows for a username, in one packet (pure).

use radius::{
    AttrType, Packet, Password, Secret,
    mschap::{self, Answer, Keys, NtHash},
    password::{self, Chap},
};
use shared::{net::Mac, secret::Secret as Text, wire::latest::desired::Subscriber};

use super::refusal::Refusal;

pub(super) enum Credential<'a> {
    Password(Password),
    Chap(Chap<'a>),
    MsChap(Answer<'a>),
    /// Nothing, as NASes do that know a device by its MAC address.
    Absent,
}

/// Whether a credential is a subscriber's.
#[derive(Debug)]
pub(super) enum Match {
    Right(Proof),
    Wrong,
    /// The password is not known in the form that it takes.
    Unusable,
}

/// What MS-CHAP wants in an Access-Accept. Of the others it is nothing.
#[derive(Debug)]
pub(in crate::radius) enum Proof {
    Plain,
    MsChap {
        /// To be hidden as a User-Password.
        keys: [u8; 32],
    },
    MsChap2 {
        success: Vec<u8>,
        keys: Keys,
    },
}

impl<'a> Credential<'a> {
    pub(super) fn of(request: &Packet<'a>, secret: &Secret) -> Result<Self, Refusal> {
        let hidden = request.attr(AttrType::USER_PASSWORD).map_or(&[][..], |attr| attr.value);
        if !hidden.is_empty() {
            let password = Password::reveal(hidden, request.authenticator(), secret);
            return password.map(Self::Password).map_err(|_| Refusal::Malformed);
        }
        match (Chap::of(request), request.attr(AttrType::CHAP_PASSWORD)) {
            (Some(chap), _) => return Ok(Self::Chap(chap)),
            (None, Some(_)) => return Err(Refusal::Malformed),
            (None, None) => {}
        }
        let answer = Answer::of(request).map_err(|_| Refusal::Malformed)?;
        Ok(answer.map_or(Self::Absent, Self::MsChap))
    }

    pub(super) fn of_subscriber(&self, username: &str, subscriber: &Subscriber) -> Match {
        let password = subscriber.password.as_ref().map(Text::expose);
        let hash = || nt_hash_of(subscriber);
        let is_right = match self {
            Self::Password(typed) => match (password, hash()) {
                (Some(password), _) => typed.is(password.as_bytes()),
                (None, Some(hash)) => typed.has_nt_hash(&hash),
                (None, None) => false,
            },
            Self::Chap(chap) => match password {
                Some(password) => chap.is(password.as_bytes()),
                None => return Match::Unusable,
            },
            Self::MsChap(answer) => match password.map(password::nt_hash).or_else(hash) {
                Some(hash) if answer.is(username.as_bytes(), &hash) => {
                    return Match::Right(Proof::of(answer, username, &hash));
                }
                Some(_) => false,
                None => return Match::Unusable,
            },
            Self::Absent => return Match::Unusable,
        };
        if is_right { Match::Right(Proof::Plain) } else { Match::Wrong }
    }

    /// MAC authentication: the password is the username again, in whatever spelling, or nothing.
    pub(super) fn repeats(&self, username: &str, mac: Mac) -> bool {
        match self {
            Self::Password(typed) => {
                let typed = std::str::from_utf8(typed.as_bytes());
                typed.is_ok_and(|text| text.is_empty() || text.parse() == Ok(mac))
            }
            Self::Chap(chap) => chap.is(username.as_bytes()) || chap.is(b""),
            Self::MsChap(_) => false,
            Self::Absent => true,
        }
    }
}

impl Proof {
    fn of(answer: &Answer<'_>, username: &str, hash: &NtHash) -> Self {
        match answer {
            Answer::V1(_) => Self::MsChap { keys: mschap::v1_mppe_keys(hash) },
            Answer::V2(v2) => {
                let success = v2.success(username.as_bytes(), hash);
                Self::MsChap2 { success, keys: Keys::of(v2.response, hash) }
            }
        }
    }
}

/// Of who has no password but a hash: 32 hexadecimal digits.
pub(in crate::radius) fn nt_hash_of(subscriber: &Subscriber) -> Option<NtHash> {
    let text = subscriber.nt_hash.as_ref()?.expose();
    let bits = u128::from_str_radix(text, 16).ok()?;
    (text.len() == 32).then(|| bits.to_be_bytes())
}
