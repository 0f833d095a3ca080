//! EAP (RFC 3748) as an authentication server runs it: octets in, octets out.
//!
//! [`Conversation`] is one login. It is given every EAP-Response and says what goes back; it
//! knows no socket and no clock, and asks a [`Directory`] who somebody is. [`message`] carries
//! EAP in RADIUS packets (RFC 3579).
//!
//! EAP-MD5, EAP-MSCHAPv2 and, for tunnels, EAP-GTC are here; EAP-TLS, EAP-TTLS and PEAP are in `tls`, behind the
//! feature of that name. A login, with both of its ends:
//!
//! ```
//! use std::sync::Arc;
//!
//! use radius::{
//!     eap::{
//!         Around, Code, Conversation, Credential, Directory, Kind, Methods, Packet, Step,
//!         packet::encode,
//!     },
//!     password::chap_answer,
//! };
//!
//! struct Subscribers;
//!
//! impl Directory for Subscribers {
//!     fn credential<'a>(&'a self, identity: &'a str) -> Option<Credential<'a>> {
//!         let amina = Credential { password: Some("simba"), nt_hash: None };
//!         (identity == "amina").then_some(amina)
//!     }
//!
//!     fn holder(&self, _names: &[String], _claimed: &str) -> Option<String> {
//!         None
//!     }
//! }
//!
//! let around = &mut Around {
//!     directory: &Subscribers,
//!     // A real one is random.
//!     random: &mut |octets| octets.fill(7),
//!     now: 1_800_000_000,
//!     len_max: 1020,
//! };
//! let methods = Arc::new(Methods::simple(Some(&[Kind::MD5])));
//! let mut login = Conversation::new(methods);
//!
//! // The peer says who it is and is asked for a proof: a length, 16 octets.
//! let identity = encode(Code::Response, 0, Kind::IDENTITY, b"amina");
//! let Step::Challenge(request) = login.step(&identity, around) else { panic!("a challenge") };
//! let Packet { id, body: Some((Kind::MD5, data)), .. } = Packet::decode(&request)? else {
//!     panic!("a request for MD5")
//! };
//!
//! // The peer answers, and is let in.
//! let mut answer = vec![16];
//! answer.extend(chap_answer(id, b"simba", &data[1..]));
//! let response = encode(Code::Response, id, Kind::MD5, &answer);
//! let Step::Success(success) = login.step(&response, around) else { panic!("success") };
//! assert_eq!((success.identity.as_str(), success.packet), ("amina", [3, id, 0, 4]));
//! # Ok::<(), radius::eap::packet::Malformed>(())
//! ```

use std::fmt;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroize as _;

use crate::{mschap::NtHash, password};

pub mod conversation;
mod login;
mod md5;
pub mod message;
pub mod mschapv2;
pub mod packet;
#[cfg(feature = "tls")]
pub mod tls;

pub use conversation::{Conversation, Methods};
pub use packet::{Code, Kind, Packet};

/// Who somebody is: the one thing that a [`Conversation`] cannot know.
pub trait Directory {
    /// What somebody who gives this name has to prove. `None` for a name that is nobody's; the
    /// conversation then goes on as if it were somebody's.
    fn credential<'a>(&'a self, identity: &'a str) -> Option<Credential<'a>>;

    /// Whose certificate it is that bears these `names`; `claimed` is what the peer calls
    /// itself. The certificate is verified.
    fn holder(&self, names: &[String], claimed: &str) -> Option<String>;
}

/// What is known of a password.
#[derive(Clone, Copy, Default)]
pub struct Credential<'a> {
    /// The password itself. Every method can do with it.
    pub password: Option<&'a str>,
    /// Its NT hash. MS-CHAP and PAP can do with it.
    pub nt_hash: Option<NtHash>,
}

