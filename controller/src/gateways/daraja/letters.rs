//! What M-Pesa calls back. Pure. Nothing of it is signed.

use serde_json::Value;

use super::{
    super::{
        Channel, Collected, Done, Fact, Letter, Unreadable, Verdict,
        said::{receipt, shillings, text, text_at},
    },
    clock, codes,
};
use crate::billing::Cents;

pub(super) fn read(letter: &Letter<'_>) -> Result<Vec<Fact>, Unreadable> {
    let body: Value = serde_json::from_slice(letter.raw)?;
    let fact = match letter.channel {
        Channel::Stk => prompt(&body)?,
        Channel::C2b => Fact::Collected(confirmation(&body)?),
        // A question, which was answered at the door; and that another question is needed.
        Channel::Check | Channel::StatusLate => return Ok(Vec::new()),
        Channel::B2c => Fact::PaidOut(payout(&body)?),
        Channel::Status => Fact::PaidOut(status(&body)?),
        Channel::B2cLate => Fact::PaidOut(Done::Unknown),
        Channel::Back => Fact::GivenBack(reversal(&body)?),
        Channel::BackLate => Fact::GivenBack(Done::Unknown),
        Channel::Hook => return Err(Unreadable::Channel),
    };
    Ok(vec![fact])
}

/// What came of a prompt: `Body.stkCallback`.
fn prompt(body: &Value) -> Result<Fact, Unreadable> {
    let said = body.pointer("/Body/stkCallback").ok_or(Unreadable::Field("Body.stkCallback"))?;
    let code = text_at(said, "/ResultCode").ok_or(Unreadable::Field("ResultCode"))?;
    let provider_ref = text_at(said, "/CheckoutRequestID");
    if code != "0" {
        let verdict = codes::of_prompt(&code);
        return Ok(Fact::NotCollected { intent: None, provider_ref, code, verdict });
    }
    let items = said.pointer("/CallbackMetadata/Item").and_then(Value::as_array);
    let items = items.ok_or(Unreadable::Field("CallbackMetadata.Item"))?;
    // By name: their order and number differ from one machine to another.
    let item = |name: &str| {
        let named = |item: &&Value| item.get("Name").and_then(Value::as_str) == Some(name);
        items.iter().find(named).and_then(|item| item.get("Value"))
    };
    let amount = item("Amount").and_then(shillings).ok_or(Unreadable::Field("Amount"))?;
    Ok(Fact::Claimed(Collected {
        receipt: receipt(item("MpesaReceiptNumber").and_then(text), "MpesaReceiptNumber")?,
        amount,
        paid_at: item("TransactionDate").and_then(text).and_then(|text| clock::packed(&text)),
        reference: None,
        provider_ref,
        payer: item("PhoneNumber").and_then(text),
        intent: None,
    }))
}

/// Somebody wants to pay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) shortcode: String,
    pub(crate) amount: Cents,
    pub(crate) reference: Option<String>,
}

pub(crate) fn question(raw: &[u8]) -> Result<Question, Unreadable> {
    let body: Value = serde_json::from_slice(raw)?;
    let field = |pointer, name| text_at(&body, pointer).ok_or(Unreadable::Field(name));
    Ok(Question {
        shortcode: field("/BusinessShortCode", "BusinessShortCode")?,
        amount: body
            .get("TransAmount")
            .and_then(shillings)
            .ok_or(Unreadable::Field("TransAmount"))?,
        reference: text_at(&body, "/BillRefNumber"),
    })
}

/// Somebody has paid to the paybill.
fn confirmation(body: &Value) -> Result<Collected, Unreadable> {
    let name = |field: &str| body.get(field).and_then(Value::as_str).unwrap_or_default().trim();
    let names = [name("FirstName"), name("MiddleName"), name("LastName")];
    let names: Vec<_> = names.into_iter().filter(|name| !name.is_empty()).collect();
    let payer = [names.join(" "), name("MSISDN").to_owned()].join(" ");
    let payer: String = payer.trim().chars().take(PAYER_MAX).collect();
    Ok(Collected {
        receipt: receipt(text_at(body, "/TransID"), "TransID")?,
        amount: body
            .get("TransAmount")
            .and_then(shillings)
            .ok_or(Unreadable::Field("TransAmount"))?,
        paid_at: text_at(body, "/TransTime").and_then(|text| clock::packed(&text)),
        reference: text_at(body, "/BillRefNumber"),
        provider_ref: None,
        payer: Some(payer).filter(|payer| !payer.is_empty()),
        intent: None,
    })
}

