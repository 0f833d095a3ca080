//! Mutants of the topic `subscriptions`.

use super::cut::{Mutant, Sql};

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
];
