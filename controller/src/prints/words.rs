//! What stands on paper, in English and in Swahili. Pure.

use crate::words::choices;

choices! {
    /// In which language it is printed.
    Language {
        English = "en",
        Swahili = "sw",
    }
}

macro_rules! says {
    ($($name:ident: $english:literal, $swahili:literal;)*) => {
        impl Language {
            $(pub(super) const fn $name(self) -> &'static str {
                match self {
                    Self::English => $english,
                    Self::Swahili => $swahili,
                }
            })*
        }
    };
}

says! {
    invoice: "Invoice", "Ankara";
    draft: "DRAFT", "RASIMU";
    void: "VOID", "IMEFUTWA";
    number: "Number", "Nambari";
    issued: "Issued", "Imetolewa";
    due: "To be paid by", "Ilipwe kabla ya";
    account: "Account", "Akaunti";
    to: "To", "Kwa";
    description: "Description", "Maelezo";
    net: "Net", "Kabla ya kodi";
    excise: "Excise", "Ushuru";
    vat: "VAT", "VAT";
    total: "Total", "Jumla";
    paid: "Paid", "Imelipwa";
    credited: "Credited", "Imepunguzwa";
    open: "To be paid", "Salio la kulipa";
    pay_with: "Pay with this account number", "Lipa kwa nambari hii ya akaunti";
    voucher: "Voucher", "Vocha";
    serial: "Serial", "Nambari";
    redeem: "Connect to our Wi-Fi and type this code",
        "Jiunge na Wi-Fi yetu uandike nambari hii";
    valid: "Valid for", "Inatumika kwa";
    until: "Redeem by", "Itumike kabla ya";
    month: "month", "mwezi";
    months: "months", "miezi";
    day: "day", "siku";
    days: "days", "siku";
    hour: "hour", "saa";
    hours: "hours", "saa";
    minute: "minute", "dakika";
    minutes: "minutes", "dakika";
    unlimited: "no data limit", "data bila kikomo";
}