/// A row of what came in.
pub(super) fn pulled(row: &Value) -> Result<Collected, Unreadable> {
    Ok(Collected {
        receipt: receipt(text_at(row, "/transactionId"), "transactionId")?,
        amount: row.get("amount").and_then(shillings).ok_or(Unreadable::Field("amount"))?,
        paid_at: text_at(row, "/trxDate").and_then(|text| clock::written(&text)),
        reference: text_at(row, "/billreference"),
        provider_ref: None,
        payer: text_at(row, "/sender").or_else(|| text_at(row, "/msisdn")),
        intent: None,
    })
}

fn result(body: &Value) -> Result<(&Value, String), Unreadable> {
    let result = body.get("Result").ok_or(Unreadable::Field("Result"))?;
    let code = text_at(result, "/ResultCode").ok_or(Unreadable::Field("ResultCode"))?;
    Ok((result, code))
}

fn parameter(result: &Value, key: &str) -> Option<String> {
    let list = result.pointer("/ResultParameters/ResultParameter")?.as_array()?;
    let named = |item: &&Value| item.get("Key").and_then(Value::as_str) == Some(key);
    list.iter().find(named).and_then(|item| item.get("Value")).and_then(text)
}

fn ended(
    code: String,
    provider_txn: impl FnOnce() -> Result<Done, Unreadable>,
) -> Result<Done, Unreadable> {
    if code == "0" {
        return provider_txn();
    }
    Ok(match codes::of_result(&code) {
        Verdict::Failed => Done::Failed { code },
        Verdict::Unknown | Verdict::Pending => Done::Unknown,
    })
}

fn payout(body: &Value) -> Result<Done, Unreadable> {
    let (result, code) = result(body)?;
    ended(code, || {
        let txn = parameter(result, "TransactionReceipt");
        let txn = txn.or_else(|| text_at(result, "/TransactionID"));
        Ok(Done::Paid { provider_txn: receipt(txn, "TransactionReceipt")? })
    })
}

/// What became of a payout that nobody answered for.
fn status(body: &Value) -> Result<Done, Unreadable> {
    let (result, code) = result(body)?;
    // That the question failed says nothing about the payout.
    if code != "0" {
        return Ok(Done::Unknown);
    }
    match parameter(result, "TransactionStatus").as_deref() {
        Some("Completed") => {
            let txn = parameter(result, "ReceiptNo");
            Ok(Done::Paid { provider_txn: receipt(txn, "ReceiptNo")? })
        }
        Some(status @ ("Cancelled" | "Declined" | "Expired" | "Failed")) => {
            Ok(Done::Failed { code: status.to_owned() })
        }
        Some(_) | None => Ok(Done::Unknown),
    }
}

fn reversal(body: &Value) -> Result<Done, Unreadable> {
    let (result, code) = result(body)?;
    // R000001: it was given back before, which is what was wanted.
    let code = if code == "R000001" { "0".to_owned() } else { code };
    ended(code, || {
        Ok(Done::Paid {
            provider_txn: receipt(text_at(result, "/TransactionID"), "TransactionID")?,
        })
    })
}

