//! The states of a subscription, and the verbs between them. Pure.
//!
//! The database has the same table of transitions and has the last word.

use crate::words::choices;

choices! {
    State {
        Pending = "pending",
        Active = "active",
        // Past its end, still on-line for a while.
        Grace = "grace",
        Suspended = "suspended",
        Expired = "expired",
        // For good.
        Cancelled = "cancelled",
    }
}

impl State {
    /// May its subscriber be on-line?
    pub const fn is_live(self) -> bool {
        match self {
            Self::Active | Self::Grace => true,
            Self::Pending | Self::Suspended | Self::Expired | Self::Cancelled => false,
        }
    }
}

/// What staff does to a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Activate,
    Suspend,
    Resume,
    Expire,
    Cancel,
}

impl Verb {
    pub const ALL: [Self; 5] =
        [Self::Activate, Self::Suspend, Self::Resume, Self::Expire, Self::Cancel];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Activate => "activate",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::Expire => "expire",
            Self::Cancel => "cancel",
        }
    }

    /// Where it leads, if it is allowed from here.
    pub const fn from(self, state: State) -> Option<State> {
        use State::{Active, Cancelled, Expired, Grace, Pending, Suspended};
        match (self, state) {
            (Self::Activate, Pending | Expired) | (Self::Resume, Suspended) => Some(Active),
            (Self::Suspend, Active | Grace) => Some(Suspended),
            (Self::Expire, Active | Grace | Suspended) => Some(Expired),
            (Self::Cancel, Pending | Active | Grace | Suspended | Expired) => Some(Cancelled),
            (Self::Activate, Active | Grace | Suspended | Cancelled)
            | (Self::Suspend, Pending | Suspended | Expired | Cancelled)
            | (Self::Resume, Pending | Active | Grace | Expired | Cancelled)
            | (Self::Expire, Pending | Expired | Cancelled)
            | (Self::Cancel, Cancelled) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancelled_subscription_stays_cancelled() {
        for verb in Verb::ALL {
            assert_eq!(verb.from(State::Cancelled), None, "{verb:?}");
        }
    }

    #[test]
    fn only_what_is_suspended_is_resumed() {
        assert_eq!(Verb::Resume.from(State::Suspended), Some(State::Active));
        assert_eq!(Verb::Activate.from(State::Suspended), None);
        assert_eq!(Verb::Suspend.from(State::Grace), Some(State::Suspended));
    }
}
