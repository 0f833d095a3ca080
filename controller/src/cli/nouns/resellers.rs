//! Who sells vouchers out of a float, and what comes of it.

use super::{Action, Field, Kind, Noun, business, word};
use crate::words::Name;

pub(super) const NOUNS: &[Noun] = &[
    Noun {
        name: "resellers",
        about: "Who sells vouchers out of a float",
        actions: &[
            Action::list(
                "List resellers",
                "/api/resellers",
                &[
                    ("ID", "/id"),
                    ("Name", "/name"),
                    ("Mobile", "/msisdn"),
                    ("Active", "/active"),
                    ("Commission bp", "/commission_bp"),
                    ("Commissions", "/commissions"),
                    ("Float", "/float_cents"),
                ],
                &[],
            ),
            Action::show("Show one reseller", "/api/resellers/{id}"),
            Action::whole(
                "commissions",
                "List what a reseller keeps, and kept before",
                "/api/resellers/{id}/commissions",
                &[
                    ("Plan", "/plan"),
                    ("Basis", "/basis"),
                    ("Rate bp", "/rate_bp"),
                    ("Fixed", "/fixed_cents"),
                    ("Cap", "/cap_cents"),
                    ("From", "/from"),
                    ("Until", "/until"),
                ],
            ),
            Action::post(
                "set-commission",
                "Set what a reseller keeps of each voucher: a percentage or an amount",
                "/api/resellers/{id}/commissions",
                &[
                    Field::text("plan", "/plan", "Id of the plan [default: all without their own]"),
                    Field::text("basis", "/basis", "face or net, without taxes [default: face]"),
                    Field::of("rate-bp", "/rate_bp", Kind::Number, "Hundredths of a percent")
                        .or("fixed-cents"),
                    Field::of("fixed-cents", "/fixed_cents", Kind::Number, "Or so much"),
                    Field::of("cap-cents", "/cap_cents", Kind::Number, "And no more than this"),
                    Field::text("from", "/from", "Like 2026-12-01 [default: tomorrow]"),
                    Field::text("until", "/until", "This day is not in it"),
                ],
            ),
            Action::post(
                "staff",
                "Let an operator see what is the reseller's",
                "/api/resellers/{id}/staff",
                &[Field::text("operator", "/operator", "Of the role reseller").must()],
            ),
            Action::create(
                "Add a reseller",
                "/api/resellers",
                &[
                    Field::of("name", "/name", Kind::Text(word::<Name>), "For people")
                        .must()
                        .unique(),
                    business::MSISDN,
                    Field::of(
                        "commission-bp",
                        "/commission_bp",
                        Kind::Number,
                        "Hundredths of a percent of the face value",
                    )
                    .default("0"),
                ],
            ),
            Action::post(
                "float",
                "Take a float that is paid in",
                "/api/resellers/{id}/float",
                &[Field::of("cents", "/cents", Kind::Number, "How much").must()],
            ),
        ],
    },
    Noun {
        name: "settlements",
        about: "Closed statements of what resellers sold",
        actions: &[
            Action::list(
                "List settlements",
                "/api/finance/settlements",
                &[
                    ("ID", "/id"),
                    ("Reseller", "/reseller"),
                    ("From", "/from"),
                    ("Until", "/until"),
                    ("Gross", "/gross_cents"),
                    ("Commission", "/commission_cents"),
                    ("Net", "/net_cents"),
                ],
                &[],
            ),
            Action::create(
                "Close days that are over",
                "/api/finance/settlements",
                &[
                    Field::text("reseller", "/reseller", "Id of the reseller").must(),
                    Field::text("from", "/from", "First day, like 2026-11-01").must(),
                    Field::text("until", "/until", "This day is not in it").must(),
                ],
            ),
        ],
    },
    Noun {
        name: "payouts",
        about: "Money out of resellers' floats",
        actions: &[
            Action::list(
                "List payouts",
                "/api/finance/payouts",
                &[
                    ("ID", "/id"),
                    ("Reseller", "/reseller"),
                    ("To", "/msisdn"),
                    ("Amount", "/amount_cents"),
                    ("State", "/state"),
                    ("Asked by", "/requested_by"),
                    ("Approved by", "/approved_by"),
                ],
                &[],
            ),
            Action::show("Show one payout", "/api/finance/payouts/{id}"),
            Action::create(
                "Ask for a payout; somebody else approves it",
                "/api/finance/payouts",
                &[
                    Field::text("reseller", "/reseller", "Id of the reseller").must(),
                    business::MSISDN.must(),
                    Field::of("amount-cents", "/amount_cents", Kind::Number, "Whole shillings")
                        .must(),
                ],
            ),
            Action::post("approve", "Approve it", "/api/finance/payouts/{id}/approve", &[]),
            Action::post(
                "paid",
                "It was paid",
                "/api/finance/payouts/{id}/paid",
                &[Field::text("txn", "/provider_txn", "What the provider calls it").must()],
            ),
            Action::post("failed", "It was not", "/api/finance/payouts/{id}/failed", &[]),
        ],
    },
];
