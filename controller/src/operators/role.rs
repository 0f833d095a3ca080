//! Roles of staff. Pure.

use crate::words::choices;

choices! {
    /// What somebody may do. Sets of these stand at the routes.
    Role {
        // Runs the platform: tenants, and nothing inside of one.
        Platform = "platform",
        // Everything in one tenant.
        Owner = "owner",
        Finance = "finance",
        Noc = "noc",
        Support = "support",
        // Sells; sees only what is its own.
        Reseller = "reseller",
        // Reads everything, changes nothing.
        Auditor = "auditor",
    }
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
    /// The same, and who sees what is a reseller's: the database shows them nothing else.
    pub const READERS_AND_RESELLERS: &[Self] =
        &[Self::Owner, Self::Finance, Self::Noc, Self::Support, Self::Auditor, Self::Reseller];
    /// [`Self::READERS`], and who runs the platform, which sends mail, too.
    pub const MAIL_READERS: &[Self] =
        &[Self::Platform, Self::Owner, Self::Finance, Self::Noc, Self::Support, Self::Auditor];
    /// Who looks after subscribers.
    pub const FRONT_DESK: &[Self] = &[Self::Owner, Self::Finance, Self::Noc, Self::Support];
    /// Who decides what is sold.
    pub const SALES: &[Self] = &[Self::Owner, Self::Finance];
    /// Who takes money.
    pub const CASHIERS: &[Self] = &[Self::Owner, Self::Finance, Self::Support];
    /// Who may read the books.
    pub const BOOKKEEPERS: &[Self] = &[Self::Owner, Self::Finance, Self::Auditor];
    /// Who builds the network.
    pub const NETWORK: &[Self] = &[Self::Owner, Self::Noc];
    /// Who may read about staff.
    pub const OVERSIGHT: &[Self] = &[Self::Platform, Self::Owner, Self::Auditor];
    /// Who hires.
    pub const HEADS: &[Self] = &[Self::Platform, Self::Owner];
    pub const PLATFORM: &[Self] = &[Self::Platform];
}
