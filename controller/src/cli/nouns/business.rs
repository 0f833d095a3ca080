//! Who pays, what is sold to them, what they ask for, and who works here.

use super::{Action, Does, Field, Kind, Noun, word};
use crate::words::{Code, Email, Msisdn, Name, Username};

pub(super) const NOUNS: &[Noun] = &[
    Noun {
        name: "subscribers",
        about: "Who pays and who logs in",
        actions: &[
            Action::list(
                "List subscribers",
                "/api/subscribers",
                &[
                    ("ID", "/id"),
                    ("Account", "/account_no"),
                    ("Username", "/username"),
                    ("Name", "/full_name"),
                    ("Mobile", "/msisdn"),
                    ("E-mail", "/email"),
                    ("Address", "/static_ip"),
                    ("Devices", "/macs"),
                    ("Status", "/status"),
                ],
                &[Field::text("search", "search", "The beginning of a username or account number")],
            ),
            Action::show("Show one subscriber", "/api/subscribers/{id}"),
            Action::create(
                "Add a subscriber",
                "/api/subscribers",
                &[
                    Field::of(
                        "username",
                        "/username",
                        Kind::Text(word::<Username>),
                        "RADIUS User-Name",
                    )
                    .must()
                    .unique(),
                    Field::of("full-name", "/full_name", Kind::Text(word::<Name>), "For people")
                        .must(),
                    Field::of(
                        "password-file",
                        "/password",
                        Kind::Secret,
                        "File with the RADIUS password; without one only the MACs can log in",
                    ),
                    MSISDN.unique(),
                    Field::of("email", "/email", Kind::Text(word::<Email>), "E-mail address"),
                    Field::text(
                        "static-ip",
                        "/static_ip",
                        "Address that the subscriber always has",
                    ),
                    Field::of(
                        "mac",
                        "/macs",
                        Kind::Many,
                        "A device that logs in by its MAC address",
                    ),
                ],
            ),
            Action::update(
                "Change a subscriber",
                "/api/subscribers/{id}",
                &[
                    Field::of("full-name", "/full_name", Kind::Text(word::<Name>), "For people"),
                    Field::of("password-file", "/password", Kind::Secret, "File with the password"),
                    MSISDN,
                    Field::of("email", "/email", Kind::Text(word::<Email>), "E-mail address"),
                    Field::text("status", "/status", "active or closed"),
                ],
            ),
            Action::delete("Delete one that was added by mistake", "/api/subscribers/{id}"),
            Action::get(
                "export",
                "Print all that is kept about one, for who asks for it",
                "/api/subscribers/{id}/export",
            ),
            Action::post(
                "anonymise",
                "Forget one who has left; it cannot be undone",
                "/api/subscribers/{id}/anonymise",
                &[],
            ),
        ],
    },
    Noun {
        name: "plans",
        about: "What is sold",
        actions: &[
            Action::list(
                "List plans",
                "/api/plans",
                &[
                    ("ID", "/id"),
                    ("Code", "/code"),
                    ("Name", "/name"),
                    ("Down kbit/s", "/latest/terms/down_kbps"),
                    ("Up kbit/s", "/latest/terms/up_kbps"),
                    ("Price", "/latest/terms/price_cents"),
                    ("Version", "/latest/version"),
                ],
                &[],
            ),
            Action::show("Show one plan", "/api/plans/{id}"),
            Action::whole(
                "versions",
                "List its versions, newest first",
                "/api/plans/{id}/versions",
                &[
                    ("ID", "/id"),
                    ("Version", "/version"),
                    ("Kind", "/kind"),
                    ("From", "/effective_from"),
                ],
            ),
            Action::create("Make a plan", "/api/plans", PLAN),
            Action::update(
                "Rename or archive a plan",
                "/api/plans/{id}",
                &[
                    Field::of("name", "/name", Kind::Text(word::<Name>), "For people"),
                    Field::of("archive", "/archived", Kind::Truth(true), "Sell it no more"),
                ],
            ),
            Action::delete("Delete one that was never sold", "/api/plans/{id}"),
        ],
    },
    Noun {
        name: "subscriptions",
        about: "Who has which plan",
        actions: &[
            Action::list(
                "List subscriptions",
                "/api/subscriptions",
                &[
                    ("ID", "/id"),
                    ("Subscriber", "/subscriber"),
                    ("State", "/state"),
                    ("Desired", "/desired_rev"),
                    ("Applied", "/applied_rev"),
                ],
                &[
                    SUBSCRIBER_FILTER,
                    Field::text(
                        "state",
                        "state",
                        "pending, active, grace, suspended, expired or cancelled",
                    ),
                ],
            ),
            Action::show("Show one subscription", "/api/subscriptions/{id}"),
            Action::create(
                "Give a subscriber the latest version of a plan",
                "/api/subscriptions",
                &[
                    Field::text("subscriber", "/subscriber", "Id of the subscriber").must(),
                    Field::of("plan", "/plan_version", Kind::Plan, "Id or code of the plan").must(),
                    Field::of(
                        "activate",
                        "/activate",
                        Kind::Truth(true),
                        "At once, instead of when it is paid",
                    ),
                    Field::of("auto-renew", "/auto_renew", Kind::Truth(true), "Renew it by itself"),
                ],
            ),
            Action::post("activate", "Let it begin", "/api/subscriptions/{id}/activate", REASON),
            Action::post(
                "suspend",
                "Take it off the network for a while",
                "/api/subscriptions/{id}/suspend",
                REASON,
            ),
            Action::post("resume", "Put it back", "/api/subscriptions/{id}/resume", REASON),
            Action::post(
                "expire",
                "End it, until it is activated again",
                "/api/subscriptions/{id}/expire",
                REASON,
            ),
            Action::post("cancel", "End it for good", "/api/subscriptions/{id}/cancel", REASON),
            Action::post(
                "renew",
                "Pay the next term from the wallet",
                "/api/subscriptions/{id}/periods",
                &[],
            ),
            Action::post(
                "add-on",
                "Buy more bytes or time from the wallet",
                "/api/subscriptions/{id}/add-ons",
                &[Field::of("plan", "/plan_version", Kind::Plan, "Id or code of the add-on")
                    .must()],
            ),
            Action::whole(
                "periods",
                "List the times that it was billed for, oldest first",
                "/api/subscriptions/{id}/periods",
                &[
                    ("Start", "/start"),
                    ("End", "/end"),
                    ("Net", "/net_cents"),
                    ("Invoice", "/invoice"),
                ],
            ),
            Action::whole(
                "events",
                "List what happened to it, oldest first",
                "/api/subscriptions/{id}/events",
                &[("At", "/at"), ("From", "/from"), ("To", "/to"), ("Reason", "/reason")],
            ),
        ],
    },
    Noun {
        name: "tickets",
        about: "What subscribers complain about and ask for",
        actions: &[
            Action::list(
                "List tickets",
                "/api/tickets",
                &[
                    ("ID", "/id"),
                    ("Reference", "/reference"),
                    ("Subject", "/subject"),
                    ("Priority", "/priority"),
                    ("State", "/state"),
                    ("Opened", "/opened_at"),
                    ("Overdue", "/overdue"),
                ],
                &[
                    SUBSCRIBER_FILTER,
                    Field::text("state", "state", "open, working, waiting, resolved or closed"),
                ],
            ),
            Action::show("Show one ticket", "/api/tickets/{id}"),
            Action::create(
                "Open a ticket",
                "/api/tickets",
                &[
                    Field::text("subscriber", "/subscriber", "Id of the subscriber"),
                    Field::of("subject", "/subject", Kind::Text(word::<Name>), "In one line")
                        .must(),
                    Field::text("body", "/body", "What was said").must(),
                    Field::text(
                        "channel",
                        "/channel",
                        "phone, counter, email, sms, whatsapp or portal",
                    )
                    .default("phone"),
                    Field::text("priority", "/priority", "urgent, high, normal or low")
                        .default("normal"),
                ],
            ),
            Action::whole(
                "notes",
                "List what was said and done",
                "/api/tickets/{id}/notes",
                &[("At", "/at"), ("By", "/author"), ("Note", "/body")],
            ),
            Action::post(
                "note",
                "Add a note",
                "/api/tickets/{id}/notes",
                &[Field::text("body", "/body", "What was said or done").must()],
            ),
            Action::post("start", "Work on it", "/api/tickets/{id}/start", &[]),
            Action::post("wait", "Wait for the subscriber", "/api/tickets/{id}/wait", &[]),
            Action::post("resolve", "It is done", "/api/tickets/{id}/resolve", &[]),
            Action::post("close", "The subscriber agrees", "/api/tickets/{id}/close", &[]),
            Action::post("reopen", "The subscriber does not", "/api/tickets/{id}/reopen", &[]),
        ],
    },
    Noun {
        name: "operators",
        about: "Who works here",
        actions: &[
            Action::list(
                "List operators",
                "/api/operators",
                &[
                    ("ID", "/id"),
                    ("E-mail", "/email"),
                    ("Name", "/name"),
                    ("Role", "/role"),
                    ("Disabled", "/disabled"),
                    ("Last login", "/last_login_at"),
                ],
                &[],
            ),
            Action::show("Show one operator", "/api/operators/{id}"),
            Action::post(
                "reset",
                "Let one choose a new password",
                "/api/operators/{id}/reset",
                &[],
            ),
            Action {
                name: "remove-second-factor",
                about: "Of one who lost phone and codes; ends their logins",
                does: Does::Delete,
                path: "/api/operators/{id}/second-factor",
                fields: &[],
            },
            Action::create(
                "Hire somebody",
                "/api/operators",
                &[
                    Field::of("email", "/email", Kind::Text(word::<Email>), "Their login")
                        .must()
                        .unique(),
                    Field::of("name", "/name", Kind::Text(word::<Name>), "For people").must(),
                    Field::text(
                        "role",
                        "/role",
                        "owner, finance, noc, support, reseller or auditor",
                    )
                    .must(),
                    Field::of("password-file", "/password", Kind::Secret, "File with the password")
                        .must(),
                ],
            ),
            Action::update(
                "Change an operator",
                "/api/operators/{id}",
                &[
                    Field::of("name", "/name", Kind::Text(word::<Name>), "For people"),
                    Field::text("role", "/role", "Another role"),
                    Field::of("disable", "/disabled", Kind::Truth(true), "Let them in no more"),
                    Field::of(
                        "password-file",
                        "/password",
                        Kind::Secret,
                        "File with a new password",
                    ),
                ],
            ),
        ],
    },
    Noun {
        name: "tenants",
        about: "Providers, for who runs the platform",
        actions: &[
            Action::list(
                "List tenants",
                "/api/tenants",
                &[
                    ("ID", "/id"),
                    ("Slug", "/slug"),
                    ("Name", "/name"),
                    ("Currency", "/currency"),
                    ("Zone", "/tz"),
                    ("Status", "/status"),
                ],
                &[],
            ),
            Action::show("Show one tenant", "/api/tenants/{id}"),
            Action::create(
                "Add a tenant",
                "/api/tenants",
                &[
                    Field::of("slug", "/slug", Kind::Text(word::<Code>), "Short name")
                        .must()
                        .unique(),
                    Field::of("name", "/name", Kind::Text(word::<Name>), "For people").must(),
                    Field::text("tz", "/tz", "Time zone, like Africa/Nairobi"),
                    Field::text("currency", "/currency", "Like KES"),
                ],
            ),
            Action::update(
                "Change a tenant",
                "/api/tenants/{id}",
                &[
                    Field::of("name", "/name", Kind::Text(word::<Name>), "For people"),
                    Field::text("tz", "/tz", "Time zone, like Africa/Nairobi"),
                    Field::text("status", "/status", "active or suspended"),
                ],
            ),
            Action::post(
                "owner",
                "Invite its first owner",
                "/api/tenants/{id}/owner",
                &[Field::of("email", "/email", Kind::Text(word::<Email>), "Whom").must()],
            ),
            Action::delete("Delete one in which nobody did anything", "/api/tenants/{id}"),
        ],
    },
];

