//! What M-Pesa writes. Pure.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    super::{Behaviour, Moved, chance},
    Paid, Prompt,
};
use crate::{gateways::daraja::clock, token};

pub(super) fn paid(prompt: &Prompt, moved: &Moved) -> Value {
    // Ten shillings more than there are.
    let more = if prompt.behaviour == Behaviour::OtherAmount { 1000 } else { 0 };
    let cents = moved.cents + more;
    let phone: Value = if prompt.behaviour == Behaviour::Masked {
        masked(&moved.msisdn).into()
    } else {
        moved.msisdn.parse::<i64>().unwrap_or(0).into()
    };
    let date: i64 = clock::pack(moved.at).parse().unwrap_or(0);
    let mut items = vec![
        json!({ "Name": "Amount", "Value": shillings(cents) }),
        json!({ "Name": "MpesaReceiptNumber", "Value": moved.receipt }),
        json!({ "Name": "Balance" }),
        json!({ "Name": "TransactionDate", "Value": date }),
        json!({ "Name": "PhoneNumber", "Value": phone }),
    ];
    // Nobody has promised an order.
    if moved.receipt.ends_with(char::is_numeric) {
        items.reverse();
    }
    json!({ "Body": { "stkCallback": {
        "MerchantRequestID": prompt.merchant_request, "CheckoutRequestID": prompt.checkout,
        "ResultCode": 0, "ResultDesc": "The service request is processed successfully.",
        "CallbackMetadata": { "Item": items },
    } } })
}

pub(super) fn not_paid(prompt: &Prompt, code: &str) -> Value {
    // A number in some, a text in others.
    let code: Value = code.parse::<i64>().map_or_else(|_| code.into(), Value::from);
    json!({ "Body": { "stkCallback": {
        "MerchantRequestID": prompt.merchant_request, "CheckoutRequestID": prompt.checkout,
        "ResultCode": code, "ResultDesc": "It was not paid.",
    } } })
}

pub(super) fn answered(prompt: &Prompt, code: &str) -> Value {
    json!({
        "ResponseCode": "0",
        "ResponseDescription": "The service request has been accepted successsfully",
        "MerchantRequestID": prompt.merchant_request, "CheckoutRequestID": prompt.checkout,
        "ResultCode": code, "ResultDesc": "DS timeout user cannot be reached.",
    })
}

pub(super) fn validation(paid: &Paid<'_>) -> Value {
    json!({
        "TransactionType": "Pay Bill", "TransID": "", "TransTime": "",
        "TransAmount": format!("{}.{:02}", paid.cents / 100, paid.cents % 100),
        "BusinessShortCode": paid.shortcode, "BillRefNumber": paid.reference,
        "InvoiceNumber": "", "OrgAccountBalance": "", "ThirdPartyTransID": "",
        "MSISDN": masked(paid.msisdn), "FirstName": "JANE", "MiddleName": "", "LastName": "DOE",
    })
}

pub(super) fn confirmation(moved: &Moved, behaviour: Behaviour, seed: u64) -> Value {
    let hashed = chance::throw(seed, &moved.receipt, 2).is_multiple_of(2);
    let msisdn = if behaviour == Behaviour::Masked && hashed {
        token::hex(&Sha256::digest(moved.msisdn.as_bytes()))
    } else {
        masked(&moved.msisdn)
    };
    json!({
        "TransactionType": "Pay Bill", "TransID": moved.receipt,
        "TransTime": clock::pack(moved.at),
        "TransAmount": format!("{}.{:02}", moved.cents / 100, moved.cents % 100),
        "BusinessShortCode": moved.shortcode, "BillRefNumber": moved.reference,
        "InvoiceNumber": "", "OrgAccountBalance": "41880264.80", "ThirdPartyTransID": "",
        "MSISDN": msisdn, "FirstName": "JANE", "MiddleName": "", "LastName": "DOE",
    })
}

/// Of the list.
pub(super) fn row(moved: &Moved) -> Value {
    json!({
        "transactionId": moved.receipt,
        // It means Nairobi, and says Greenwich.
        "trxDate": clock::write(moved.at).replace(' ', "T") + "Z",
        "msisdn": masked(&moved.msisdn), "sender": "MPESA",
        "transactiontype": "c2b-pay-bill-debit", "billreference": moved.reference,
        "amount": format!("{}.{:02}", moved.cents / 100, moved.cents % 100),
        "organizationname": "Daraja Pull API Test",
    })
}

/// A number, as M-Pesa writes amounts that are whole in some places.
fn shillings(cents: i64) -> Value {
    let text = format!("{}.{:02}", cents / 100, cents % 100);
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

pub(super) fn masked(msisdn: &str) -> String {
    let head: String = msisdn.chars().take(5).collect();
    let tail: String = msisdn.chars().skip(9).collect();
    format!("{head}****{tail}")
}
