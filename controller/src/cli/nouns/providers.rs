//! Accounts at payment providers, and what is asked of payers and given back through them.

use super::{Action, Field, Kind, Noun, business, word};
use crate::words::Name;

pub(super) const NOUNS: &[Noun] = &[
    Noun {
        name: "merchants",
        about: "Accounts at payment providers",
        actions: &[
            Action::list(
                "List accounts",
                "/api/finance/merchants",
                &[
                    ("ID", "/id"),
                    ("Name", "/name"),
                    ("Provider", "/provider"),
                    ("Shortcode", "/shortcode"),
                    ("Environment", "/environment"),
                    ("Disabled", "/disabled"),
                ],
                &[],
            ),
            Action::show("Show one account", "/api/finance/merchants/{id}"),
            Action::create(
                "Add an account, with what opens it",
                "/api/finance/merchants",
                &[
                    NAME.must(),
                    Field::text("provider", "/provider", "mpesa, airtel, paystack or stripe")
                        .must(),
                    Field::text("shortcode", "/shortcode", "M-Pesa: the paybill; else a name")
                        .must(),
                    Field::text("till", "/till", "M-Pesa Buy Goods: the till"),
                    Field::text("environment", "/environment", "production, sandbox or simulator"),
                    SOURCE,
                    REFUSE_UNKNOWN,
                    KEY,
                    SECRET,
                    PASSKEY,
                    WEBHOOK,
                    Field::text("initiator", "/secrets/initiator", "M-Pesa: who pays out, by name"),
                    secret(
                        "credential-file",
                        "/secrets/credential",
                        "M-Pesa: the initiator's, as the portal encrypts it; Airtel: the PIN",
                    ),
                ],
            ),
            Action::update(
                "Change an account",
                "/api/finance/merchants/{id}",
                &[
                    NAME,
                    SOURCE,
                    Field::of("off", "/disabled", Kind::Truth(true), "Nobody is asked through it"),
                    Field::of("on", "/disabled", Kind::Truth(false), "It works"),
                    REFUSE_UNKNOWN,
                    Field::of(
                        "take-unknown",
                        "/refuse_unknown",
                        Kind::Truth(false),
                        "Money that names nobody is taken, and waits",
                    ),
                    KEY,
                    SECRET,
                    PASSKEY,
                    WEBHOOK,
                ],
            ),
            Action::get(
                "addresses",
                "Where the provider has to call",
                "/api/finance/merchants/{id}/addresses",
            ),
            Action::post(
                "register",
                "Tell the provider where to call",
                "/api/finance/merchants/{id}/register",
                &[],
            ),
        ],
    },
    Noun {
        name: "intents",
        about: "What payers were asked for",
        actions: &[
            Action::list(
                "List what payers were asked for",
                "/api/payments/intents",
                &[
                    ("ID", "/id"),
                    ("Created", "/created_at"),
                    ("Subscriber", "/subscriber"),
                    ("Provider", "/provider"),
                    ("Amount", "/amount_cents"),
                    ("State", "/state"),
                    ("Code", "/code"),
                ],
                &[
                    business::SUBSCRIBER_FILTER,
                    Field::text(
                        "state",
                        "state",
                        "created, submitted, unknown, succeeded, failed or expired",
                    ),
                ],
            ),
            Action::show("Show one, and what came of it", "/api/payments/intents/{id}"),
            Action::create(
                "Ask a payer: a prompt on the phone, or a page to pay on",
                "/api/payments/intents",
                &[
                    Field::text("subscriber", "/subscriber", "Id of the subscriber").must(),
                    Field::text("merchant", "/merchant", "Id of the account").must(),
                    Field::of("amount-cents", "/amount_cents", Kind::Number, "How much").must(),
                    Field::text("msisdn", "/msisdn", "M-Pesa and Airtel: whose phone"),
                    Field::text("email", "/email", "Paystack: whom"),
                ],
            ),
            Action::post(
                "check",
                "Ask the provider now what came of it",
                "/api/payments/intents/{id}/check",
                &[],
            ),
            Action::post(
                "give-up",
                "Stop asking what came of it",
                "/api/payments/intents/{id}/give-up",
                &[NOTE],
            ),
        ],
    },
    Noun {
        name: "doubts",
        about: "What did not fit about payments",
        actions: &[
            Action::list(
                "List what did not fit",
                "/api/payments/doubts",
                &[
                    ("ID", "/id"),
                    ("Created", "/created_at"),
                    ("Kind", "/kind"),
                    ("About", "/about"),
                    ("State", "/state"),
                    ("Said", "/said"),
                ],
                &[Field::text("state", "state", "open or closed")],
            ),
            Action::post(
                "close",
                "Say what came of one",
                "/api/payments/doubts/{id}/close",
                &[NOTE],
            ),
        ],
    },
    Noun {
        name: "refunds",
        about: "Payments that go back",
        actions: &[
            Action::list(
                "List refunds",
                "/api/finance/refunds",
                &[
                    ("ID", "/id"),
                    ("Created", "/created_at"),
                    ("Payment", "/payment"),
                    ("Amount", "/amount_cents"),
                    ("State", "/state"),
                    ("Reason", "/reason"),
                ],
                &[],
            ),
            Action::show("Show one refund", "/api/finance/refunds/{id}"),
            Action::create(
                "Ask for a payment to be given back, and set the money aside",
                "/api/finance/refunds",
                &[
                    Field::text("payment", "/payment", "The whole of it goes back").must(),
                    Field::of("reason", "/reason", Kind::Text(word::<Name>), "For people").must(),
                    Field::of(
                        "taken-back",
                        "/taken_back",
                        Kind::Truth(true),
                        "The provider has done it already, without us",
                    ),
                ],
            ),
            Action::post(
                "approve",
                "Approve one that somebody else asked for",
                "/api/finance/refunds/{id}/approve",
                &[],
            ),
            Action::post(
                "done",
                "Say that one was made",
                "/api/finance/refunds/{id}/done",
                &[Field::text("provider-txn", "/provider_txn", "The provider's receipt")],
            ),
            Action::post(
                "failed",
                "Say that one failed or was given up",
                "/api/finance/refunds/{id}/failed",
                &[],
            ),
        ],
    },
    Noun {
        name: "reconciliations",
        about: "Days that were compared with a provider's list",
        actions: &[
            Action::list(
                "List the days that were compared",
                "/api/finance/reconciliations",
                &[
                    ("ID", "/id"),
                    ("Day", "/day"),
                    ("Merchant", "/merchant"),
                    ("Source", "/source"),
                    ("Ours", "/ours/count"),
                    ("Theirs", "/theirs/count"),
                ],
                &[],
            ),
            Action::show("Show what was found", "/api/finance/reconciliations/{id}"),
            Action::create(
                "Compare a day with the provider's list, or a statement",
                "/api/finance/reconciliations",
                &[
                    Field::text("merchant", "/merchant", "Id of the account").must(),
                    Field::text("day", "/day", "Like 2026-11-28").must(),
                    secret(
                        "statement",
                        "/statement",
                        "CSV of the provider's portal [default: the provider is asked]",
                    ),
                    Field::of("recover", "/recover", Kind::Truth(true), "Book what is missing"),
                ],
            ),
        ],
    },
];

const NAME: Field = Field::of("name", "/name", Kind::Text(word::<Name>), "For people");
const NOTE: Field = Field::text("note", "/note", "What came of it").must();
const REFUSE_UNKNOWN: Field = Field::of(
    "refuse-unknown",
    "/refuse_unknown",
    Kind::Truth(true),
    "M-Pesa asks first: money that names nobody is refused",
);
const SOURCE: Field =
    Field::of("source", "/sources", Kind::Many, "Address or prefix that callbacks come from");
const KEY: Field = secret("key-file", "/secrets/key", "M-Pesa: consumer key; Airtel: client id");
const SECRET: Field = secret("secret-file", "/secrets/secret", "Consumer secret, or secret key");
const PASSKEY: Field = secret("passkey-file", "/secrets/passkey", "M-Pesa: what signs a prompt");
const WEBHOOK: Field =
    secret("webhook-file", "/secrets/webhook", "Airtel, Stripe: signs callbacks");

const fn secret(flag: &'static str, at: &'static str, help: &'static str) -> Field {
    Field::of(flag, at, Kind::Secret, help)
}