const PAYER_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::billing::Cents;

    fn letter(channel: Channel, body: &Value) -> Result<Vec<Fact>, Unreadable> {
        let raw = body.to_string();
        let headers = BTreeMap::new();
        let received_at = Timestamp::UNIX_EPOCH;
        read(&Letter { channel, raw: raw.as_bytes(), headers: &headers, received_at })
    }

    #[test]
    fn items_are_read_by_name() {
        let items = json!([
            { "Name": "PhoneNumber", "Value": 254_712_345_678_i64 }, { "Name": "Balance" },
            { "Name": "TransactionDate", "Value": 20_261_122_143_022_i64 },
            { "Name": "MpesaReceiptNumber", "Value": "SKL7RT61SV" },
            { "Name": "Amount", "Value": 50.00 },
        ]);
        let body = json!({ "Body": { "stkCallback": {
            "MerchantRequestID": "1", "CheckoutRequestID": "ws_CO_1", "ResultCode": 0,
            "ResultDesc": "", "CallbackMetadata": { "Item": items } } } });
        let facts = letter(Channel::Stk, &body).unwrap();
        let [Fact::Claimed(paid)] = facts.as_slice() else { panic!("{facts:?}") };
        assert_eq!(paid.receipt.as_str(), "SKL7RT61SV");
        assert_eq!(paid.amount, Cents::new(5000));
        assert_eq!(paid.provider_ref.as_deref(), Some("ws_CO_1"));
        assert_eq!(paid.paid_at, Some("2026-11-22T11:30:22Z".parse().unwrap()));
    }

    #[test]
    fn a_code_may_be_a_number_or_a_text() {
        for (code, want) in [
            (json!(1032), Verdict::Failed),
            (json!("SFC_IC0003"), Verdict::Failed),
            (json!(7777), Verdict::Unknown),
        ] {
            let body = json!({ "Body": { "stkCallback": {
                "CheckoutRequestID": "ws_CO_1", "ResultCode": code } } });
            let facts = letter(Channel::Stk, &body).unwrap();
            let [Fact::NotCollected { verdict, .. }] = facts.as_slice() else {
                panic!("{facts:?}")
            };
            assert_eq!(*verdict, want);
        }
    }

    #[test]
    fn a_confirmation_says_what_was_typed_and_by_whom() {
        let body = json!({
            "TransactionType": "Pay Bill", "TransID": "TK60708BHZ", "TransTime": "20251106230212",
            "TransAmount": "1.00", "BusinessShortCode": "600995", "BillRefNumber": "UM001",
            "InvoiceNumber": "", "OrgAccountBalance": "41880264.80", "ThirdPartyTransID": "",
            "MSISDN": "94c392", "FirstName": "JANE", "MiddleName": "", "LastName": "DOE",
        });
        let facts = letter(Channel::C2b, &body).unwrap();
        let [Fact::Collected(paid)] = facts.as_slice() else { panic!("{facts:?}") };
        assert_eq!((paid.receipt.as_str(), paid.amount), ("TK60708BHZ", Cents::new(100)));
        assert_eq!(paid.reference.as_deref(), Some("UM001"));
        assert_eq!(paid.payer.as_deref(), Some("JANE DOE 94c392"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let without = letter(Channel::C2b, &json!({ "TransAmount": "1.00" })).unwrap_err();
        assert_eq!(without.to_string(), "`TransID` is missing, or not as it should be");
        assert!(matches!(letter(Channel::Stk, &json!([])), Err(Unreadable::Field(_))));
        assert!(matches!(letter(Channel::Hook, &json!({})), Err(Unreadable::Channel)));
        let headers = BTreeMap::new();
        let received_at = Timestamp::UNIX_EPOCH;
        let raw = Letter { channel: Channel::Stk, raw: b"<html>", headers: &headers, received_at };
        assert!(matches!(read(&raw), Err(Unreadable::NotJson(_))));
    }

    #[test]
    fn a_payout_is_paid_failed_or_unknown() {
        let body = |code: Value| {
            json!({ "Result": { "ResultCode": code, "TransactionID": "SG632NMFTE",
            "ResultParameters": { "ResultParameter": [
                { "Key": "TransactionReceipt", "Value": "SG632NMFTE" }] } } })
        };
        let of = |code: Value| letter(Channel::B2c, &body(code)).unwrap().pop().unwrap();
        let provider_txn = "SG632NMFTE".parse().unwrap();
        assert_eq!(of(json!(0)), Fact::PaidOut(Done::Paid { provider_txn }));
        assert_eq!(of(json!("2040")), Fact::PaidOut(Done::Failed { code: "2040".to_owned() }));
        assert_eq!(of(json!(7777)), Fact::PaidOut(Done::Unknown));
    }
}
