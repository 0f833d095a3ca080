//! Mutants of the topic `subscriptions`.

use super::cut::{Code, Mutant, Sql};

pub(super) const MUTANTS: &[Mutant] = &[
    (
        "periods_do_not_overlap",
        &[Sql("ALTER TABLE subscription_period DROP CONSTRAINT subscription_period_once")],
    ),
    ("a_subscription_does_not_jump", &[Sql("DROP TRIGGER subscription_guard ON subscription")]),
    ("a_change_raises_the_revision", &[Sql("DROP TRIGGER subscription_guard ON subscription")]),
    (
        "a_lost_hour_is_credited_once",
        &[Sql("ALTER TABLE outage_credit DROP CONSTRAINT outage_credit_once")],
    ),
    (
        "what_a_period_was_stays",
        &[Sql("DROP TRIGGER subscription_period_guard ON subscription_period")],
    ),
    (
        "what_a_period_was_stays",
        &[Code("subscription_period_guard", "NEW.rated_bytes < OLD.rated_bytes", "false")],
    ),
    (
        "what_a_period_was_stays",
        &[Code(
            "subscription_period_guard",
            "NEW.plan_version_id, NEW.given",
            "NEW.plan_version_id, OLD.given",
        )],
    ),
    ("a_subscriber_has_one_plan", &[Sql("DROP INDEX subscription_live")]),
    ("an_outage_is_one", &[Sql("ALTER TABLE outage DROP CONSTRAINT outage_once")]),
    (
        "the_other_hour_is_credited",
        &[Sql("ALTER TABLE outage_credit ADD UNIQUE (tenant_id, subscription_id)")],
    ),
];
