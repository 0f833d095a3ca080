//! Words about messages: how they go, what they are about, what a text may name. Pure.

use crate::words::choices;

choices! {
    /// How a message goes.
    MessageChannel {
        Email = "email",
        Sms = "sms",
        Whatsapp = "whatsapp",
    }
}

choices! {
    /// Whether somebody needs to know it, or somebody else wants it known.
    Class {
        Transactional = "transactional",
        Marketing = "marketing",
    }
}

choices! {
    MessageState {
        // For its time, or for a provider that is away.
        Waiting = "waiting",
        // A provider is being told just now.
        Sending = "sending",
        // A provider has it.
        Sent = "sent",
        // Whom it is for has it.
        Delivered = "delivered",
        // Given up.
        Dead = "dead",
        // Who it is for does not want it.
        Withheld = "withheld",
    }
}

choices! {
    /// What it is about.
    Kind {
        // The end, or the day on which to pay, is near.
        Remind = "remind",
        Renewed = "renewed",
        // It was not paid; it goes on for some days, is walled, off, over.
        Grace = "grace",
        Walled = "walled",
        Suspended = "suspended",
        Expired = "expired",
        // Money came in.
        Payment = "payment",
        // An invoice was issued; by e-mail it is attached.
        Invoice = "invoice",
        // A voucher was redeemed.
        Voucher = "voucher",
        // Vouchers were sold to a reseller.
        Sale = "sale",
        // Somebody answered, or it is done.
        Ticket = "ticket",
        // Somebody is to join the staff, or to choose a new password.
        Invitation = "invitation",
        Reset = "reset",
        // Whoever has this number says so.
        Code = "code",
        // What staff wrote.
        Note = "note",
        // Whether a provider works.
        Test = "test",
    }
}

impl Kind {
    /// Of which a tenant may change the texts.
    pub(super) const WITH_TEXTS: [Self; 14] = [
        Self::Remind,
        Self::Renewed,
        Self::Grace,
        Self::Walled,
        Self::Suspended,
        Self::Expired,
        Self::Payment,
        Self::Invoice,
        Self::Voucher,
        Self::Sale,
        Self::Ticket,
        Self::Invitation,
        Self::Reset,
        Self::Code,
    ];

    /// What its texts may name.
    pub(super) const fn facts(self) -> &'static [&'static str] {
        match self {
            Self::Remind => &["name", "account", "provider", "plan", "amount", "date", "days"],
            Self::Renewed | Self::Grace | Self::Walled | Self::Suspended | Self::Expired => {
                &["name", "account", "provider", "plan", "amount", "date"]
            }
            Self::Payment => &["name", "account", "provider", "amount", "receipt", "date"],
            Self::Invoice => &["name", "account", "provider", "amount", "number", "date"],
            Self::Voucher => &["name", "account", "provider", "plan", "serial"],
            Self::Sale => &["name", "provider", "plan", "count", "amount", "date"],
            Self::Ticket => &["name", "account", "provider", "reference", "title"],
            Self::Invitation | Self::Reset => &["provider", "link", "date"],
            Self::Code => &["provider", "code"],
            Self::Note => &["text"],
            Self::Test => &["provider"],
        }
    }

    /// What they must name.
    pub(super) const fn needs(self) -> &'static [&'static str] {
        match self {
            Self::Invitation | Self::Reset => &["link"],
            Self::Code => &["code"],
            Self::Note => &["text"],
            Self::Remind
            | Self::Renewed
            | Self::Grace
            | Self::Walled
            | Self::Suspended
            | Self::Expired
            | Self::Payment
            | Self::Invoice
            | Self::Voucher
            | Self::Sale
            | Self::Ticket
            | Self::Test => &[],
        }
    }

    /// Whoever waits for it is awake.
    pub(super) const fn is_urgent(self) -> bool {
        match self {
            Self::Payment
            | Self::Voucher
            | Self::Sale
            | Self::Invitation
            | Self::Reset
            | Self::Code
            | Self::Test => true,
            Self::Remind
            | Self::Renewed
            | Self::Grace
            | Self::Walled
            | Self::Suspended
            | Self::Expired
            | Self::Invoice
            | Self::Ticket
            | Self::Note => false,
        }
    }

    /// How it goes, unless the tenant says otherwise.
    pub(super) const fn channels(self) -> &'static [MessageChannel] {
        match self {
            Self::Remind | Self::Suspended | Self::Sale => {
                &[MessageChannel::Sms, MessageChannel::Email]
            }
            Self::Renewed
            | Self::Grace
            | Self::Walled
            | Self::Expired
            | Self::Payment
            | Self::Voucher
            | Self::Code => &[MessageChannel::Sms],
            Self::Invoice | Self::Ticket | Self::Invitation | Self::Reset => {
                &[MessageChannel::Email]
            }
            Self::Note | Self::Test => &[],
        }
    }
}
