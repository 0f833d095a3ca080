//! What M-Pesa answers at once. Pure. A refusal is told from silence: only what was refused for
//! certain may be sent again.

use std::time::Duration;

use serde_json::Value;
use shared::secret::Secret;

use super::{
    super::{Answer, AskError, Submit, Verdict, said::text_at, wire::Said},
    codes,
};

pub(super) fn error_code(said: &Said) -> Option<&str> {
    said.body.get("errorCode")?.as_str()
}

/// The token, and how long it lives.
pub(super) fn token(said: &Said) -> Option<(Secret, Duration)> {
    let token = said.body.get("access_token")?.as_str()?;
    // A text in one copy of the manual, a number in another.
    let seconds = text_at(&said.body, "/expires_in")?.parse().ok()?;
    Some((Secret::new(token.to_owned()), Duration::from_secs(seconds)))
}

pub(super) fn prompt(said: &Said) -> Submit {
    match (text_at(&said.body, "/ResponseCode"), text_at(&said.body, "/CheckoutRequestID")) {
        (Some(code), Some(provider_ref)) if code == "0" => {
            Submit::Accepted { provider_ref, pay_url: None }
        }
        (Some(code), _) if code != "0" => Submit::Refused { code, again: false },
        (Some(_) | None, _) => refused(said),
    }
}

/// A payout or a reversal.
pub(super) fn submitted(said: &Said) -> Submit {
    match (text_at(&said.body, "/ResponseCode"), text_at(&said.body, "/ConversationID")) {
        (Some(code), Some(provider_ref)) if code == "0" => {
            Submit::Accepted { provider_ref, pay_url: None }
        }
        (Some(code), _) if code != "0" => Submit::Refused { code, again: false },
        (Some(_) | None, _) => refused(said),
    }
}

fn refused(said: &Said) -> Submit {
    let Some(code) = error_code(said) else { return Submit::NoAnswer };
    let text = said.body.get("errorMessage").and_then(Value::as_str).unwrap_or_default();
    let refused = |again| Submit::Refused { code: code.to_owned(), again };
    match code {
        // Too many at once.
        "500.003.02" | "500.003.03" => refused(true),
        // Many things are called so. Of one it is certain that nothing was done: the payer is busy
        // with another prompt.
        "500.001.1001" if text.contains("lock subscriber") => refused(true),
        // It was taken before, under the same id.
        "500.002.1001" if text.contains("Duplicate") => Submit::NoAnswer,
        _ if code.starts_with("400.") || code.starts_with("404.") || code.starts_with("405.") => {
            refused(false)
        }
        _ => Submit::NoAnswer,
    }
}

pub(super) fn query(said: &Said) -> Answer {
    let Some(code) = text_at(&said.body, "/ResultCode") else { return Answer::NoAnswer };
    if code == "0" {
        return Answer::Paid { receipt: None, amount: None };
    }
    match codes::of_query(&code) {
        Verdict::Failed => Answer::Failed { code },
        Verdict::Pending => Answer::Pending,
        Verdict::Unknown => Answer::NoAnswer,
    }
}

/// Rows in a list in a list.
pub(super) fn rows(said: &Said) -> Result<Vec<Value>, AskError> {
    let code = text_at(&said.body, "/ResponseCode");
    if !matches!(code.as_deref(), Some("1000" | "1001" | "0")) {
        return Err(AskError::Refused(reason(said)));
    }
    let mut rows = Vec::new();
    for part in said.body.get("Response").and_then(Value::as_array).into_iter().flatten() {
        match part {
            Value::Array(inner) => rows.extend(inner.iter().cloned()),
            Value::Object(_) => rows.push(part.clone()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    Ok(rows)
}

pub(super) fn taken(said: &Said) -> Result<(), AskError> {
    match text_at(&said.body, "/ResponseCode").as_deref() {
        Some("0" | "00000000") => Ok(()),
        Some(_) | None => Err(AskError::Refused(reason(said))),
    }
}

pub(super) fn pull_registered(said: &Said) -> Result<(), AskError> {
    match text_at(&said.body, "/ResponseStatus").as_deref() {
        // 1001: it was before.
        Some("1000" | "1001") => Ok(()),
        Some(_) | None => Err(AskError::Refused(reason(said))),
    }
}

fn reason(said: &Said) -> String {
    let text = ["/errorMessage", "/ResponseDescription", "/ResponseMessage"];
    let text = text.iter().find_map(|pointer| text_at(&said.body, pointer));
    text.unwrap_or_else(|| format!("HTTP {}", said.status.as_u16()))
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;
    use serde_json::json;

    use super::*;

    fn said(status: u16, body: Value) -> Said {
        Said { status: StatusCode::from_u16(status).unwrap(), body }
    }

    fn error(code: &str, text: &str) -> Said {
        said(500, json!({ "requestId": "1", "errorCode": code, "errorMessage": text }))
    }

    #[test]
    fn only_what_was_refused_for_certain_may_be_sent_again() {
        let again = |code: &str| Submit::Refused { code: code.to_owned(), again: true };
        let never = |code: &str| Submit::Refused { code: code.to_owned(), again: false };
        let busy = "Unable to lock subscriber, a transaction is already in process";
        for (code, text, want) in [
            ("500.003.02", "Spike arrest violation", again("500.003.02")),
            ("500.001.1001", busy, again("500.001.1001")),
            ("500.001.1001", "The transaction is being processed", Submit::NoAnswer),
            ("400.002.02", "Bad Request - Invalid CallBackURL", never("400.002.02")),
            ("500.002.1001", "Duplicate OriginatorConversationID.", Submit::NoAnswer),
            ("503", "", Submit::NoAnswer),
        ] {
            assert_eq!(prompt(&error(code, text)), want, "{code} {text}");
        }
        assert_eq!(prompt(&said(200, json!({}))), Submit::NoAnswer);
    }

    #[test]
    fn a_question_has_an_answer_or_none() {
        let of =
            |code: Value| query(&said(200, json!({ "ResponseCode": "0", "ResultCode": code })));
        assert_eq!(of(json!("0")), Answer::Paid { receipt: None, amount: None });
        assert_eq!(of(json!(1032)), Answer::Failed { code: "1032".to_owned() });
        assert_eq!(of(json!("4999")), Answer::Pending);
        assert_eq!(of(json!("7777")), Answer::NoAnswer);
        assert_eq!(
            query(&error("500.001.1001", "The transaction does not Exist")),
            Answer::NoAnswer
        );
    }

    #[test]
    fn a_life_is_a_text_or_a_number() {
        for life in [json!("3599"), json!(3599)] {
            let said = said(200, json!({ "access_token": "x", "expires_in": life }));
            assert_eq!(token(&said).unwrap().1, Duration::from_secs(3599));
        }
    }
}
