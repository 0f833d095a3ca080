//! Who may log in: the desired state and a genuine Access-Request, nothing else (pure).

use std::sync::Arc;

use radius::{Attr, AttrType, Packet, Password, Secret, password::Chap};
use shared::{
    net::Mac,
    wire::latest::desired::{Class, Subscriber},
};

use crate::desired::Snapshot;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Accept(Accept),
    Reject(Refusal),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Accept {
    pub(super) subscriber: Arc<Subscriber>,
    /// The device that logs in.
    pub(super) mac: Option<Mac>,
    pub(super) by: By,
}

/// What the subscriber was recognised by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Password,
    Device,
}

/// Why somebody may not log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    NoUsername,
    Malformed,
    Unsupported,
    UnknownSubscriber,
    UnknownDevice,
    WrongPassword,
    Blocked,
    UsedUp,
    TooManyDevices,
}

impl Refusal {
    /// For the journal.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::NoUsername => "no username",
            Self::Malformed => "malformed password",
            Self::Unsupported => "unsupported method",
            Self::UnknownSubscriber => "unknown subscriber",
            Self::UnknownDevice => "unknown device",
            Self::WrongPassword => "wrong password",
            Self::Blocked => "blocked",
            Self::UsedUp => "used up",
            Self::TooManyDevices => "too many devices",
        }
    }

    /// For the person who logs in. It does not tell a stranger which usernames there are.
    pub(super) const fn message(self) -> &'static str {
        match self {
            Self::NoUsername => "Please enter your username.",
            Self::Malformed | Self::UnknownSubscriber | Self::WrongPassword => {
                "Wrong username or password."
            }
            Self::Unsupported => "This way to log in is not supported. PAP and CHAP are.",
            Self::UnknownDevice => "This device is not registered.",
            Self::Blocked => "Your access is blocked. Please contact your provider.",
            Self::UsedUp => "Your plan is used up. Please renew it.",
            Self::TooManyDevices => {
                "Too many of your devices are on-line. Please disconnect one and try again."
            }
        }
    }
}

/// What somebody shows for a username.
enum Credential<'a> {
    Password(Password),
    Chap(Chap<'a>),
    /// Nothing, as NASes do that know a device by its MAC address.
    Absent,
}

impl<'a> Credential<'a> {
    fn of(request: &Packet<'a>, secret: &Secret) -> Result<Self, Refusal> {
        if request.attr(AttrType::EAP_MESSAGE).is_some() {
            return Err(Refusal::Unsupported);
        }
        let hidden = request.attr(AttrType::USER_PASSWORD).map_or(&[][..], |attr| attr.value);
        if !hidden.is_empty() {
            let password = Password::reveal(hidden, request.authenticator(), secret);
            return password.map(Self::Password).map_err(|_| Refusal::Malformed);
        }
        match (Chap::of(request), request.attr(AttrType::CHAP_PASSWORD)) {
            (Some(chap), _) => Ok(Self::Chap(chap)),
            (None, Some(_)) => Err(Refusal::Malformed),
            (None, None) => Ok(Self::Absent),
        }
    }

    fn is(&self, expected: &[u8]) -> bool {
        match self {
            Self::Password(typed) => typed.is(expected),
            Self::Chap(chap) => chap.is(expected),
            Self::Absent => false,
        }
    }

    fn is_of(&self, subscriber: &Subscriber) -> bool {
        let hash = || nt_hash_of(subscriber.nt_hash.as_ref()?.expose());
        match (&subscriber.password, self) {
            (Some(password), _) => self.is(password.expose().as_bytes()),
            (None, Self::Password(typed)) => hash().is_some_and(|hash| typed.has_nt_hash(&hash)),
            // CHAP needs the password itself.
            (None, Self::Chap(_) | Self::Absent) => false,
        }
    }

    /// MAC authentication: the password is the username again, in whatever spelling, or nothing.
    fn repeats(&self, username: &str, mac: Mac) -> bool {
        match self {
            Self::Password(typed) => {
                let typed = std::str::from_utf8(typed.as_bytes());
                typed.is_ok_and(|text| text.is_empty() || text.parse() == Ok(mac))
            }
            Self::Chap(chap) => chap.is(username.as_bytes()) || chap.is(b""),
            Self::Absent => true,
        }
    }
}

/// Decides about an Access-Request that was verified with `secret`.
pub(super) fn decide(snapshot: &Snapshot, request: &Packet<'_>, secret: &Secret) -> Verdict {
    match recognise(snapshot, request, secret).and_then(may_come_in) {
        Ok(accept) => Verdict::Accept(accept),
        Err(refusal) => Verdict::Reject(refusal),
    }
}

