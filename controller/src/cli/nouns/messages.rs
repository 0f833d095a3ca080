//! What subscribers and staff are told, by whom it is carried, and how long it is kept.

use super::{Action, Field, Kind, Noun, business::SUBSCRIBER_FILTER, word};
use crate::words::Name;

pub(super) const NOUNS: &[Noun] = &[
    Noun {
        name: "messages",
        about: "E-mail, SMS and WhatsApp",
        actions: &[
            Action::list(
                "List messages, oldest first",
                "/api/messages",
                &[
                    ("ID", "/id"),
                    ("Kind", "/kind"),
                    ("Channel", "/channel"),
                    ("Recipient", "/recipient"),
                    ("State", "/state"),
                    ("Attempts", "/attempts"),
                    ("Due", "/due_at"),
                    ("Said", "/said"),
                ],
                &[
                    SUBSCRIBER_FILTER,
                    Field::text(
                        "state",
                        "state",
                        "waiting, sending, sent, delivered, dead or withheld",
                    ),
                ],
            ),
            Action::show("Show one message", "/api/messages/{id}"),
            Action::create(
                "Write to a subscriber",
                "/api/messages",
                &[
                    Field::text("subscriber", "/subscriber", "Whom").must(),
                    Field::text("channel", "/channel", "email or sms").must(),
                    Field::text("class", "/class", "transactional or marketing")
                        .default("transactional"),
                    Field::of("subject", "/subject", Kind::Text(word::<Name>), "Of an e-mail"),
                    Field::text("body", "/body", "What it says").must(),
                ],
            ),
            Action::post(
                "resend",
                "Send again what was given up",
                "/api/messages/{id}/resend",
                &[],
            ),
            Action::whole(
                "templates",
                "How each kind of message goes and what it says",
                "/api/message-templates",
                &[("Kind", "/kind"), ("Channels", "/channels"), ("Version", "/version")],
            ),
        ],
    },
    Noun {
        name: "message-providers",
        about: "Who carries messages",
        actions: &[
            Action::list(
                "List who carries messages",
                "/api/message-providers",
                &[
                    ("ID", "/id"),
                    ("Channel", "/channel"),
                    ("Name", "/name"),
                    ("Kind", "/setup/kind"),
                    ("Active", "/active"),
                ],
                &[],
            ),
            Action::show("Show one", "/api/message-providers/{id}"),
            Action::create("Add one", "/api/message-providers", PROVIDER),
            Action::update(
                "Change one",
                "/api/message-providers/{id}",
                &[
                    Field::of("name", "/name", Kind::Text(word::<Name>), "For people"),
                    SECRET,
                    Field::of("off", "/active", Kind::Truth(false), "Nothing is sent by it"),
                    Field::of("on", "/active", Kind::Truth(true), "It carries its channel"),
                ],
            ),
            Action::get(
                "address",
                "Where it reports what became of messages",
                "/api/message-providers/{id}/address",
            ),
            Action::post(
                "test",
                "Send a message that says that it is a test",
                "/api/message-providers/{id}/test",
                &[Field::text("recipient", "/recipient", "An address or a number").must()],
            ),
        ],
    },
    Noun {
        name: "legal-holds",
        about: "What is kept although it is old",
        actions: &[
            Action::list(
                "List legal holds",
                "/api/legal-holds",
                &[
                    ("ID", "/id"),
                    ("Subscriber", "/subscriber"),
                    ("Reason", "/reason"),
                    ("Placed", "/placed_at"),
                    ("Lifted", "/lifted_at"),
                ],
                &[],
            ),
            Action::create(
                "Keep everything about a subscriber",
                "/api/legal-holds",
                &[
                    Field::text("subscriber", "/subscriber", "Whom; none: everybody"),
                    Field::of("reason", "/reason", Kind::Text(word::<Name>), "Why").must(),
                ],
            ),
            Action::post("lift", "Lift one", "/api/legal-holds/{id}/lift", &[]),
            Action::whole(
                "old",
                "Count what is older than it is kept",
                "/api/retention",
                &[("Class", "/class"), ("Days", "/days"), ("Rows", "/rows")],
            ),
        ],
    },
];

const SECRET: Field =
    Field::of("secret-file", "/secret", Kind::Secret, "File with the password, key or token");

const PROVIDER: &[Field] = &[
    Field::of("name", "/name", Kind::Text(word::<Name>), "For people").must(),
    Field::text("kind", "/setup/kind", "smtp, africastalking, http or cloud").must(),
    SECRET,
    Field::of("report-secret-file", "/report_secret", Kind::Secret, "WhatsApp: the app secret"),
    Field::text("host", "/setup/host", "SMTP: the server"),
    Field::of("port", "/setup/port", Kind::Number, "SMTP: its port"),
    Field::text("security", "/setup/security", "SMTP: starttls, tls or none"),
    Field::text("from", "/setup/from", "SMTP: the address of the sender"),
    Field::text("username", "/setup/username", "SMTP and Africa's Talking: the login"),
    Field::text("sender", "/setup/sender", "Africa's Talking: a short code or a name"),
    Field::text("url", "/setup/url", "Where it is"),
    Field::text("phone-number-id", "/setup/phone_number_id", "WhatsApp: Meta's id of the number"),
];