impl Credential<'_> {
    fn to_nt_hash(self) -> Option<NtHash> {
        self.password.map(password::nt_hash).or(self.nt_hash)
    }

    /// Is it this password?
    fn is(self, typed: &[u8]) -> Result<bool, Unusable> {
        match (self.password, self.nt_hash) {
            (Some(password), _) => Ok(password.as_bytes().ct_eq(typed).into()),
            (None, Some(hash)) => Ok(std::str::from_utf8(typed)
                .is_ok_and(|typed| password::nt_hash(typed).ct_eq(&hash).into())),
            (None, None) => Err(Unusable),
        }
    }
}

/// The method wants another form of the password than is known.
struct Unusable;

/// Without what it is about.
impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(credential)")
    }
}

/// What a [`Conversation`] needs of the world for one step.
pub struct Around<'a> {
    /// Who is who.
    pub directory: &'a dyn Directory,
    /// Fills its argument with random octets that nobody can guess.
    pub random: &'a mut dyn FnMut(&mut [u8]),
    /// Seconds since 1970: for the validity of certificates and the age of sessions.
    pub now: u64,
    /// The longest EAP packet that may go out, in octets; see [`message::len_max`].
    pub len_max: usize,
}

impl Around<'_> {
    fn random<const N: usize>(&mut self) -> [u8; N] {
        let mut octets = [0; N];
        (self.random)(&mut octets);
        octets
    }
}

impl fmt::Debug for Around<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Around").field("now", &self.now).field("len_max", &self.len_max).finish()
    }
}

/// What goes back to the peer, and in which RADIUS packet.
#[derive(Debug)]
pub enum Step {
    /// An EAP-Request in an Access-Challenge.
    Challenge(Vec<u8>),
    /// The peer is who it says it is: EAP-Success in an Access-Accept, if it may come in.
    Success(Success),
    /// EAP-Failure in an Access-Reject.
    Failure(Failure),
}

/// Somebody has proved who it is.
#[derive(Debug)]
pub struct Success {
    /// EAP-Success.
    pub packet: [u8; 4],
    /// Who it is: the name inside the tunnel where there is one.
    pub identity: String,
    /// The (outer) method.
    pub method: Kind,
    /// For MS-MPPE-Send-Key and MS-MPPE-Recv-Key, where the method makes keys.
    pub keys: Option<Keys>,
    /// By a TLS session of before, without a password.
    pub is_resumed: bool,
}

/// Somebody has not proved who it is.
#[derive(Debug)]
pub struct Failure {
    /// EAP-Failure.
    pub packet: [u8; 4],
    /// Why.
    pub reason: Reason,
    /// Who it would have been, as far as that was said.
    pub identity: Option<String>,
    /// What TLS says about it.
    pub detail: Option<String>,
}

/// The keys of a login for the NAS. They do not print and are wiped when they go.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// MS-MPPE-Recv-Key: the first half of the MSK.
    pub recv: Vec<u8>,
    /// MS-MPPE-Send-Key: the second half of the MSK.
    pub send: Vec<u8>,
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.recv.zeroize();
        self.send.zeroize();
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(keys)")
    }
}

/// Why a conversation has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The name is nobody's.
    UnknownIdentity,
    /// The proof is wrong.
    WrongPassword,
    /// The method needs another form of the password than is known.
    Unusable,
    /// Octets that are not what the method says, or not in its order.
    Malformed,
    /// The peer wants none of the methods that are offered.
    NoCommonMethod,
    /// The two ends cannot agree on TLS, or the peer does not trust our certificate.
    Tls,
    /// The peer's certificate is not to be trusted: expired, or of another authority.
    Certificate,
    /// The certificate is good and nobody's.
    UnknownCertificate,
    /// More packets than any login needs.
    TooLong,
}

impl Reason {
    /// In a few words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownIdentity => "unknown identity",
            Self::WrongPassword => "wrong password",
            Self::Unusable => "password not known in the form that the method needs",
            Self::Malformed => "malformed EAP",
            Self::NoCommonMethod => "no EAP method in common",
            Self::Tls => "TLS handshake failed",
            Self::Certificate => "client certificate refused",
            Self::UnknownCertificate => "unknown client certificate",
            Self::TooLong => "endless EAP conversation",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
