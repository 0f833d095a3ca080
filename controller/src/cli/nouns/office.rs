//! What is done at its time and who is told of it: months, taxes, outages, webhooks, invitations.

use super::{Action, Does, Field, Kind, Noun, word};
use crate::words::{Email, Name};

pub(super) const NOUNS: &[Noun] = &[
    Noun {
        name: "tax-rates",
        about: "Excise duty and VAT, by date",
        actions: &[
            Action::whole(
                "list",
                "List rates",
                "/api/finance/tax-rates",
                &[
                    ("Tax", "/tax"),
                    ("Basis points", "/rate_bp"),
                    ("From", "/from"),
                    ("Until", "/until"),
                ],
            ),
            Action::post(
                "set",
                "Set a rate from a day on, today or later",
                "/api/finance/tax-rates",
                &[
                    Field::text("tax", "/tax", "excise or vat").must(),
                    Field::of("rate-bp", "/rate_bp", Kind::Number, "Hundredths of a percent")
                        .must(),
                    Field::text("from", "/from", "Like 2027-07-01").must(),
                ],
            ),
        ],
    },
    Noun {
        name: "closings",
        about: "Months into which nothing is posted any more",
        actions: &[
            Action::whole(
                "list",
                "List closed months, newest first",
                "/api/finance/closings",
                &[
                    ("Month", "/month"),
                    ("Closed", "/closed_at"),
                    ("Entries", "/entries"),
                    ("Debit", "/debit_cents"),
                    ("Credit", "/credit_cents"),
                ],
            ),
            Action::post(
                "close",
                "Close a month; nobody opens it again",
                "/api/finance/closings",
                &[Field::text("month", "/month", "Its first day").must()],
            ),
        ],
    },
    Noun {
        name: "outages",
        about: "What was down, and what is due for it",
        actions: &[
            Action::whole(
                "list",
                "List outages, newest first",
                "/api/outages",
                &[
                    ("ID", "/id"),
                    ("Start", "/start"),
                    ("End", "/end"),
                    ("Edge", "/edge"),
                    ("Cause", "/cause"),
                    ("Credits", "/credits"),
                ],
            ),
            Action::post(
                "record",
                "Write one down, and give everybody what is due for it",
                "/api/outages",
                &[
                    Field::text("start", "/start", "Like 2026-11-28T06:00:00Z").must(),
                    Field::text("end", "/end", "Like 2026-11-28T09:30:00Z").must(),
                    Field::of("cause", "/cause", Kind::Text(word::<Name>), "What it was").must(),
                    Field::text("evidence", "/evidence", "What was measured; its hash is kept")
                        .must(),
                    Field::text("edge", "/edge", "Where [default: everywhere]"),
                    Field::of(
                        "of-others",
                        "/attributable",
                        Kind::Truth(false),
                        "Not ours: nobody gets anything",
                    ),
                ],
            ),
        ],
    },
    Noun {
        name: "jobs",
        about: "What is done at its time",
        actions: &[Action::whole(
            "list",
            "List jobs, and what of them fails",
            "/api/jobs",
            &[
                ("Kind", "/kind"),
                ("Key", "/key"),
                ("Due", "/due_at"),
                ("Done", "/done_at"),
                ("Attempts", "/attempts"),
                ("Last error", "/last_error"),
            ],
        )],
    },
    Noun {
        name: "webhooks",
        about: "Who is told of changes",
        actions: &[
            Action::list(
                "List webhooks",
                "/api/webhooks",
                &[("ID", "/id"), ("URL", "/url"), ("Events", "/events"), ("Active", "/active")],
                &[],
            ),
            Action::show("Show one webhook", "/api/webhooks/{id}"),
            Action::create(
                "Add a webhook; prints what its messages are signed with, once",
                "/api/webhooks",
                &[
                    Field::text("url", "/url", "Where it is").must().unique(),
                    Field::of(
                        "event",
                        "/events",
                        Kind::Many,
                        "Like invoice.finalise, invoice.* or *",
                    )
                    .must(),
                ],
            ),
            Action::update(
                "Change a webhook",
                "/api/webhooks/{id}",
                &[
                    Field::text("url", "/url", "Where it is"),
                    Field::of("event", "/events", Kind::Many, "All of them"),
                    Field::of("off", "/active", Kind::Truth(false), "It is told nothing"),
                    Field::of("on", "/active", Kind::Truth(true), "It is told from now on"),
                ],
            ),
            Action {
                name: "deliveries",
                about: "List what it was told, or will be",
                does: Does::List(&[
                    ("Event", "/event"),
                    ("State", "/state"),
                    ("Attempts", "/attempts"),
                    ("Status", "/status"),
                    ("Error", "/error"),
                ]),
                path: "/api/webhooks/{id}/deliveries",
                fields: &[Field::text("state", "state", "waiting, delivered or dead")],
            },
            Action::post(
                "replay",
                "Send again what was given up",
                "/api/webhooks/{id}/replay",
                &[],
            ),
        ],
    },
    Noun {
        name: "invitations",
        about: "Who is asked to join the staff",
        actions: &[
            Action::list(
                "List invitations",
                "/api/invitations",
                &[
                    ("ID", "/id"),
                    ("E-mail", "/email"),
                    ("Role", "/role"),
                    ("Expires", "/expires_at"),
                    ("Accepted", "/accepted_at"),
                ],
                &[],
            ),
            Action::create(
                "Invite somebody",
                "/api/invitations",
                &[
                    Field::of("email", "/email", Kind::Text(word::<Email>), "Whom").must().unique(),
                    Field::text("role", "/role", "owner, finance, noc, support or auditor").must(),
                ],
            ),
            Action::delete("Withdraw one that nobody has accepted", "/api/invitations/{id}"),
        ],
    },
    Noun {
        name: "tokens",
        about: "Your own tokens for programs",
        actions: &[
            Action::list(
                "List tokens",
                "/api/auth/tokens",
                &[
                    ("ID", "/id"),
                    ("Name", "/name"),
                    ("Scopes", "/scopes"),
                    ("Expires", "/expires_at"),
                    ("Used", "/used_at"),
                ],
                &[],
            ),
            Action::create(
                "Make a token, and print it once",
                "/api/auth/tokens",
                &[
                    Field::of("name", "/name", Kind::Text(word::<Name>), "What for").must(),
                    Field::of("scope", "/scopes", Kind::Many, "NOUN:read or NOUN:write").must(),
                    Field::of("days", "/days", Kind::Number, "How long it is good").must(),
                ],
            ),
            Action::delete("Revoke a token", "/api/auth/tokens/{id}"),
        ],
    },
];
