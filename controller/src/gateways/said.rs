//! What all providers write in their JSON, read without floats. Pure.

use serde_json::Value;

use super::Unreadable;
use crate::{billing::Cents, words::Receipt};

/// Shillings with or without cents, as text or as a number: `"50"`, `50.0`, `"1,500.00"`.
pub(crate) fn shillings(value: &Value) -> Option<Cents> {
    let text = text(value)?.replace(',', "");
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    // A third decimal would be a part of a cent.
    let (cents, rest) = part.split_at_checked(2).unwrap_or((part, ""));
    if whole.is_empty() || !digits(whole) || !digits(cents) || rest.bytes().any(|b| b != b'0') {
        return None;
    }
    let cents: i64 = format!("{cents:0<2}").parse().ok()?;
    let whole: i64 = whole.parse().ok()?;
    whole.checked_mul(100)?.checked_add(cents).map(Cents::new)
}

/// Text, or a number as its text; neither empty.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

pub(super) fn text_at(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer).and_then(text)
}

pub(super) fn receipt(text: Option<String>, field: &'static str) -> Result<Receipt, Unreadable> {
    text.and_then(|text| text.parse().ok()).ok_or(Unreadable::Field(field))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn amounts_are_read_to_the_cent() {
        for (value, want) in [
            (json!("50"), Some(5000)),
            (json!(50), Some(5000)),
            (json!(50.0), Some(5000)),
            (json!("1,500.05"), Some(150_005)),
            (json!("0.5"), Some(50)),
            (json!("1.000"), Some(100)),
            (json!("1.001"), None),
            (json!("-1"), None),
            (json!("1e3"), None),
            (json!(""), None),
            (json!(".5"), None),
            (json!(null), None),
            (json!("92233720368547758.08"), None),
        ] {
            assert_eq!(shillings(&value), want.map(Cents::new), "{value}");
        }
    }
}
