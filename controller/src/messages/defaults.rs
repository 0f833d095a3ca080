//! The texts of a tenant that has not written any. Pure; a test checks each as if it were saved.

use super::{
    template::Text,
    words::{Kind, MessageChannel},
};
use crate::prints::Language::{self, English, Swahili};

/// None: this is not told so. What WhatsApp tells, it has to approve first.
pub(super) fn text(kind: Kind, channel: MessageChannel, language: Language) -> Option<Text> {
    let (subject, body) = match language {
        English => english(kind),
        Swahili => swahili(kind),
    };
    let subject = match channel {
        MessageChannel::Email => subject,
        MessageChannel::Sms => "",
        MessageChannel::Whatsapp => return None,
    };
    Some(Text { subject: subject.to_owned(), body: body.to_owned() })
}

const fn english(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Remind => (
            "Your {plan} ends on {date}",
            "Dear {name}, your {plan} ends on {date}. To stay online pay {amount} to account \
             {account}. {provider}",
        ),
        Kind::Renewed => (
            "Your {plan} goes on until {date}",
            "Dear {name}, we received {amount}. Your {plan} goes on until {date}. {provider}",
        ),
        Kind::Grace => (
            "Your {plan} has ended",
            "Dear {name}, your {plan} ended on {date} and goes on for a short while. Pay {amount} \
             to account {account}. {provider}",
        ),
        Kind::Walled => (
            "Your internet is limited",
            "Dear {name}, your {plan} ended on {date}; only paying is possible now. Pay {amount} \
             to account {account}. {provider}",
        ),
        Kind::Suspended => (
            "Your internet is off",
            "Dear {name}, your {plan} is off since it was not paid. Pay {amount} to account \
             {account} and you are online again. {provider}",
        ),
        Kind::Expired => (
            "Your {plan} is over",
            "Dear {name}, your {plan} is over. To come back pay to account {account}. {provider}",
        ),
        Kind::Payment => (
            "We received {amount}",
            "Dear {name}, we received {amount} for account {account}, receipt {receipt}. Thank \
             you. {provider}",
        ),
        Kind::Invoice => (
            "Invoice {number}",
            "Dear {name},\n\nyour invoice {number} of {amount} is attached. It is to be paid by \
             {date} to account {account}.\n\n{provider}",
        ),
        Kind::Voucher => (
            "Your voucher is in use",
            "Dear {name}, voucher {serial} was redeemed for {plan} on account {account}. \
             {provider}",
        ),
        Kind::Sale => (
            "{count} vouchers for {plan}",
            "Dear {name}, {count} vouchers for {plan} are yours to sell; {amount} was taken out of \
             your float. {provider}",
        ),
        Kind::Ticket => (
            "{reference}: {title}",
            "Dear {name}, there is an answer to your request {reference} ({title}). {provider}",
        ),
        Kind::Invitation => (
            "{provider} invites you",
            "You are invited to join the staff of {provider}. Open this link and choose a \
             password; it is good once, until {date}:\n\n{link}\n",
        ),
        Kind::Reset => (
            "Choose a new password",
            "To choose a new password at {provider} open this link; it is good once, until \
             {date}:\n\n{link}\n",
        ),
        Kind::Code => ("Your code", "{code} is your code for {provider}. Tell it to nobody."),
        Kind::Test => ("A test", "This is a test of {provider}."),
        Kind::Note => ("{text}", "{text}"),
    }
}

const fn swahili(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Remind => (
            "{plan} yako inaisha {date}",
            "Mpendwa {name}, {plan} yako inaisha {date}. Ili uendelee kuwa hewani lipa {amount} \
             kwa akaunti {account}. {provider}",
        ),
        Kind::Renewed => (
            "{plan} yako inaendelea hadi {date}",
            "Mpendwa {name}, tumepokea {amount}. {plan} yako inaendelea hadi {date}. {provider}",
        ),
        Kind::Grace => (
            "{plan} yako imeisha",
            "Mpendwa {name}, {plan} yako iliisha {date} na inaendelea kwa muda mfupi. Lipa \
             {amount} kwa akaunti {account}. {provider}",
        ),
        Kind::Walled => (
            "Intaneti yako imepunguzwa",
            "Mpendwa {name}, {plan} yako iliisha {date}; sasa unaweza kulipa tu. Lipa {amount} kwa \
             akaunti {account}. {provider}",
        ),
        Kind::Suspended => (
            "Intaneti yako imezimwa",
            "Mpendwa {name}, {plan} yako imezimwa kwa sababu haijalipiwa. Lipa {amount} kwa \
             akaunti {account} na utarudi hewani. {provider}",
        ),
        Kind::Expired => (
            "{plan} yako imekwisha",
            "Mpendwa {name}, {plan} yako imekwisha. Ili urudi lipa kwa akaunti {account}. \
             {provider}",
        ),
        Kind::Payment => (
            "Tumepokea {amount}",
            "Mpendwa {name}, tumepokea {amount} kwa akaunti {account}, risiti {receipt}. Asante. \
             {provider}",
        ),
        Kind::Invoice => (
            "Ankara {number}",
            "Mpendwa {name},\n\nankara yako {number} ya {amount} imeambatishwa. Ilipwe kabla ya \
             {date} kwa akaunti {account}.\n\n{provider}",
        ),
        Kind::Voucher => (
            "Vocha yako inatumika",
            "Mpendwa {name}, vocha {serial} imetumika kwa {plan} kwenye akaunti {account}. \
             {provider}",
        ),
        Kind::Sale => (
            "Vocha {count} za {plan}",
            "Mpendwa {name}, vocha {count} za {plan} ni zako kuuza; {amount} imetolewa kwenye salio \
             lako. {provider}",
        ),
        Kind::Ticket => (
            "{reference}: {title}",
            "Mpendwa {name}, kuna jibu kwa ombi lako {reference} ({title}). {provider}",
        ),
        Kind::Invitation => (
            "{provider} inakualika",
            "Umealikwa kujiunga na wafanyakazi wa {provider}. Fungua kiungo hiki uchague nywila; \
             kinatumika mara moja, hadi {date}:\n\n{link}\n",
        ),
        Kind::Reset => (
            "Chagua nywila mpya",
            "Ili kuchagua nywila mpya ya {provider} fungua kiungo hiki; kinatumika mara moja, hadi \
             {date}:\n\n{link}\n",
        ),
        Kind::Code => {
            ("Nambari yako", "{code} ni nambari yako ya {provider}. Usimwambie mtu yeyote.")
        }
        Kind::Test => ("Jaribio", "Hili ni jaribio la {provider}."),
        Kind::Note => ("{text}", "{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::template;

    #[test]
    fn each_could_be_saved_and_an_sms_is_short() {
        for kind in Kind::WITH_TEXTS {
            for channel in [MessageChannel::Email, MessageChannel::Sms] {
                for language in [English, Swahili] {
                    let text = text(kind, channel, language).unwrap();
                    template::check(kind, channel, &text).unwrap();
                    let filled = template::fill(&text.body, &template::sample(kind));
                    let parts = crate::messages::segments::count(&filled);
                    // Links are not told by SMS.
                    let link = kind.facts().contains(&"link");
                    assert!(parts <= 2 || link, "{kind:?} {parts}: {filled}");
                }
            }
            assert_eq!(text(kind, MessageChannel::Whatsapp, English), None);
        }
    }
}
