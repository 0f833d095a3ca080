//! What stands in the field, and who is on-line there.

use super::{Action, Does, Field, Kind, Noun, business, word};
use crate::words::Name;

pub(super) const NOUNS: &[Noun] = &[
    Noun {
        name: "nas",
        about: "RADIUS clients of edges",
        actions: &[
            Action::list(
                "List NASes",
                "/api/network/nas",
                &[
                    ("ID", "/id"),
                    ("Name", "/name"),
                    ("Address", "/address"),
                    ("Edge", "/edge"),
                    ("Enforce", "/enforce"),
                    ("Vendor", "/vendor"),
                ],
                &[],
            ),
            Action::show("Show one NAS", "/api/network/nas/{id}"),
            Action::create(
                "Add a NAS to an edge",
                "/api/network/nas",
                &[
                    Field::text("edge", "/edge", "Id of the edge").must(),
                    NAME.must().unique(),
                    Field::text("address", "/address", "Address or prefix of its packets").must(),
                    Field::of("secret-file", "/secret", Kind::Secret, "File with the shared secret")
                        .must(),
                    Field::text("enforce", "/enforce", "Who shapes: edge or nas").default("nas"),
                    Field::text(
                        "vendor",
                        "/vendor",
                        "Whose words replies speak: standard, mikrotik, chillispot, cisco, ubiquiti, \
                         cambium, canopy, aruba, omada or huawei",
                    )
                    .default("standard"),
                    Field::of(
                        "without-message-authenticator",
                        "/require_message_authenticator",
                        Kind::Truth(false),
                        "Take requests without Message-Authenticator too (CVE-2024-3596)",
                    ),
                ],
            ),
        ],
    },
    Noun {
        name: "access-points",
        about: "Radios",
        actions: &[
            Action::list(
                "List access points",
                "/api/network/access-points",
                &[
                    ("ID", "/id"),
                    ("Name", "/name"),
                    ("MAC", "/mac"),
                    ("Model", "/model"),
                    ("Site", "/site"),
                    ("NAS", "/nas"),
                ],
                &[],
            ),
            Action::show("Show one access point", "/api/network/access-points/{id}"),
            Action::create(
                "Add an access point",
                "/api/network/access-points",
                &[
                    NAME.must(),
                    Field::text("mac", "/mac", "Its MAC address").must().unique(),
                    Field::text("nas", "/nas", "The NAS that it belongs to, or is"),
                    Field::text("model", "/model", "What it is"),
                    Field::text("site", "/site", "Where it stands"),
                ],
            ),
        ],
    },
    Noun {
        name: "edges",
        about: "Hosts in the field",
        actions: &[
            Action::list(
                "List edges",
                "/api/network/edges",
                &[
                    ("ID", "/id"),
                    ("Name", "/name"),
                    ("Site", "/site"),
                    ("On-line", "/online"),
                    ("Last seen", "/last_seen"),
                    ("Desired", "/desired_revision"),
                    ("Applied", "/applied_revision"),
                ],
                &[],
            ),
            Action::show("Show one edge", "/api/network/edges/{id}"),
            Action::create(
                "Add an edge; prints the secret that it logs in with, once",
                "/api/network/edges",
                &[NAME.must().unique(), Field::text("site", "/site", "Where it stands")],
            ),
            Action::post(
                "renew-secret",
                "Give an edge a new secret, and print it once",
                "/api/network/edges/{id}/secret",
                &[],
            ),
        ],
    },
    Noun {
        name: "sessions",
        about: "Who is and was on-line",
        actions: &[
            Action::list(
                "List sessions, newest first",
                "/api/sessions",
                &[
                    ("ID", "/id"),
                    ("Username", "/username"),
                    ("MAC", "/mac"),
                    ("IP", "/ip"),
                    ("Started", "/started_at"),
                    ("Stopped", "/stopped_at"),
                    ("Down bytes", "/down_bytes"),
                    ("Up bytes", "/up_bytes"),
                ],
                &[
                    Field::text("state", "state", "live, past or all"),
                    business::SUBSCRIBER_FILTER,
                    Field::text("edge", "edge", "Only at this edge"),
                ],
            ),
            Action::show("Show one session", "/api/sessions/{id}"),
            Action::post(
                "start",
                "Let somebody on-line for a while who has not paid",
                "/api/sessions/start",
                &[
                    Field::text("subscriber", "/subscriber", "Who").must(),
                    Field::of("seconds", "/seconds", Kind::Number, "For how long").default("900"),
                    Field::of("data-bytes", "/data_bytes", Kind::Number, "No more than this"),
                    Field::of("plan", "/plan_version", Kind::Plan, "Whose rates; else the last"),
                ],
            ),
            Action::post("end", "Disconnect", "/api/sessions/{id}/end", &[]),
            Action {
                name: "why",
                about: "Say why a subscriber is off-line",
                does: Does::ShowList(
                    "/checks",
                    &[
                        ("Check", "/name"),
                        ("Verdict", "/verdict"),
                        ("Seen", "/says"),
                        ("At", "/at"),
                    ],
                ),
                path: "/api/network/diagnostics",
                fields: &[Field::text(
                    "search",
                    "search",
                    "Account number, username, mobile number or MAC address",
                )
                .must()],
            },
        ],
    },
];

const NAME: Field = Field::of("name", "/name", Kind::Text(word::<Name>), "For people");
