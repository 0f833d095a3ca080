//! What is owed, what came in, what is sold by others, and what was done.

use super::{Action, Does, Field, Kind, Noun, business, word};
use crate::words::{Name, Receipt};

pub(super) const NOUNS: &[Noun] = &[
    Noun {
        name: "invoices",
        about: "What subscribers owe",
        actions: &[
            Action::list(
                "List invoices",
                "/api/invoices",
                &[
                    ("ID", "/id"),
                    ("Number", "/number"),
                    ("Subscriber", "/subscriber"),
                    ("State", "/state"),
                    ("Due", "/due_on"),
                    ("Total", "/total_cents"),
                    ("Paid", "/paid_cents"),
                    ("Credited", "/credited_cents"),
                ],
                &[
                    business::SUBSCRIBER_FILTER,
                    Field::text("state", "state", "draft, finalised or void"),
                ],
            ),
            Action::show("Show one invoice", "/api/invoices/{id}"),
            Action::create(
                "Draft an invoice",
                "/api/invoices",
                &[
                    Field::text("subscriber", "/subscriber", "Id of the subscriber").must(),
                    Field::of("line", "/lines", Kind::Lines, "DESCRIPTION=CENTS, taxes included")
                        .must(),
                    DUE_ON,
                    NOTES,
                ],
            ),
            Action::update(
                "Change a draft",
                "/api/invoices/{id}",
                &[
                    Field::of("line", "/lines", Kind::Lines, "DESCRIPTION=CENTS; all of them"),
                    DUE_ON,
                    NOTES,
                ],
            ),
            Action::post(
                "finalise",
                "Issue a draft: it gets a number",
                "/api/invoices/{id}/finalise",
                &[DUE_ON],
            ),
            Action::post("void", "Take back an invoice", "/api/invoices/{id}/void", &[]),
            Action::post(
                "credit",
                "Take back a part of an invoice",
                "/api/invoices/{id}/credit-notes",
                &[
                    Field::of("cents", "/cents", Kind::Number, "Taxes included").must(),
                    Field::of("reason", "/reason", Kind::Text(word::<Name>), "For people").must(),
                ],
            ),
            Action::delete("Delete a draft", "/api/invoices/{id}"),
        ],
    },
    Noun {
        name: "payments",
        about: "Money that came in",
        actions: &[
            Action::list(
                "List payments",
                "/api/payments",
                &[
                    ("ID", "/id"),
                    ("Paid", "/paid_at"),
                    ("Provider", "/provider"),
                    ("Receipt", "/receipt"),
                    ("Subscriber", "/subscriber"),
                    ("Amount", "/amount_cents"),
                    ("Allocated", "/allocated_cents"),
                    ("State", "/state"),
                ],
                &[
                    business::SUBSCRIBER_FILTER,
                    Field::text("state", "state", "matched or unmatched"),
                ],
            ),
            Action::show("Show one payment", "/api/payments/{id}"),
            Action::create(
                "Record money that came in; it pays what is due first",
                "/api/payments",
                &[
                    Field::text("provider", "/provider", "cash, bank or mpesa").must(),
                    Field::of("amount-cents", "/amount_cents", Kind::Number, "How much").must(),
                    Field::text("subscriber", "/subscriber", "Whose it is [default: nobody knows]"),
                    Field::of(
                        "receipt",
                        "/receipt",
                        Kind::Text(word::<Receipt>),
                        "Of who moved it [default for cash: the next of yours]",
                    )
                    .unique(),
                    Field::text("shortcode", "/shortcode", "Where it came in: paybill, account"),
                    Field::text("paid-at", "/paid_at", "Like 2026-11-28T14:02:00Z [default: now]"),
                    Field::of("keep", "/allocate", Kind::Truth(false), "Leave it in the wallet"),
                ],
            ),
            Action::post(
                "assign",
                "Say whose money it is",
                "/api/payments/{id}/assign",
                &[Field::text("subscriber", "/subscriber", "Id of the subscriber").must()],
            ),
            Action::post(
                "allocate",
                "Pay invoices with what is left of it",
                "/api/payments/{id}/allocate",
                &[Field::text("invoice", "/invoice", "Only this [default: what is due first]")],
            ),
        ],
    },
    Noun {
        name: "wallets",
        about: "What subscribers have paid and not spent",
        actions: &[Action::list(
            "List wallets",
            "/api/finance/wallets",
            &[("Subscriber", "/subscriber"), ("Balance", "/balance_cents")],
            &[],
        )],
    },
    Noun {
        name: "vouchers",
        about: "Codes that somebody paid for and anybody can redeem, once",
        actions: &[
            Action::list(
                "List vouchers, without their codes",
                "/api/vouchers",
                &[
                    ("ID", "/id"),
                    ("Batch", "/batch"),
                    ("Serial", "/serial"),
                    ("State", "/state"),
                    ("Redeemed", "/redeemed_at"),
                    ("Subscriber", "/subscriber"),
                ],
                &[
                    Field::text("batch", "batch", "Only of this batch"),
                    Field::text(
                        "state",
                        "state",
                        "generated, sold, active, exhausted, expired or void",
                    ),
                ],
            ),
            Action {
                name: "batches",
                about: "List batches",
                does: Does::List(&[
                    ("ID", "/id"),
                    ("Reseller", "/reseller"),
                    ("Quantity", "/qty"),
                    ("Face", "/face_cents"),
                    ("Until", "/redeem_by"),
                    ("States", "/states"),
                    ("Made", "/created_at"),
                ]),
                path: "/api/vouchers/batches",
                fields: &[],
            },
            Action::get("show", "Show one batch", "/api/vouchers/batches/{id}"),
            Action::post(
                "issue",
                "Make a batch; prints its codes, once",
                "/api/vouchers/issue",
                &[
                    Field::of("plan", "/plan_version", Kind::Plan, "Id or code of the plan").must(),
                    Field::of("qty", "/qty", Kind::Number, "How many").must(),
                    Field::text("reseller", "/reseller", "Whose they are [default: your own]"),
                    Field::of("face-cents", "/face_cents", Kind::Number, "[default: the price]"),
                    Field::text("redeem-by", "/redeem_by", "Like 2027-01-01T00:00:00Z"),
                    Field::of("length", "/length", Kind::Number, "Characters before the last"),
                    Field::of("presold", "/presold", Kind::Truth(true), "Sold at once"),
                ],
            ),
            Action::post(
                "redeem",
                "Redeem a voucher for a subscriber",
                "/api/vouchers/redeem",
                &[
                    Field::text("code", "/code", "As it is printed or typed").must(),
                    Field::text("subscriber", "/subscriber", "Id of the subscriber").must(),
                ],
            ),
            Action::post("sell", "Sell what is left", "/api/vouchers/batches/{id}/sell", &[]),
            Action::post("void", "Void what is left", "/api/vouchers/batches/{id}/void", &[]),
            Action::post(
                "void-one",
                "Void a voucher that was lost",
                "/api/vouchers/{id}/void",
                &[],
            ),
        ],
    },
    Noun {
        name: "ledger",
        about: "The books",
        actions: &[Action {
            name: "balance",
            about: "Print the trial balance",
            does: Does::ShowList(
                "/accounts",
                &[
                    ("Account", "/code"),
                    ("Kind", "/kind"),
                    ("Debit", "/debit_cents"),
                    ("Credit", "/credit_cents"),
                ],
            ),
            path: "/api/finance/accounts",
            fields: &[],
        }],
    },
    Noun {
        name: "reports",
        about: "What the books say over time",
        actions: &[
            Action {
                name: "revenue",
                about: "Revenue by month, and what a subscriber brings",
                does: Does::ShowList(
                    "/items",
                    &[
                        ("Month", "/month"),
                        ("Revenue", "/revenue_cents"),
                        ("Commission", "/commission_cents"),
                        ("Excise", "/excise_cents"),
                        ("VAT", "/vat_cents"),
                        ("Payers", "/payers"),
                        ("ARPU", "/arpu_cents"),
                    ],
                ),
                path: "/api/reports/revenue",
                fields: DAYS,
            },
            Action {
                name: "churn",
                about: "Subscribers who came and went, by month",
                does: Does::ShowList(
                    "/items",
                    &[
                        ("Month", "/month"),
                        ("Began", "/began"),
                        ("Lost", "/lost"),
                        ("Gained", "/gained"),
                        ("Churn bp", "/churn_bp"),
                    ],
                ),
                path: "/api/reports/churn",
                fields: DAYS,
            },
            Action {
                name: "ageing",
                about: "What is owed, by how long it is overdue",
                does: Does::ShowList(
                    "/items",
                    &[
                        ("Account", "/account_no"),
                        ("Name", "/full_name"),
                        ("Not due", "/not_due_cents"),
                        ("1-30", "/days_1_to_30_cents"),
                        ("31-60", "/days_31_to_60_cents"),
                        ("61-90", "/days_61_to_90_cents"),
                        ("Over 90", "/days_over_90_cents"),
                        ("Total", "/total_cents"),
                    ],
                ),
                path: "/api/reports/ageing",
                fields: &[Field::text("on", "on", "The evening of this day [default: today's]")],
            },
            Action {
                name: "tax",
                about: "Excise and VAT by month, and what they were taken on",
                does: Does::ShowList(
                    "/items",
                    &[
                        ("Month", "/month"),
                        ("Event", "/event"),
                        ("Net", "/net_cents"),
                        ("Excise", "/excise_cents"),
                        ("VAT", "/vat_cents"),
                    ],
                ),
                path: "/api/reports/tax",
                fields: DAYS,
            },
            Action {
                name: "vouchers",
                about: "Vouchers by plan and reseller",
                does: Does::ShowList(
                    "/items",
                    &[
                        ("Plan", "/plan"),
                        ("Reseller", "/reseller"),
                        ("Generated", "/generated"),
                        ("Sold", "/sold"),
                        ("Active", "/active"),
                        ("Exhausted", "/exhausted"),
                        ("Expired", "/expired"),
                        ("Void", "/void"),
                        ("Owed", "/owed_cents"),
                    ],
                ),
                path: "/api/reports/vouchers",
                fields: &[],
            },
        ],
    },
    Noun {
        name: "audit",
        about: "Who changed what",
        actions: &[
            Action::list(
                "List changes, oldest first",
                "/api/audit",
                &[
                    ("At", "/at"),
                    ("By", "/actor"),
                    ("From", "/actor_ip"),
                    ("Action", "/action"),
                    ("Object", "/object"),
                ],
                &[
                    Field::text("object", "object", "Only about this object"),
                    Field::text("actor", "actor", "Only by this operator"),
                ],
            ),
            Action::get("proof", "Compute the chain of hashes again", "/api/audit/proof"),
            Action {
                name: "books",
                about: "Read all books again, row by row",
                does: Does::ShowList(
                    "/checks",
                    &[
                        ("Faults", "/faults"),
                        ("Rows", "/rows"),
                        ("Of", "/name"),
                        ("What holds", "/holds"),
                        ("First fault", "/first"),
                    ],
                ),
                path: "/api/audit/books",
                fields: &[],
            },
        ],
    },
];

const DUE_ON: Field =
    Field::text("due-on", "/due_on", "Like 2026-12-31 [default: two weeks after it is issued]");
const NOTES: Field = Field::text("notes", "/notes", "What is written under it");

const DAYS: &[Field] = &[
    Field::text("from", "from", "First day, like 2026-01-01 [default: eleven months back]"),
    Field::text("until", "until", "This day is not in it [default: tomorrow]"),
];
