//! WISPr 1.0: how programs of roaming providers sign in without a person (pure).
//!
//! They find where in a comment of the page that every stranger is led to, send a form there, and
//! read XML. What they may and what they are told is as for people: see `login`.

use std::fmt::Write as _;

use super::words::{Language, Notice};

/// What a program has asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wispr {
    Login,
    Logoff,
    /// It does not want to any more; there is nothing to undo.
    Abort,
}

impl Wispr {
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Login => "/wispr",
            Self::Logoff => "/wispr/logoff",
            Self::Abort => "/wispr/abort",
        }
    }

    pub(super) fn at(path: &str) -> Option<Self> {
        [Self::Login, Self::Logoff, Self::Abort].into_iter().find(|it| it.path() == path)
    }

    pub(super) const fn methods(self) -> &'static str {
        match self {
            Self::Login => "POST",
            Self::Logoff | Self::Abort => "GET, HEAD, POST",
        }
    }

    /// Address at `origin`, with the proof that it was shown to this device.
    fn url(self, origin: &str, token: &str) -> String {
        format!("{origin}{}?token={token}", self.path())
    }
}

/// Where programs sign in, as a comment of a page. Neither argument has a sign that would have to
/// be escaped.
pub(super) fn invitation(origin: &str, token: &str) -> String {
    let message = message(
        "Redirect",
        &[
            ("AccessProcedure", "1.0"),
            ("LoginURL", &Wispr::Login.url(origin, token)),
            ("AbortLoginURL", &Wispr::Abort.url(origin, token)),
            ("MessageType", "100"),
            ("ResponseCode", "0"),
        ],
    );
    format!("<!--{message}-->")
}

/// What a program hears of `asked`.
pub(super) fn reply(asked: Wispr, done: Result<(), Notice>, origin: &str, token: &str) -> String {
    let logoff = Wispr::Logoff.url(origin, token);
    match (asked, done) {
        (Wispr::Login, Ok(())) => message(
            "AuthenticationReply",
            &[("MessageType", "120"), ("ResponseCode", "50"), ("LogoffURL", &logoff)],
        ),
        (Wispr::Login, Err(notice)) => message(
            "AuthenticationReply",
            &[
                ("MessageType", "120"),
                ("ResponseCode", refusal(notice)),
                ("ReplyMessage", notice.text(Language::English.words())),
            ],
        ),
        (Wispr::Logoff, done) => {
            let code = if done.is_ok() { "150" } else { INTERNAL };
            message("LogoffReply", &[("MessageType", "130"), ("ResponseCode", code)])
        }
        (Wispr::Abort, _) => {
            message("AbortLoginReply", &[("MessageType", "150"), ("ResponseCode", "151")])
        }
    }
}

const fn refusal(notice: Notice) -> &'static str {
    match notice {
        Notice::WrongPassword
        | Notice::Blocked
        | Notice::UsedUp
        | Notice::TooManyDevices
        | Notice::TooManyTries
        | Notice::Expired
        | Notice::DeviceUnknown => "100",
        Notice::Busy => INTERNAL,
    }
}

/// "Access gateway internal error".
const INTERNAL: &str = "255";

fn message(name: &str, fields: &[(&str, &str)]) -> String {
    let mut xml = format!("{HEAD}<{name}>");
    for (field, value) in fields {
        let _ = write!(xml, "<{field}>{value}</{field}>");
    }
    let _ = write!(xml, "</{name}></WISPAccessGatewayParam>");
    xml
}

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
    <WISPAccessGatewayParam xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
    xsi:noNamespaceSchemaLocation=\"http://www.acmewisp.com/WISPAccessGatewayParam.xsd\">";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_invitation_says_where_and_is_one_comment() {
        let html = invitation("https://p.example", "00ff");
        let inner = html.strip_prefix("<!--").unwrap().strip_suffix("-->").unwrap();
        assert!(!inner.contains("--"), "{inner}");
        for text in [
            "<LoginURL>https://p.example/wispr?token=00ff</LoginURL>",
            "<MessageType>100</MessageType><ResponseCode>0</ResponseCode></Redirect>",
        ] {
            assert!(inner.contains(text), "{text} in {inner}");
        }
    }

    #[test]
    fn each_outcome_has_its_code() {
        for (asked, done, kind, code) in [
            (Wispr::Login, Ok(()), 120, 50),
            (Wispr::Login, Err(Notice::WrongPassword), 120, 100),
            (Wispr::Login, Err(Notice::Busy), 120, 255),
            (Wispr::Logoff, Ok(()), 130, 150),
            (Wispr::Logoff, Err(Notice::Busy), 130, 255),
            (Wispr::Abort, Ok(()), 150, 151),
        ] {
            let xml = reply(asked, done, "http://10.0.0.1:2080", "00ff");
            let codes =
                format!("<MessageType>{kind}</MessageType><ResponseCode>{code}</ResponseCode>");
            assert!(xml.contains(&codes), "{codes} in {xml}");
            let leads_out = xml.contains("http://10.0.0.1:2080/wispr/logoff?token=00ff");
            assert_eq!(leads_out, asked == Wispr::Login && done.is_ok(), "{xml}");
        }
    }

    #[test]
    fn a_path_is_what_it_leads_to() {
        for asked in [Wispr::Login, Wispr::Logoff, Wispr::Abort] {
            assert_eq!(Wispr::at(asked.path()), Some(asked));
        }
        assert_eq!(Wispr::at("/wispr/"), None);
    }
}
