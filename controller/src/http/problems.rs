//! The types of all problems: what programs may rely on. A test compares them with the sources.

/// What the guard of a route for staff refuses.
pub(super) const GUARD: &[&str] = &[
    "role-needed",
    "scope-needed",
    "csrf-needed",
    "second-factor-needed",
    "fresh-code-needed",
    "forbidden",
];

/// What any route may answer.
const COMMON: &[&str] = &[
    "bad-idempotency-key",
    "bad-if-match",
    "bad-json",
    "bad-query",
    "body-not-read",
    "edge-login-needed",
    "idempotency-key-reused",
    "if-match-needed",
    "internal",
    "invalid-fields",
    "login-needed",
    "method-not-allowed",
    "not-found",
    "not-json",
    "stale",
    "too-many-attempts",
    "too-many-watchers",
    "unavailable",
];

/// What changes under a tag may answer: tag, status, types. Sorted.
const BY_TAG: &[(&str, u16, &[&str])] = &[
    ("auth", 401, &["code-needed", "login-over", "login-refused"]),
    ("auth", 403, &["code-wrong", "link-not-good", "password-wrong"]),
    (
        "auth",
        409,
        &[
            "email-taken",
            "no-second-factor",
            "role-needs-it",
            "second-factor-already-there",
            "slug-taken",
        ],
    ),
    ("auth", 429, &["too-many-attempts"]),
    (
        "finance",
        409,
        &[
            "closed-already",
            "float-too-low",
            "merchant-disabled",
            "merchant-taken",
            "no-such-reseller",
            "not-from-here",
            "not-over",
            "not-with-this-provider",
            "number-new",
            "oneself",
            "rate-in-use",
            "refunded-already",
            "settled-already",
            "spent-already",
            "too-much",
            "transaction-taken",
        ],
    ),
    ("finance", 502, &["provider-refuses"]),
    (
        "invoices",
        409,
        &[
            "no-such-subscriber",
            "not-a-draft",
            "not-so-much",
            "not-voidable",
            "too-few-cents",
            "too-much",
        ],
    ),
    ("messages", 409, &["channel-taken", "no-address", "no-provider", "not-again"]),
    ("network", 409, &["address-taken", "mac-taken", "name-taken"]),
    ("operators", 409, &["email-taken", "no-second-factor", "oneself", "wrong-role"]),
    ("outages", 409, &["recorded-already"]),
    (
        "payments",
        409,
        &[
            "ended-already",
            "matched-already",
            "no-such-subscriber",
            "not-matched",
            "not-with-this-provider",
            "nothing-left",
            "nothing-to-pay",
            "receipt-taken",
            "too-much",
        ],
    ),
    ("plans", 409, &["code-taken", "was-sold"]),
    ("portal", 401, &["wrong-code", "wrong-login"]),
    ("portal", 429, &["too-many-tries"]),
    ("resellers", 409, &["no-such-plan", "not-its-staff", "rate-in-use", "too-much"]),
    ("sessions", 409, &["live-already", "no-plan"]),
    ("sessions", 502, &["command-expired", "command-failed"]),
    ("sessions", 503, &["unreachable"]),
    (
        "subscribers",
        409,
        &[
            "device-taken",
            "has-history",
            "has-money",
            "held",
            "money-open",
            "msisdn-taken",
            "not-by-update",
            "still-served",
            "username-taken",
            "was-served",
        ],
    ),
    (
        "subscriptions",
        409,
        &[
            "live-already",
            "no-promise",
            "not-an-add-on",
            "not-for-sale",
            "not-from-here",
            "not-online",
            "over",
            "paid-ahead",
            "postpaid",
            "wallet-too-low",
        ],
    ),
    ("tenants", 409, &["has-begun", "has-owner", "slug-taken"]),
    ("tickets", 409, &["no-such-person", "not-from-here"]),
    (
        "vouchers",
        409,
        &[
            "float-too-low",
            "no-such-reseller",
            "no-such-subscriber",
            "not-for-sale",
            "nothing-to-sell",
            "nothing-to-void",
            "too-much",
            "voucher-expired",
            "voucher-not-sold",
            "voucher-used",
            "voucher-void",
        ],
    ),
];

/// What changes under this tag may answer, beside what any may.
pub(super) fn of(tag: &str) -> impl Iterator<Item = (u16, &'static [&'static str])> {
    BY_TAG.iter().filter(move |(of, _, _)| *of == tag).map(|(_, status, kinds)| (*status, *kinds))
}

/// Each once, sorted.
pub(super) fn all() -> impl Iterator<Item = &'static str> {
    let tagged = BY_TAG.iter().flat_map(|(_, _, kinds)| *kinds);
    let all: std::collections::BTreeSet<_> =
        GUARD.iter().chain(COMMON).chain(tagged).copied().collect();
    all.into_iter()
}
