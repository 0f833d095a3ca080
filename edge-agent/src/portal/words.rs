//! What the pages say, in the languages that they speak (pure).

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Language {
    #[default]
    English,
    Swahili,
}

impl Language {
    /// `chosen` is what the link to switch says; `accepted` is Accept-Language.
    pub(super) fn of(chosen: Option<&str>, accepted: &str) -> Self {
        chosen.and_then(Self::tagged).unwrap_or_else(|| Self::preferred(accepted))
    }

    /// The first of the highest weight, RFC 9110 §12.5.4.
    fn preferred(accepted: &str) -> Self {
        let mut best = (0, Self::default());
        for range in accepted.split(',') {
            let (tag, parameters) = range.split_once(';').unwrap_or((range, ""));
            let weight = parameters.trim().strip_prefix("q=").map_or(1_000, thousandths);
            if let Some(language) = Self::tagged(tag.trim())
                && weight > best.0
            {
                best = (weight, language);
            }
        }
        best.1
    }

    fn tagged(tag: &str) -> Option<Self> {
        let primary = tag.split('-').next().unwrap_or_default();
        [Self::English, Self::Swahili]
            .into_iter()
            .find(|language| primary.eq_ignore_ascii_case(language.tag()))
    }

    pub(super) const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Swahili => "sw",
        }
    }

    pub(super) const fn other(self) -> Self {
        match self {
            Self::English => Self::Swahili,
            Self::Swahili => Self::English,
        }
    }

    pub(super) const fn words(self) -> &'static Words {
        match self {
            Self::English => &ENGLISH,
            Self::Swahili => &SWAHILI,
        }
    }
}

/// A weight from 0 to 1 with up to three decimals; what is none is 0.
fn thousandths(text: &str) -> u32 {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{whole}{decimals:0<3}");
    if decimals.len() > 3 || whole.len() != 1 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return 0;
    }
    digits.parse::<u32>().unwrap_or(0).min(1_000)
}

/// What the page says besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    WrongPassword,
    Blocked,
    UsedUp,
    TooManyDevices,
    TooManyTries,
    /// The form is old, or was never shown.
    Expired,
    DeviceUnknown,
    /// It would work, and does not now.
    Busy,
}

impl Notice {
    pub(super) const fn text(self, words: &Words) -> &'static str {
        match self {
            Self::WrongPassword => words.wrong_password,
            Self::Blocked => words.blocked,
            Self::UsedUp => words.used_up,
            Self::TooManyDevices => words.too_many_devices,
            Self::TooManyTries => words.too_many_tries,
            Self::Expired => words.expired,
            Self::DeviceUnknown => words.device_unknown,
            Self::Busy => words.busy,
        }
    }
}

#[derive(Debug)]
pub(super) struct Words {
    /// Of the language itself.
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) on_line: &'static str,
    pub(super) off_line: &'static str,
    pub(super) please_log_in: &'static str,
    pub(super) username: &'static str,
    pub(super) password: &'static str,
    pub(super) log_in: &'static str,
    pub(super) log_out: &'static str,
    pub(super) account: &'static str,
    pub(super) download: &'static str,
    pub(super) upload: &'static str,
    pub(super) data_used: &'static str,
    pub(super) data_left: &'static str,
    pub(super) time_left: &'static str,
    pub(super) no_limit: &'static str,
    pub(super) device: &'static str,
    pub(super) not_found: &'static str,
    pub(super) go_on: &'static str,
    pub(super) wrong_password: &'static str,
    pub(super) blocked: &'static str,
    pub(super) used_up: &'static str,
    pub(super) too_many_devices: &'static str,
    pub(super) too_many_tries: &'static str,
    pub(super) expired: &'static str,
    pub(super) device_unknown: &'static str,
    pub(super) busy: &'static str,
}

const ENGLISH: Words = Words {
    name: "English",
    title: "Internet access",
    on_line: "You are on-line.",
    off_line: "You are not on-line yet.",
    please_log_in: "Log in with the username and password from your provider.",
    username: "Username",
    password: "Password",
    log_in: "Log in",
    log_out: "Log out",
    account: "Account",
    download: "Download",
    upload: "Upload",
    data_used: "Data used",
    data_left: "Data left",
    time_left: "Time left",
    no_limit: "no limit",
    device: "Device",
    not_found: "There is nothing here.",
    go_on: "Continue",
    wrong_password: "Wrong username or password.",
    blocked: "Your access is blocked. Please contact your provider.",
    used_up: "Your plan is used up. Please renew it.",
    too_many_devices: "Too many of your devices are on-line. \
        Please disconnect one and try again.",
    too_many_tries: "Too many attempts. Please wait a minute and try again.",
    expired: "This page was too old. Please try again.",
    device_unknown: "This device is not known here. \
        Connect it directly to this network and open the page again.",
    busy: "This does not work right now. Please try again.",
};

