//! EAP-MD5: CHAP in EAP. RFC 3748 §5.4. It makes no keys and does not prove who we are.

use super::{Around, Reason};
use crate::password::chap_answer;
use subtle::ConstantTimeEq as _;

#[derive(Debug)]
pub(super) struct Md5 {
    challenge: [u8; 16],
}

impl Md5 {
    /// And what is asked: length and challenge, no name.
    pub(super) fn start(around: &mut Around<'_>) -> (Self, Vec<u8>) {
        let challenge = around.random();
        let mut data = vec![16];
        data.extend(challenge);
        (Self { challenge }, data)
    }

    /// `id` is that of the request. Who is unknown is answered as who is wrong, and as fast.
    pub(super) fn check(
        &self,
        id: u8,
        data: &[u8],
        identity: &str,
        around: &Around<'_>,
    ) -> Result<(), Reason> {
        let (&len, rest) = data.split_first().ok_or(Reason::Malformed)?;
        let answer = rest.get(..usize::from(len)).ok_or(Reason::Malformed)?;
        let known = around.directory.credential(identity);
        let password = known.map_or(Some(""), |known| known.password).ok_or(Reason::Unusable)?;
        let right = chap_answer(id, password.as_bytes(), &self.challenge).ct_eq(answer).into();
        match (known, right) {
            (None, _) => Err(Reason::UnknownIdentity),
            (Some(_), false) => Err(Reason::WrongPassword),
            (Some(_), true) => Ok(()),
        }
    }
}
