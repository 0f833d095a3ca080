//! Why somebody may not log in, for the journal and for the person (pure).

use radius::eap::Reason;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    NoUsername,
    Malformed,
    /// The password is not known in the form that this method needs, or none was sent.
    Unusable,
    UnknownSubscriber,
    UnknownDevice,
    WrongPassword,
    Blocked,
    UsedUp,
    TooManyDevices,
    /// An EAP packet of a conversation that is over, or was never begun.
    Stale,
    /// The peer has stopped in the middle.
    Unfinished,
    NoCommonMethod,
    Tls,
    Certificate,
    UnknownCertificate,
    Endless,
}

impl Refusal {
    /// For the journal.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::NoUsername => "no username",
            Self::Malformed => "malformed password",
            Self::Unusable => "password not known in the form that the method needs",
            Self::UnknownSubscriber => "unknown subscriber",
            Self::UnknownDevice => "unknown device",
            Self::WrongPassword => "wrong password",
            Self::Blocked => "blocked",
            Self::UsedUp => "used up",
            Self::TooManyDevices => "too many devices",
            Self::Stale => "unknown EAP conversation",
            Self::Unfinished => "EAP conversation not finished",
            Self::NoCommonMethod => "no EAP method in common",
            Self::Tls => "TLS handshake failed",
            Self::Certificate => "client certificate refused",
            Self::UnknownCertificate => "unknown client certificate",
            Self::Endless => "endless EAP conversation",
        }
    }

    /// For the person who logs in. It does not tell a stranger which usernames there are.
    pub(in crate::radius) const fn message(self) -> &'static str {
        match self {
            Self::NoUsername => "Please enter your username.",
            Self::Malformed | Self::Unusable | Self::UnknownSubscriber | Self::WrongPassword => {
                "Wrong username or password."
            }
            Self::UnknownDevice => "This device is not registered.",
            Self::Blocked => "Your access is blocked. Please contact your provider.",
            Self::UsedUp => "Your plan is used up. Please renew it.",
            Self::TooManyDevices => {
                "Too many of your devices are on-line. Please disconnect one and try again."
            }
            Self::Stale | Self::Unfinished => "The login took too long. Please try again.",
            Self::NoCommonMethod | Self::Tls | Self::Endless => {
                "The login has failed. Please check the network settings of this device."
            }
            Self::Certificate | Self::UnknownCertificate => {
                "The certificate of this device is not accepted."
            }
        }
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::UnknownIdentity => Self::UnknownSubscriber,
            Reason::WrongPassword => Self::WrongPassword,
            Reason::Unusable => Self::Unusable,
            Reason::Malformed => Self::Malformed,
            Reason::NoCommonMethod => Self::NoCommonMethod,
            Reason::Tls => Self::Tls,
            Reason::Certificate => Self::Certificate,
            Reason::UnknownCertificate => Self::UnknownCertificate,
            Reason::TooLong => Self::Endless,
        }
    }
}
