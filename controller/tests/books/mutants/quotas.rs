//! Mutants of the topic `quotas`.

use super::cut::{Code, Cut, Mutant, Sql};

pub(super) const MUTANTS: &[Mutant] = &[
    ("a_quota_is_leased_once", NO_QUOTA),
    ("a_lease_is_settled_once", &[Code("settle_lease", "AND state = 'open'", "")]),
    (
        "a_lease_is_not_overspent",
        &[Sql("ALTER TABLE quota_lease DROP CONSTRAINT quota_lease_not_overspent")],
    ),
    (
        "leases_are_what_is_leased",
        &[Code("settle_lease", "bytes_leased - l.bytes", "bytes_leased")],
    ),
    ("edges_share_a_quota", &[Code("lease_to_edge", "spent + p_more - bound", "spent + p_more")]),
    (
        "edges_share_a_quota",
        &[Code("lease_to_edge", "ELSIF p_more = 0 OR NOT one.counts THEN", "ELSIF false THEN")],
    ),
    (
        "edges_share_a_quota",
        &[Code(
            "lease_to_edge",
            "AND l.edge_id <> p_edge AND l.state = 'open'",
            "AND l.state = 'open'",
        )],
    ),
    ("edges_share_a_quota", NO_QUOTA),
    ("many_questions_lend_once", NO_QUOTA),
    (
        "an_old_question_changes_nothing",
        &[Code("lease_to_edge", "IF q.fence < p_fence", "IF true")],
    ),
    (
        "a_lost_count_is_all_used",
        &[Code("lease_to_edge", "l.state = 'open' AND l.fence < q.since", "false")],
    ),
    ("a_revoked_edge_is_lent_nothing", &[Code("lease_to_edge", "AND NOT x.revoked", "")]),
    ("what_ends_first_is_used_first", &[Sql("DROP TRIGGER entitlement_count ON entitlement")]),
    (
        "what_ends_first_is_used_first",
        &[Sql("DROP TRIGGER entitlement_begins ON entitlement;
        ALTER TABLE entitlement ALTER counted_from SET DEFAULT '-infinity'")],
    ),
    ("what_ends_first_is_used_first", &[Sql("DROP TRIGGER voucher_used_up ON entitlement")]),
    (
        "what_ends_first_is_used_first",
        &[Code("use_entitlements", "ORDER BY upper(x.valid)", "ORDER BY upper(x.valid) DESC")],
    ),
    (
        "what_ends_first_is_used_first",
        &[Code("use_entitlements", "bytes := bytes - taken", "bytes := 0")],
    ),
    ("what_is_counted_is_lent_once", &[Code("lease_to_edge", "p_used - q.outside", "p_used")]),
    (
        "what_is_counted_is_lent_once",
        &[Code("use_entitlements", "leased := EXISTS", "leased := false AND EXISTS")],
    ),
    ("nobody_leases_by_hand", &[Sql("GRANT INSERT ON quota_lease TO kennet_ingest")]),
    ("nobody_leases_by_hand", &[Sql("GRANT UPDATE ON entitlement TO kennet_ingest")]),
    ("nobody_leases_by_hand", &[Sql("GRANT EXECUTE ON FUNCTION lease_to_edge TO PUBLIC")]),
];

/// Nobody looks at what is left.
const NO_QUOTA: &[Cut] = &[
    Sql("ALTER TABLE entitlement DROP CONSTRAINT entitlement_not_overspent"),
    Code(
        "lease_quota",
        "least(p_want, e.bytes_granted - e.bytes_consumed - e.bytes_leased)",
        "p_want",
    ),
];
