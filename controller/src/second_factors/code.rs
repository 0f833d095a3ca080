//! Codes of the second factor: RFC 6238 over thirty seconds, and codes for who lost the phone.
//! Pure: time and randomness are arguments.

use jiff::Timestamp;
use shared::secret::Secret;
use totp_rs::{Builder, Totp};

/// What somebody typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// Six digits of an authenticator.
    Digits(String),
    /// A recovery code, as it is hashed.
    Recovery(String),
}

impl Typed {
    /// Spaces, hyphens and small letters are as people write them.
    pub(super) fn read(code: &Secret) -> Self {
        let plain = code.expose().chars().filter(|c| !c.is_whitespace() && *c != '-');
        let plain: String = plain.map(|c| c.to_ascii_uppercase()).collect();
        if plain.len() == DIGITS && plain.bytes().all(|byte| byte.is_ascii_digit()) {
            Self::Digits(plain)
        } else {
            Self::Recovery(plain)
        }
    }
}

/// A secret that an authenticator shares with us.
#[derive(Clone, Debug)]
pub(super) struct Shared(Totp);

impl Shared {
    /// `account` is what the authenticator shows.
    pub(super) fn new(secret: [u8; SECRET_LEN], account: &str) -> Self {
        let account = account.replace(':', " ");
        let builder = Builder::new().with_secret(secret.to_vec());
        Self(builder.with_account_name(account).with_issuer(Some(ISSUER)).build_noncompliant())
    }

    /// As it was stored.
    pub(super) fn from_text(text: &Secret, account: &str) -> Option<Self> {
        let secret = totp_rs::Secret::try_from_base32(text.expose()).ok()?;
        Some(Self::new(secret.as_bytes().try_into().ok()?, account))
    }

    /// For storing, and for who types it instead of reading the picture.
    pub(super) fn text(&self) -> Secret {
        Secret::new(self.0.secret().to_base32())
    }

    /// What the picture says: `otpauth://totp/…`.
    pub(super) fn url(&self) -> Secret {
        let url = self.0.to_url().expect("the account has a name, without a colon");
        Secret::new(url)
    }

    /// The step that these digits are of: this one, the one before or the next, as clocks differ.
    /// Takes as long for every digit.
    pub(super) fn step(&self, digits: &str, now: Timestamp) -> Option<i64> {
        let seconds = u64::try_from(now.as_second()).ok()?;
        self.0.check(digits, seconds).and_then(|step| i64::try_from(step).ok())
    }

    /// What an authenticator would show.
    #[cfg(test)]
    pub(super) fn digits(&self, now: Timestamp) -> String {
        self.0.generate(u64::try_from(now.as_second()).unwrap()).to_string()
    }
}

/// A code for one use, of random bytes: ten letters without those that are mistaken for others.
pub(super) fn recovery(random: [u8; RECOVERY_LEN]) -> Secret {
    let letter = |byte: &u8| LETTERS.chars().nth(usize::from(*byte) % 32).unwrap_or('A');
    let (one, two) = random.split_at(RECOVERY_LEN / 2);
    let word = |part: &[u8]| part.iter().map(letter).collect::<String>();
    Secret::new(format!("{}-{}", word(one), word(two)))
}

/// RFC 4226 section 4: 160 bits.
pub(super) const SECRET_LEN: usize = 20;
/// Fifty bits.
pub(super) const RECOVERY_LEN: usize = 10;
const DIGITS: usize = 6;
const ISSUER: &str = "KenNet";
/// 32 of them, so that a byte chooses evenly.
const LETTERS: &str = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238 appendix B, cut to six digits.
    #[test]
    fn codes_are_those_of_the_rfc() {
        let shared = Shared::new(*b"12345678901234567890", "amina@first.example");
        for (seconds, digits) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let now = Timestamp::from_second(seconds).unwrap();
            assert_eq!(shared.digits(now), digits);
            assert_eq!(shared.step(digits, now), Some(seconds / 30));
        }
    }

    #[test]
    fn a_code_is_good_in_its_half_minute_and_beside_it() {
        let shared = Shared::new([7; SECRET_LEN], "amina@first.example");
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let digits = shared.digits(at(3000));
        for (seconds, fits) in
            [(2969, false), (2970, true), (3000, true), (3059, true), (3060, false)]
        {
            assert_eq!(shared.step(&digits, at(seconds)).is_some(), fits, "{seconds}");
        }
        for wrong in ["", "12345", "1234567", "abcdef", "000000"] {
            assert_eq!(shared.step(wrong, at(3000)), None, "{wrong}");
        }
    }

    #[test]
    fn a_secret_survives_its_text() {
        let shared = Shared::new([9; SECRET_LEN], "a:b@first.example");
        let again = Shared::from_text(&shared.text(), "a:b@first.example").unwrap();
        assert_eq!(again.digits(Timestamp::UNIX_EPOCH), shared.digits(Timestamp::UNIX_EPOCH));
        let url = shared.url();
        assert!(url.expose().starts_with("otpauth://totp/KenNet:a%20b%40first.example?secret="));
        assert!(Shared::from_text(&Secret::new("short".to_owned()), "a").is_none());
        assert!(!format!("{shared:?}").contains(shared.text().expose()));
    }

    #[test]
    fn what_is_typed_is_read_as_people_write_it() {
        let read = |text: &str| Typed::read(&Secret::new(text.to_owned()));
        assert_eq!(read(" 123 456"), Typed::Digits("123456".to_owned()));
        assert_eq!(read("abcde-fghjk"), Typed::Recovery("ABCDEFGHJK".to_owned()));
        let code = recovery([0, 1, 2, 3, 31, 32, 64, 255, 5, 6]);
        assert_eq!(code.expose(), "ABCD9-AA9FG");
        assert_eq!(Typed::read(&code), Typed::Recovery("ABCD9AA9FG".to_owned()));
    }
}
