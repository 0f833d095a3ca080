//! Somebody wants to pay, and M-Pesa asks whether they may. A no leaves them their money: it is said
//! only of what would lie around as nobody's.

use shared::id::MerchantId;

use super::{Inbox, store};
use crate::{
    db::StoreError,
    gateways::daraja::{self, Question},
    intents::Typed,
    merchants::{Merchant, MerchantError},
    words::{Shortcode, Till},
};

/// Why not, in M-Pesa's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("Invalid Account Number")]
    Account,
    #[error("Invalid Amount")]
    Amount,
    #[error("Invalid Shortcode")]
    Shortcode,
    #[error("Other Error")]
    Unreadable,
}

impl Refusal {
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::Account => "C2B00012",
            Self::Amount => "C2B00013",
            Self::Shortcode => "C2B00015",
            Self::Unreadable => "C2B00016",
        }
    }
}

/// What it says by itself. Ok: whom it names is to be looked up, if anybody. Pure.
fn read(merchant: &Merchant, raw: &[u8]) -> Result<Option<Typed>, Refusal> {
    let Question { shortcode, amount, reference } =
        daraja::question(raw).map_err(|_| Refusal::Unreadable)?;
    let ours =
        [Some(Shortcode::as_str(&merchant.shortcode)), merchant.till.as_ref().map(Till::as_str)];
    if !ours.contains(&Some(shortcode.as_str())) {
        return Err(Refusal::Shortcode);
    }
    if amount.get() <= 0 {
        return Err(Refusal::Amount);
    }
    // At a till nobody types anything.
    let named = reference.filter(|_| merchant.refuse_unknown && merchant.till.is_none());
    Ok(named.map(|reference| Typed::read(&reference)))
}

impl Inbox {
    /// May somebody pay this?
    pub(super) async fn check(
        &self,
        merchant: MerchantId,
        raw: &[u8],
    ) -> Result<Result<(), Refusal>, MerchantError> {
        let tenant = store::tenant_of(&self.db.inbox, merchant).await?;
        let tenant = tenant.ok_or(MerchantError::Unknown)?;
        let opened = self.merchants.open(tenant, merchant).await?;
        let typed = match read(&opened.merchant, raw) {
            Ok(Some(typed)) => typed,
            Ok(None) => return Ok(Ok(())),
            Err(why) => return Ok(Err(why)),
        };
        let mut tx = self.db.tenant(tenant).await?;
        let is_known = store::is_known(&mut tx, tenant, &typed).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(if is_known { Ok(()) } else { Err(Refusal::Account) })
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::{gateways::Environment, payments::Provider, subscribers::AccountNo};

    fn merchant(till: Option<&str>) -> Merchant {
        Merchant {
            id: MerchantId::from_uuid(Uuid::from_u128(1)),
            provider: Provider::Mpesa,
            shortcode: "600000".parse().unwrap(),
            till: till.map(|till| till.parse().unwrap()),
            name: "Paybill".parse().unwrap(),
            environment: Environment::Sandbox,
            sources: Vec::new(),
            refuse_unknown: true,
            disabled: false,
            version: 1,
            created_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[track_caller]
    fn check(merchant: &Merchant, asked: [&str; 3], want: &Result<Option<Typed>, Refusal>) {
        let [shortcode, amount, reference] = asked;
        let raw = json!({
            "TransactionType": "Pay Bill", "TransID": "", "TransTime": "", "TransAmount": amount,
            "BusinessShortCode": shortcode, "BillRefNumber": reference, "MSISDN": "25470****149",
        });
        assert_eq!(&read(merchant, raw.to_string().as_bytes()), want, "{asked:?}");
    }

    #[test]
    fn a_question_is_answered_by_what_it_says() {
        let paybill = merchant(None);
        let account = AccountNo::nth(3);
        let typed = Typed::Account(account.clone());
        check(&paybill, ["600000", "50.00", account.as_str()], &Ok(Some(typed)));
        check(&paybill, ["600000", "50.00", "rent"], &Ok(Some(Typed::Nothing)));
        check(&paybill, ["600000", "50.00", ""], &Ok(None));
        check(&paybill, ["600001", "50.00", ""], &Err(Refusal::Shortcode));
        check(&paybill, ["600000", "0.00", ""], &Err(Refusal::Amount));
        check(&paybill, ["600000", "a lot", ""], &Err(Refusal::Unreadable));
        assert_eq!(read(&paybill, b"{"), Err(Refusal::Unreadable));
        let takes_all = Merchant { refuse_unknown: false, ..merchant(None) };
        check(&takes_all, ["600000", "50.00", "rent"], &Ok(None));
        let till = merchant(Some("300584"));
        for shortcode in ["600000", "300584"] {
            check(&till, [shortcode, "50.00", "rent"], &Ok(None));
        }
    }
}