pub(super) const MSISDN: Field =
    Field::of("msisdn", "/msisdn", Kind::Text(word::<Msisdn>), "Mobile number, like 254712345678");
pub(super) const SUBSCRIBER_FILTER: Field =
    Field::text("subscriber", "subscriber", "Only of this subscriber");
const REASON: &[Field] = &[Field::text("reason", "/reason", "Kept with the change")];

const PLAN: &[Field] = &[
    Field::of("code", "/code", Kind::Text(word::<Code>), "Short name").must().unique(),
    Field::of("name", "/name", Kind::Text(word::<Name>), "For people").must(),
    Field::of("down-kbps", "/terms/down_kbps", Kind::Number, "Rate to the subscriber").must(),
    Field::of("up-kbps", "/terms/up_kbps", Kind::Number, "Rate from the subscriber").must(),
    Field::of("price-cents", "/terms/price_cents", Kind::Number, "Taxes included").must(),
    Field::of("access", "/terms/access", Kind::Free, "hotspot, pppoe, ipoe or static")
        .default("hotspot"),
    Field::of("billing", "/terms/billing", Kind::Free, "prepaid or postpaid").default("prepaid"),
    Field::of("seconds", "/terms/validity_seconds", Kind::Number, "How long one purchase lasts")
        .or("months"),
    Field::of("months", "/terms/validity_months", Kind::Number, "How long one purchase lasts"),
    Field::of(
        "data-bytes",
        "/terms/data_bytes",
        Kind::Number,
        "Bytes that one purchase gives [default: not limited]",
    ),
    Field::of(
        "online-seconds",
        "/terms/online_seconds",
        Kind::Number,
        "Time on-line that one purchase gives [default: not limited]",
    ),
    Field::of("max-devices", "/terms/max_devices", Kind::Number, "At once").default("1"),
];
