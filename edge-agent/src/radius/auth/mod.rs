//! Who may log in: the desired state and a genuine Access-Request, nothing else (pure).
//!
//! What takes one packet (PAP, CHAP, MS-CHAP, MAC addresses) is decided here; EAP, which takes
//! several, ends here: [`may_come_in`].

use std::sync::Arc;

use radius::{Attr, AttrType, Packet, Password, Secret};
use shared::{
    net::Mac,
    wire::latest::desired::{Class, Subscriber},
};

use crate::desired::Snapshot;

mod credential;
mod refusal;
pub(super) mod reply;

use self::credential::{Credential, Match};
pub(super) use self::credential::{Proof, nt_hash_of};
pub(crate) use self::refusal::Refusal;

#[derive(Debug)]
pub(super) enum Verdict {
    Accept(Accept, Proof),
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

/// Decides about an Access-Request without EAP that was verified with `secret`.
pub(super) fn decide(snapshot: &Snapshot, request: &Packet<'_>, secret: &Secret) -> Verdict {
    let decided = recognise(snapshot, request, secret);
    match decided.and_then(|(accept, proof)| Ok((may_come_in(accept)?, proof))) {
        Ok((accept, proof)) => Verdict::Accept(accept, proof),
        Err(refusal) => Verdict::Reject(refusal),
    }
}

/// Decides about who has typed a password at this host itself.
pub(crate) fn decide_typed(
    snapshot: &Snapshot,
    username: &str,
    password: Password,
) -> Result<Arc<Subscriber>, Refusal> {
    let subscriber = snapshot.identified(username).ok_or(Refusal::UnknownSubscriber)?;
    match Credential::Password(password).of_subscriber(username, subscriber) {
        Match::Right(_) => {}
        Match::Wrong => return Err(Refusal::WrongPassword),
        Match::Unusable => return Err(Refusal::Unusable),
    }
    let subscriber = Arc::clone(subscriber);
    Ok(may_come_in(Accept { subscriber, mac: None, by: By::Password })?.subscriber)
}

fn recognise(
    snapshot: &Snapshot,
    request: &Packet<'_>,
    secret: &Secret,
) -> Result<(Accept, Proof), Refusal> {
    let username = request.attr(AttrType::USER_NAME).ok_or(Refusal::NoUsername)?;
    // A name that is not text is nobody's.
    let username = username.text().ok_or(Refusal::UnknownSubscriber)?;
    let credential = Credential::of(request, secret)?;
    let calling = request.attr(AttrType::CALLING_STATION_ID).and_then(mac);

    let refusal = match snapshot.identified(username) {
        None => Refusal::UnknownSubscriber,
        Some(subscriber) => match credential.of_subscriber(username, subscriber) {
            Match::Right(proof) => {
                let subscriber = Arc::clone(subscriber);
                return Ok((Accept { subscriber, mac: calling, by: By::Password }, proof));
            }
            Match::Wrong => Refusal::WrongPassword,
            Match::Unusable => Refusal::Unusable,
        },
    };
    if let Some(device) = device(username, calling)
        && credential.repeats(username, device)
    {
        let owner = snapshot.owner_of(device).ok_or(Refusal::UnknownDevice)?;
        let subscriber = Arc::clone(owner);
        return Ok((Accept { subscriber, mac: Some(device), by: By::Device }, Proof::Plain));
    }
    Err(refusal)
}

/// The device that calls itself by its MAC address.
pub(super) fn device(username: &str, calling: Option<Mac>) -> Option<Mac> {
    let device = username.parse().ok()?;
    // A login page lets people type what they like: the NAS says which device it is.
    calling.is_none_or(|calling| calling == device).then_some(device)
}

/// Somebody who was recognised: now, under today's terms?
pub(super) fn may_come_in(accept: Accept) -> Result<Accept, Refusal> {
    let subscriber = &accept.subscriber;
    match subscriber.class {
        Class::Active | Class::Throttled | Class::Garden => {}
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
        }
        if let Some(calling) = calling {
            writer.text(AttrType::CALLING_STATION_ID, calling);
        }
        let bytes = writer.sign(&secret).unwrap();
        let verdict = decide(&snapshot(), &Packet::decode(bytes).unwrap(), &secret);
        let got = match &verdict {
            Verdict::Accept(accept, _) => Ok(accept.subscriber.username.as_str()),
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
        check("amina", How::Nothing, None, Err(Refusal::Unusable));
        check("amina", How::BadPap, None, Err(Refusal::Malformed));
        check("amina", How::BadChap, None, Err(Refusal::Malformed));
    }

    #[test]
    fn a_hash_is_enough_for_pap() {
        check("windows", How::Pap("clientPass"), None, Ok("windows"));
        check("windows", How::Pap("clientpass"), None, Err(Refusal::WrongPassword));
        check("windows", How::Chap("clientPass"), None, Err(Refusal::Unusable));
        check("windows", How::Pap(""), None, Err(Refusal::WrongPassword));
    }

    #[test]
    fn who_has_only_devices_has_no_password() {
        for how in [How::Pap(""), How::Pap("simba")] {
            check("printer", how, None, Err(Refusal::WrongPassword));
        }
        check("printer", How::Chap(""), None, Err(Refusal::Unusable));
        check("printer", How::Nothing, None, Err(Refusal::Unusable));
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
