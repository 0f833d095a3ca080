//! What proves a password in an Access-Request, and what proves the server in its reply (pure).

use clap::ValueEnum;
use radius::{
    AttrType, Packet, Writer,
    attr::{microsoft, vendor::Vendor},
    mschap,
    password::{chap_answer, nt_hash},
};
use zeroize::Zeroizing;

/// How a User-Password is proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Method {
    /// As it is, hidden with the secret.
    Pap,
    /// CHAP.
    Chap,
    /// MS-CHAP.
    Mschap,
    /// MS-CHAPv2; the server's proof is checked too.
    Mschapv2,
}

/// What a method other than PAP sends in place of the password.
pub(super) struct Proof {
    method: Method,
    username: Vec<u8>,
    password: Zeroizing<String>,
    challenge: [u8; 16],
    peer_challenge: [u8; 16],
}

/// The server does not know the password either.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Impostor {
    #[error("the reply has no MS-CHAP2-Success: it proves nothing about the server")]
    NoProof,
    #[error("MS-CHAP2-Success is wrong: the server does not know the password")]
    WrongProof,
}

impl Proof {
    /// `random` is fresh.
    pub(super) const fn new(
        method: Method,
        username: Vec<u8>,
        password: Zeroizing<String>,
        random: [[u8; 16]; 2],
    ) -> Self {
        let [challenge, peer_challenge] = random;
        Self { method, username, password, challenge, peer_challenge }
    }

    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        let hash = nt_hash(&self.password);
        match self.method {
            Method::Pap => {}
            Method::Chap => {
                let answer = chap_answer(IDENT, self.password.as_bytes(), &self.challenge);
                let value = [&[IDENT][..], &answer].concat();
                writer
                    .attr(AttrType::CHAP_PASSWORD, &value)
                    .attr(AttrType::CHAP_CHALLENGE, &self.challenge);
            }
            Method::Mschap => {
                let (challenge, _) = self.challenge.split_first_chunk::<8>().expect("8 of 16");
                let answer = mschap::challenge_response(challenge, &hash);
                // Flags: the NT answer counts; there is none for LAN Manager.
                let value = [&[IDENT, 1][..], &[0; 24], &answer].concat();
                writer.vendor(Vendor::MICROSOFT, microsoft::CHAP_CHALLENGE, challenge).vendor(
                    Vendor::MICROSOFT,
                    microsoft::CHAP_RESPONSE,
                    &value,
                );
            }
            Method::Mschapv2 => {
                let answer = self.v2_answer(&hash);
                let value = [&[IDENT, 0][..], &self.peer_challenge, &[0; 8], &answer].concat();
                writer
                    .vendor(Vendor::MICROSOFT, microsoft::CHAP_CHALLENGE, &self.challenge)
                    .vendor(Vendor::MICROSOFT, microsoft::CHAP2_RESPONSE, &value);
            }
        }
    }

    fn v2_answer(&self, hash: &mschap::NtHash) -> mschap::NtResponse {
        let challenge =
            mschap::challenge_hash(&self.peer_challenge, &self.challenge, &self.username);
        mschap::challenge_response(&challenge, hash)
    }

    /// Of an Access-Accept. `true` if the server has proved that it knows the password.
    pub(super) fn check(&self, accept: &Packet<'_>) -> Result<bool, Impostor> {
        if self.method != Method::Mschapv2 {
            return Ok(false);
        }
        let hash = nt_hash(&self.password);
        let response = self.v2_answer(&hash);
        let answer = mschap::V2 {
            ident: IDENT,
            challenge: &self.challenge,
            peer_challenge: &self.peer_challenge,
            response: &response,
        };
        let expected = answer.success(&self.username, &hash);
        let mut inside = accept.attrs().flat_map(|attr| attr.vendor_attrs());
        let success = inside.find(|found| {
            found.vendor == Vendor::MICROSOFT && found.attr.kind.0 == microsoft::CHAP2_SUCCESS
        });
        match success {
            None => Err(Impostor::NoProof),
            Some(found) if found.attr.value.starts_with(&expected) => Ok(true),
            Some(_) => Err(Impostor::WrongProof),
        }
    }
}

const IDENT: u8 = 1;