fn recognise(
    snapshot: &Snapshot,
    request: &Packet<'_>,
    secret: &Secret,
) -> Result<Accept, Refusal> {
    let username = request.attr(AttrType::USER_NAME).ok_or(Refusal::NoUsername)?;
    // A name that is not text is nobody's.
    let username = username.text().ok_or(Refusal::UnknownSubscriber)?;
    let credential = Credential::of(request, secret)?;
    let calling = request.attr(AttrType::CALLING_STATION_ID).and_then(mac);

    let subscriber = snapshot.subscriber(username);
    if let Some(subscriber) = subscriber
        && credential.is_of(subscriber)
    {
        let subscriber = Arc::clone(subscriber);
        return Ok(Accept { subscriber, mac: calling, by: By::Password });
    }
    if let Ok(device) = username.parse::<Mac>()
        && credential.repeats(username, device)
        // A login page lets people type what they like: the NAS says which device it is.
        && calling.is_none_or(|calling| calling == device)
    {
        let owner = snapshot.owner_of(device).ok_or(Refusal::UnknownDevice)?;
        let subscriber = Arc::clone(owner);
        return Ok(Accept { subscriber, mac: Some(device), by: By::Device });
    }
    Err(match (subscriber, credential) {
        (None, _) => Refusal::UnknownSubscriber,
        (Some(_), Credential::Absent) => Refusal::Unsupported,
        (Some(known), Credential::Chap(_)) if known.password.is_none() => Refusal::Unsupported,
        (Some(_), Credential::Password(_) | Credential::Chap(_)) => Refusal::WrongPassword,
    })
}

/// 32 hexadecimal digits.
fn nt_hash_of(text: &str) -> Option<[u8; 16]> {
    let bits = u128::from_str_radix(text, 16).ok()?;
    (text.len() == 32).then(|| bits.to_be_bytes())
}

fn may_come_in(accept: Accept) -> Result<Accept, Refusal> {
    let subscriber = &accept.subscriber;
    match subscriber.class {
        Class::Active => {}
        Class::Blocked => return Err(Refusal::Blocked),
    }
    if subscriber.data_bytes == Some(0) || subscriber.online_seconds == Some(0) {
        return Err(Refusal::UsedUp);
    }
    Ok(accept)
}

