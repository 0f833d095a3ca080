//! What a device asks about its own captivity: RFC 8908 (pure).

use serde::Serialize;

use super::standing::{Line, Standing};

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct State<'a> {
    captive: bool,
    user_portal_url: &'a str,
    can_extend_session: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds_remaining: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_remaining: Option<u64>,
}

pub(super) const MEDIA_TYPE: &str = "application/captive+json";

pub(super) fn state(standing: &Standing, user_portal_url: &str) -> String {
    let (seconds_remaining, bytes_remaining) = match standing {
        Standing::OnLine(Line { seconds_left, bytes_left, .. }) => (*seconds_left, *bytes_left),
        Standing::Blocked | Standing::UsedUp | Standing::OffLine => (None, None),
    };
    // What is used up ends within the second.
    let is_used_up = seconds_remaining == Some(0) || bytes_remaining == Some(0);
    let captive = is_used_up || !matches!(standing, Standing::OnLine(_));
    let state = State {
        captive,
        user_portal_url,
        can_extend_session: false,
        // RFC 8908 §5: of who is captive, nothing remains that could be said.
        seconds_remaining: seconds_remaining.filter(|_| !captive),
        bytes_remaining: bytes_remaining.filter(|_| !captive),
    };
    serde_json::to_string(&state).expect("a state is plain text and numbers")
}

#[cfg(test)]
mod tests {
    use super::{super::standing::tests::line, *};

    const URL: &str = "http://10.0.0.1:2080/";

    #[track_caller]
    fn check(standing: &Standing, expected: &str) {
        let text = format!(r#""user-portal-url":"{URL}","can-extend-session":false"#);
        assert_eq!(state(standing, URL), expected.replace("...", &text));
    }

    #[test]
    fn who_is_on_line_hears_exactly_what_remains() {
        check(
            &Standing::OnLine(line()),
            r#"{"captive":false,...,"seconds-remaining":50,"bytes-remaining":266}"#,
        );
        let free = Line { seconds_left: None, bytes_left: None, ..line() };
        check(&Standing::OnLine(free), r#"{"captive":false,...}"#);
        let timed = Line { bytes_left: None, ..line() };
        check(&Standing::OnLine(timed), r#"{"captive":false,...,"seconds-remaining":50}"#);
    }

    #[test]
    fn of_who_is_captive_nothing_remains() {
        check(&Standing::OffLine, r#"{"captive":true,...}"#);
        check(&Standing::Blocked, r#"{"captive":true,...}"#);
        check(&Standing::UsedUp, r#"{"captive":true,...}"#);
        let over = Line { bytes_left: Some(0), ..line() };
        check(&Standing::OnLine(over), r#"{"captive":true,...}"#);
    }
}
