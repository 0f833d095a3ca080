//! M-Pesa's payouts and reversals.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::{Behaviour, Moved, Reply, Sim, chance, courier::Word};

impl Sim {
    pub(super) fn pay_out(&self, bearer: Option<&str>, body: &Value) -> Reply {
        if let Some(refused) = self.refuse(bearer) {
            return refused;
        }
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
        let (id, msisdn) = (text("OriginatorConversationID"), text("PartyB"));
        let shillings: i64 = text("Amount").parse().unwrap_or(0);
        if id.is_empty() || msisdn.len() != 12 || !(10..=250_000).contains(&shillings) {
            return Reply::error(400, "400.002.02", "Bad Request - Invalid Amount");
        }
        if self.times(id, "payout") > 0 {
            return Reply::error(500, "500.002.1001", "Duplicate OriginatorConversationID.");
        }
        let behaviour = self.behaviour(msisdn);
        let conversation = format!("AG_{:012}", self.next_number());
        let moved = Moved {
            receipt: chance::receipt(self.seed, self.next_number()),
            shortcode: text("PartyA").to_owned(),
            msisdn: msisdn.to_owned(),
            cents: shillings * 100,
            reference: id.to_owned(),
            at: crate::clock::now(),
            reversed: false,
        };
        let (id, result, timeout) =
            (id.to_owned(), text("ResultURL").to_owned(), text("QueueTimeOutURL").to_owned());
        let sim = self.clone();
        let conversation_too = conversation.clone();
        self.courier.send(async move {
            sim.courier.wait(Duration::from_secs(3)).await;
            let code = if behaviour == Behaviour::NoMoney {
                1
            } else if behaviour == Behaviour::UnknownCode {
                7777
            } else {
                0
            };
            let maybe = chance::throw(sim.seed, &id, 1).is_multiple_of(2);
            let pays = code == 0 || (code == 7777 && maybe);
            if pays {
                sim.state().books.pay_out(id.clone(), moved.clone());
            }
            let said = ended(code, &id, &conversation_too, &moved);
            if behaviour == Behaviour::NobodyThere {
                // It was paid, and the queue did not wait for it.
                sim.tell(Word::unsigned(&timeout, said), 0);
            } else {
                sim.tell_as(behaviour, &Word::unsigned(&result, said));
            }
        });
        if behaviour == Behaviour::AnswerLost {
            return Reply::Lost;
        }
        Reply::ok(accepted(&conversation, text("OriginatorConversationID")))
    }

    pub(super) fn status(&self, bearer: Option<&str>, body: &Value) -> Reply {
        if let Some(refused) = self.refuse(bearer) {
            return refused;
        }
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
        let id = text("OriginalConversationID");
        let paid = self.state().books.paid_out(id).cloned();
        let conversation = format!("AG_{:012}", self.next_number());
        let said = match paid {
            Some(moved) => json!({ "Result": {
                "ResultType": 0, "ResultCode": 0, "ResultDesc": "Processed",
                "OriginatorConversationID": "", "ConversationID": conversation,
                "TransactionID": moved.receipt,
                "ResultParameters": { "ResultParameter": [
                    { "Key": "DebitPartyName", "Value": "600997 - KenNet" },
                    { "Key": "ReceiptNo", "Value": moved.receipt },
                    { "Key": "TransactionStatus", "Value": "Completed" },
                    { "Key": "Amount", "Value": moved.cents / 100 },
                ] },
            } }),
            None => json!({ "Result": {
                "ResultType": 0, "ResultCode": 2006, "ResultDesc": "There is no such transaction",
                "ConversationID": conversation,
            } }),
        };
        self.tell(Word::unsigned(text("ResultURL"), said), 2);
        Reply::ok(accepted(&conversation, ""))
    }

    pub(super) fn reverse(&self, bearer: Option<&str>, body: &Value) -> Reply {
        if let Some(refused) = self.refuse(bearer) {
            return refused;
        }
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
        let conversation = format!("AG_{:012}", self.next_number());
        let before = {
            let mut state = self.state();
            state
                .books
                .find_mut(text("TransactionID"))
                .map(|moved| (std::mem::replace(&mut moved.reversed, true), moved.msisdn.clone()))
        };
        let (code, msisdn): (Value, _) = match before {
            None => ("R000002".into(), String::new()),
            Some((true, msisdn)) => ("R000001".into(), msisdn),
            Some((false, msisdn)) => (0.into(), msisdn),
        };
        let receipt = chance::receipt(self.seed, self.next_number());
        let said = json!({ "Result": {
            "ResultType": 0, "ResultCode": code, "ResultDesc": "Processed",
            "ConversationID": conversation, "TransactionID": receipt,
            "ResultParameters": { "ResultParameter": [
                { "Key": "OriginalTransactionID", "Value": text("TransactionID") },
                { "Key": "Charge", "Value": 0 },
            ] },
        } });
        self.tell_as(Behaviour::of(&msisdn), &Word::unsigned(text("ResultURL"), said));
        Reply::ok(accepted(&conversation, ""))
    }
}

fn accepted(conversation: &str, originator: &str) -> Value {
    json!({
        "ConversationID": conversation, "OriginatorConversationID": originator,
        "ResponseCode": "0", "ResponseDescription": "Accept the service request successfully.",
    })
}

fn ended(code: i32, id: &str, conversation: &str, moved: &Moved) -> Value {
    let mut result = json!({
        "ResultType": 0, "ResultCode": code, "ResultDesc": "Processed",
        "OriginatorConversationID": id, "ConversationID": conversation,
        "TransactionID": moved.receipt,
        "ReferenceData": { "ReferenceItem": { "Key": "QueueTimeoutURL", "Value": "" } },
    });
    if code == 0 {
        let parameters = json!({ "ResultParameter": [
            { "Key": "TransactionAmount", "Value": moved.cents / 100 },
            { "Key": "TransactionReceipt", "Value": moved.receipt },
            { "Key": "ReceiverPartyPublicName", "Value": format!("{} - JANE DOE", moved.msisdn) },
            { "Key": "B2CRecipientIsRegisteredCustomer", "Value": "Y" },
        ] });
        if let Some(result) = result.as_object_mut() {
            result.insert("ResultParameters".to_owned(), parameters);
        }
    }
    json!({ "Result": result })
}