/// The MAC address in a Calling-Station-Id, if it is one.
pub(super) fn mac(attr: Attr<'_>) -> Option<Mac> {
    attr.text()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use radius::{Code, LEN_MAX, Writer, password};
    use shared::{
        rate::{Kbps, Shape},
        secret::Secret as Text,
        wire::latest::desired::Desired,
    };

    use super::*;

    fn subscriber(username: &str, password: Option<&str>) -> Subscriber {
        let shape =
            Shape { down_kbps: Kbps::new(10_000).unwrap(), up_kbps: Kbps::new(5_000).unwrap() };
        let password = password.map(|text| Text::new(text.to_owned()));
        Subscriber { password, ..Subscriber::new(username.to_owned(), shape) }
    }

    fn snapshot() -> Snapshot {
        let mac = |text: &str| text.parse().unwrap();
        let subscribers = vec![
            Subscriber {
                macs: vec![mac("02:00:00:00:00:01")],
                ..subscriber("amina", Some("simba"))
            },
            Subscriber { macs: vec![mac("02:00:00:00:00:02")], ..subscriber("printer", None) },
            Subscriber {
                nt_hash: Some(Text::new("44ebba8d5312b8d611474411f56989ae".to_owned())),
                ..subscriber("windows", None)
            },
            Subscriber { class: Class::Blocked, ..subscriber("late", Some("simba")) },
            Subscriber { data_bytes: Some(0), ..subscriber("empty", Some("simba")) },
            Subscriber { online_seconds: Some(0), ..subscriber("over", Some("simba")) },
        ];
        Snapshot::new(Desired { subscribers, ..Desired::default() }).unwrap()
    }

    #[derive(Clone, Copy)]
    enum How<'a> {
        Pap(&'a str),
        Chap(&'a str),
        Nothing,
        EmptyPap,
        BadPap,
        BadChap,
        Eap,
    }

    /// Who is recognised, or why nobody is.
    #[track_caller]
    fn check(username: &str, how: How<'_>, calling: Option<&str>, expected: Result<&str, Refusal>) {
        let (secret, nonce) = (Secret::new(b"testing123"), [7; 16]);
        let mut buffer = [0; LEN_MAX];
        let mut writer = Writer::request(&mut buffer, Code::ACCESS_REQUEST, 1, nonce);
        writer.text(AttrType::USER_NAME, username);
        match how {
            How::Pap(password) => {
                let (hidden, len) = password::hide(password.as_bytes(), &nonce, &secret).unwrap();
                writer.attr(AttrType::USER_PASSWORD, &hidden[..len]);
            }
            How::Chap(password) => {
                let answer = password::chap_answer(3, password.as_bytes(), &nonce);
                writer.attr(AttrType::CHAP_PASSWORD, &[&[3][..], &answer].concat());
            }
            How::Nothing => {}
            How::EmptyPap => {
                writer.attr(AttrType::USER_PASSWORD, b"");
            }
            How::BadPap => {
                writer.attr(AttrType::USER_PASSWORD, b"not a block");
            }
            How::BadChap => {
                writer.attr(AttrType::CHAP_PASSWORD, b"too short");
            }
            How::Eap => {
                writer.attr(AttrType::EAP_MESSAGE, b"\x02\x01\x00\x0a\x01amina");
            }
        }
        if let Some(calling) = calling {
            writer.text(AttrType::CALLING_STATION_ID, calling);
        }
        let bytes = writer.sign(&secret).unwrap();
        let verdict = decide(&snapshot(), &Packet::decode(bytes).unwrap(), &secret);
        let got = match &verdict {
            Verdict::Accept(accept) => Ok(accept.subscriber.username.as_str()),
            Verdict::Reject(refusal) => Err(*refusal),
        };
        assert_eq!(got, expected);
    }

    #[test]
    fn a_password_is_right_or_wrong() {
        check("amina", How::Pap("simba"), None, Ok("amina"));
        check("amina", How::Chap("simba"), None, Ok("amina"));
        check("amina", How::Pap("Simba"), None, Err(Refusal::WrongPassword));
        check("amina", How::Pap("simb"), None, Err(Refusal::WrongPassword));
        check("amina", How::Pap(""), None, Err(Refusal::WrongPassword));
        check("amina", How::Chap("Simba"), None, Err(Refusal::WrongPassword));
        check("nobody", How::Pap("simba"), None, Err(Refusal::UnknownSubscriber));
        check("Amina", How::Pap("simba"), None, Err(Refusal::UnknownSubscriber));
        check("", How::Pap("simba"), None, Err(Refusal::UnknownSubscriber));
        check("amina", How::Nothing, None, Err(Refusal::Unsupported));
        check("amina", How::Eap, None, Err(Refusal::Unsupported));
        check("amina", How::BadPap, None, Err(Refusal::Malformed));
        check("amina", How::BadChap, None, Err(Refusal::Malformed));
    }

    #[test]
    fn a_hash_is_enough_for_pap() {
        check("windows", How::Pap("clientPass"), None, Ok("windows"));
        check("windows", How::Pap("clientpass"), None, Err(Refusal::WrongPassword));
        check("windows", How::Chap("clientPass"), None, Err(Refusal::Unsupported));
        check("windows", How::Pap(""), None, Err(Refusal::WrongPassword));
    }

    #[test]
    fn who_has_only_devices_has_no_password() {
        for how in [How::Pap(""), How::Pap("simba")] {
            check("printer", how, None, Err(Refusal::WrongPassword));
        }
        check("printer", How::Chap(""), None, Err(Refusal::Unsupported));
        check("printer", How::Nothing, None, Err(Refusal::Unsupported));
    }

    #[test]
    fn a_device_logs_in_by_its_mac_in_every_spelling() {
        let mac = "02:00:00:00:00:02";
        for username in [mac, "02-00-00-00-00-02", "0200.0000.0002", "020000000002"] {
            check(username, How::Pap(username), None, Ok("printer"));
            check(username, How::Pap(mac), Some("02-00-00-00-00-02"), Ok("printer"));
            check(username, How::Chap(username), None, Ok("printer"));
            check(username, How::Chap(""), None, Ok("printer"));
            check(username, How::Nothing, Some(mac), Ok("printer"));
            check(username, How::EmptyPap, None, Ok("printer"));
            check(username, How::Pap(""), None, Ok("printer"));
        }
        check(mac, How::Pap("simba"), None, Err(Refusal::UnknownSubscriber));
        check(mac, How::Pap("02:00:00:00:00:01"), None, Err(Refusal::UnknownSubscriber));
        check(mac, How::Chap("simba"), None, Err(Refusal::UnknownSubscriber));
        let stranger = "02:00:00:00:00:99";
        check(stranger, How::Pap(stranger), None, Err(Refusal::UnknownDevice));
    }

    #[test]
    fn nobody_takes_the_mac_of_another_device_for_a_username() {
        let (mac, mine) = ("02:00:00:00:00:02", Some("02:00:00:00:00:77"));
        check(mac, How::Pap(mac), mine, Err(Refusal::UnknownSubscriber));
        check(mac, How::Nothing, mine, Err(Refusal::UnknownSubscriber));
    }

    #[test]
    fn who_is_blocked_or_has_nothing_left_stays_out() {
        check("late", How::Pap("simba"), None, Err(Refusal::Blocked));
        check("late", How::Pap("guess"), None, Err(Refusal::WrongPassword));
        check("empty", How::Pap("simba"), None, Err(Refusal::UsedUp));
        check("over", How::Chap("simba"), None, Err(Refusal::UsedUp));
    }
}
