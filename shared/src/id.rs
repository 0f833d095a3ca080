//! Identifiers: one generic type, one marker per kind.
//!
//! A subscriber and a session are both UUIDs; swapping two must not compile. In text an id carries
//! its kind (`sub_0198…`), so that logs, URLs and bodies say what they name.

use std::{fmt, hash, marker::PhantomData, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use uuid::Uuid;

/// What a given [`Id`] identifies.
pub trait Kind {
    /// Prefix in logs, screens and URLs.
    const TAG: &'static str;
}

/// A UUID that remembers what it names.
pub struct Id<K>(Uuid, PhantomData<fn() -> K>);

macro_rules! kinds {
    ($($alias:ident = $kind:ident($tag:literal),)*) => {$(
        #[derive(Debug)]
        pub enum $kind {}
        impl Kind for $kind {
            const TAG: &'static str = $tag;
        }
        pub type $alias = Id<$kind>;
    )*
        /// Every kind, as its id is called, and its tag.
        pub const KINDS: &[(&str, &str)] = &[$((stringify!($alias), $kind::TAG),)*];
    };
}

// The registry: alphabetical, append only; a tag is never used for anything else.
kinds! {
    AccessPointId = AccessPointKind("ap"),
    ApiTokenId = ApiTokenKind("tok"),
    AuditId = AuditKind("aud"),
    BatchId = BatchKind("vb"),
    CommandId = CommandKind("cmd"),
    CreditNoteId = CreditNoteKind("crn"),
    DoubtId = DoubtKind("dbt"),
    EdgeId = EdgeKind("edge"),
    EntitlementId = EntitlementKind("ent"),
    EntryId = EntryKind("le"),
    EpochId = EpochKind("epoch"),
    IntentId = IntentKind("int"),
    InvitationId = InvitationKind("ivt"),
    InvoiceId = InvoiceKind("inv"),
    LegalHoldId = LegalHoldKind("hld"),
    LoginId = LoginKind("lgn"),
    MerchantId = MerchantKind("mer"),
    MessageId = MessageKind("msg"),
    MessageProviderId = MessageProviderKind("mpv"),
    NasId = NasKind("nas"),
    OperatorId = OperatorKind("op"),
    OutageId = OutageKind("out"),
    PaymentId = PaymentKind("pay"),
    PayoutId = PayoutKind("po"),
    PlanId = PlanKind("plan"),
    PlanVersionId = PlanVersionKind("planv"),
    PortalClaimId = PortalClaimKind("clm"),
    ReconciliationId = ReconciliationKind("rec"),
    RefundId = RefundKind("rfd"),
    ResellerId = ResellerKind("rsl"),
    SessionId = SessionKind("ses"),
    SettlementId = SettlementKind("stl"),
    SubscriberId = SubscriberKind("sub"),
    SubscriptionId = SubscriptionKind("subn"),
    TenantId = TenantKind("ten"),
    TicketId = TicketKind("tkt"),
    TicketNoteId = TicketNoteKind("tkn"),
    VoucherId = VoucherKind("vou"),
    WebhookId = WebhookKind("wh"),
}

impl<K> Id<K> {
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid, PhantomData)
    }

    pub const fn as_uuid(&self) -> &Uuid {
        &self.0
    }

    /// From the sixteen octets of a binary message.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        Uuid::from_slice(bytes).ok().map(Self::from_uuid)
    }

    pub fn to_vec(&self) -> Vec<u8> {
        self.0.as_bytes().to_vec()
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for Id<K> {}

impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<K> Eq for Id<K> {}

impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

impl<K> hash::Hash for Id<K> {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", K::TAG, self.0.simple())
    }
}

impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an identifier that starts with `{0}_` and goes on with 32 hexadecimal digits")]
pub struct ParseIdError(&'static str);

impl<K: Kind> FromStr for Id<K> {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix(K::TAG)
            .and_then(|rest| rest.strip_prefix('_'))
            // One spelling only: the one that `Display` prints.
            .filter(|hex| hex.len() == 32 && !hex.bytes().any(|byte| byte.is_ascii_uppercase()))
            .and_then(|hex| Uuid::try_parse(hex).ok())
            .map(Self::from_uuid)
            .ok_or(ParseIdError(K::TAG))
    }
}

/// As text everywhere, so that a URL, a body and a log line show the same thing.
impl<K: Kind> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, K: Kind> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_id_prints_and_parses_back(bits: u128) {
            let id = SessionId::from_uuid(Uuid::from_u128(bits));
            prop_assert_eq!(id.to_string().parse(), Ok(id));
            prop_assert!(id.to_string().parse::<EdgeId>().is_err());
        }
    }

    #[test]
    fn only_the_printed_spelling_is_an_id() {
        for wrong in [
            "",
            "ses_",
            "ses_12",
            "0198b2f4c0de7000a000000000000001",
            "ses_0198B2F4c0de7000a000000000000001",
            "ses_0198b2f4-c0de-7000-a000-000000000001",
        ] {
            assert!(wrong.parse::<SessionId>().is_err(), "{wrong}");
        }
    }
}