const SWAHILI: Words = Words {
    name: "Kiswahili",
    title: "Huduma ya intaneti",
    on_line: "Umeunganishwa.",
    off_line: "Bado hujaunganishwa.",
    please_log_in: "Ingia kwa jina la mtumiaji na nenosiri ulilopewa na mtoa huduma wako.",
    username: "Jina la mtumiaji",
    password: "Nenosiri",
    log_in: "Ingia",
    log_out: "Toka",
    account: "Akaunti",
    download: "Kupakua",
    upload: "Kupakia",
    data_used: "Data iliyotumika",
    data_left: "Data iliyobaki",
    time_left: "Muda uliobaki",
    no_limit: "bila kikomo",
    device: "Kifaa",
    not_found: "Hakuna kitu hapa.",
    go_on: "Endelea",
    wrong_password: "Jina la mtumiaji au nenosiri si sahihi.",
    blocked: "Huduma yako imezuiwa. Tafadhali wasiliana na mtoa huduma wako.",
    used_up: "Kifurushi chako kimeisha. Tafadhali kinunue tena.",
    too_many_devices: "Vifaa vyako vingi mno vimeunganishwa. \
        Tafadhali tenganisha kimoja kisha ujaribu tena.",
    too_many_tries: "Umejaribu mara nyingi mno. Tafadhali subiri dakika moja kisha ujaribu tena.",
    expired: "Ukurasa huu umepitwa na wakati. Tafadhali jaribu tena.",
    device_unknown: "Kifaa hiki hakijulikani hapa. \
        Kiunganishe moja kwa moja na mtandao huu kisha ufungue ukurasa tena.",
    busy: "Haiwezekani kwa sasa. Tafadhali jaribu tena.",
};

/// In units of 1,000, as plans are sold.
pub(super) fn bytes(count: u64) -> String {
    let units =
        [("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)];
    match units.into_iter().find(|(_, size)| count >= *size) {
        Some((unit, size)) => format!("{} {unit}", tenths(count, size)),
        None => format!("{count} B"),
    }
}

pub(super) fn rate(kbps: u32) -> String {
    match kbps {
        0..1_000 => format!("{kbps} kbit/s"),
        1_000.. => format!("{} Mbit/s", tenths(u64::from(kbps), 1_000)),
    }
}

/// Rounded down: nobody has more than is said.
fn tenths(count: u64, size: u64) -> String {
    let (whole, tenth) = (count / size, count % size / (size / 10));
    if tenth == 0 { whole.to_string() } else { format!("{whole}.{tenth}") }
}

/// The two largest units that there are.
pub(super) fn duration(seconds: u64, language: Language) -> String {
    let (days, hours) = (seconds / 86_400, seconds % 86_400 / 3_600);
    let (minutes, rest) = (seconds % 3_600 / 60, seconds % 60);
    match (language, days, hours, minutes) {
        (Language::English, 0, 0, 0) => format!("{rest} s"),
        (Language::English, 0, 0, _) => format!("{minutes} min"),
        (Language::English, 0, ..) => format!("{hours} h {minutes} min"),
        (Language::English, ..) => format!("{days} d {hours} h"),
        (Language::Swahili, 0, 0, 0) => format!("sekunde {rest}"),
        (Language::Swahili, 0, 0, _) => format!("dakika {minutes}"),
        (Language::Swahili, 0, ..) => format!("saa {hours}, dakika {minutes}"),
        (Language::Swahili, ..) => format!("siku {days}, saa {hours}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_language_is_the_one_that_was_chosen_or_else_is_liked_best() {
        use Language::{English, Swahili};
        for (chosen, accepted, expected) in [
            (None, "", English),
            (None, "sw", Swahili),
            (None, "sw-KE,en;q=0.8", Swahili),
            (None, "en-GB,sw;q=0.9", English),
            (None, "de, sw;q=0.7, en;q=0.6", Swahili),
            (None, "en;q=0.5, SW-TZ;q=0.501", Swahili),
            (None, "sw;q=0, fr", English),
            (None, "sw;q=nonsense", English),
            (None, "swe", English),
            (None, "*", English),
            (Some("sw"), "en", Swahili),
            (Some("en"), "sw", English),
            (Some("fr"), "sw", Swahili),
        ] {
            assert_eq!(Language::of(chosen, accepted), expected, "{chosen:?}, {accepted}");
        }
    }

    #[test]
    fn numbers_are_said_as_people_say_them() {
        let said = [999, 1_000, 1_550, 734_003_200, 1_000_000_000, 2_999_999_999].map(bytes);
        assert_eq!(said, ["999 B", "1 kB", "1.5 kB", "734 MB", "1 GB", "2.9 GB"]);
        assert_eq!([512, 1_000, 10_500].map(rate), ["512 kbit/s", "1 Mbit/s", "10.5 Mbit/s"]);
        let said = [0, 59, 60, 3_599, 3_600, 86_399, 90_000];
        let english = said.map(|seconds| duration(seconds, Language::English));
        let expected = ["0 s", "59 s", "1 min", "59 min", "1 h 0 min", "23 h 59 min", "1 d 1 h"];
        assert_eq!(english, expected);
        assert_eq!(duration(4_800, Language::Swahili), "saa 1, dakika 20");
    }

    proptest! {
        #[test]
        fn any_header_is_a_language(accepted in ".*", count: u64) {
            let _ = Language::of(Some(&accepted), &accepted);
            prop_assert!(bytes(count).len() < 20);
        }
    }
}
