//! Roles of staff. Pure.

/// What somebody may do. Sets of these stand at the routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Runs the platform: tenants, and nothing inside of one.
    Platform,
    /// Everything in one tenant.
    Owner,
    Finance,
    Noc,
    Support,
    /// Sells; sees only what is its own.
    Reseller,
    /// Reads everything, changes nothing.
    Auditor,
}

impl Role {
    pub const ALL: [Self; 7] = [
        Self::Platform,
        Self::Owner,
        Self::Finance,
        Self::Noc,
        Self::Support,
        Self::Reseller,
        Self::Auditor,
    ];

    /// Who may read what is in a tenant.
    pub const READERS: &[Self] =
        &[Self::Owner, Self::Finance, Self::Noc, Self::Support, Self::Auditor];
    /// Who looks after subscribers.
    pub const FRONT_DESK: &[Self] = &[Self::Owner, Self::Finance, Self::Noc, Self::Support];
    /// Who decides what is sold.
    pub const SALES: &[Self] = &[Self::Owner, Self::Finance];
    /// Who builds the network.
    pub const NETWORK: &[Self] = &[Self::Owner, Self::Noc];
    /// Who may read about staff.
    pub const OVERSIGHT: &[Self] = &[Self::Platform, Self::Owner, Self::Auditor];
    /// Who hires.
    pub const HEADS: &[Self] = &[Self::Platform, Self::Owner];
    pub const PLATFORM: &[Self] = &[Self::Platform];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Owner => "owner",
            Self::Finance => "finance",
            Self::Noc => "noc",
            Self::Support => "support",
            Self::Reseller => "reseller",
            Self::Auditor => "auditor",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}
