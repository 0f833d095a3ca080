//! From rows of the old file to what the product knows. Pure.

use jiff::{Timestamp, civil, tz::TimeZone};

use super::file::Row;
use crate::words::{Email, Msisdn, Name, Username};

/// Why a row is not taken.
pub(super) type Why = String;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Client {
    pub(super) username: Username,
    pub(super) full_name: Name,
    pub(super) msisdn: Option<Msisdn>,
    pub(super) email: Option<Email>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) code: String,
    pub(super) name: Name,
    pub(super) price_cents: u64,
    pub(super) down_kbps: u32,
    pub(super) up_kbps: u32,
}

/// What is left out is said beside it.
pub(super) fn client(row: &Row) -> Result<(Client, Vec<String>), Why> {
    let id = row.id().unwrap_or("0");
    let name = row.get(&["full_name", "name", "client_name"]).ok_or("there is no name")?;
    let full_name = name.parse().map_err(|error| format!("name `{name}`: {error}"))?;
    let mut notes = Vec::new();
    let msisdn =
        row.get(&["msisdn", "phone", "mobile", "phone_number", "contact"]).and_then(|text| {
            let number = mobile(text);
            if number.is_none() {
                notes.push(format!("`{text}` is no Kenyan mobile number: left out"));
            }
            number
        });
    let email = row.get(&["email", "mail"]).and_then(|text| {
        let address = text.to_lowercase().parse().ok();
        if address.is_none() {
            notes.push(format!("`{text}` is no e-mail address: left out"));
        }
        address
    });
    let username = match row.get(&["username", "user", "login", "pppoe_username"]) {
        Some(text) => text.parse().map_err(|error| format!("username `{text}`: {error}"))?,
        None => made_of(name, id).parse().map_err(|error| format!("no username: {error}"))?,
    };
    Ok((Client { username, full_name, msisdn, email }, notes))
}

pub(super) fn plan(row: &Row, kbps: u32) -> Result<(Plan, Vec<String>), Why> {
    let name = row.get(&["name", "plan", "title", "plan_name"]).ok_or("there is no name")?;
    let price = row.get(&PRICE).ok_or("there is no price")?;
    let price_cents = cents(row, &PRICE).ok_or_else(|| format!("price `{price}` is no amount"))?;
    let price_cents =
        u64::try_from(price_cents).map_err(|_| "the price is below zero".to_owned())?;
    let mut notes = Vec::new();
    let down = row.get(&["down_kbps", "download_kbps"]).and_then(|text| text.parse().ok());
    let down = down.or_else(|| {
        row.get(&[
            "speed",
            "speed_mbps",
            "download",
            "download_speed",
            "down_mbps",
            "bandwidth",
            "mbps",
        ])
        .and_then(speed)
    });
    let down_kbps = down.unwrap_or_else(|| {
        notes.push(format!("no speed: {kbps} kbit/s"));
        kbps
    });
    let up = row.get(&["up_kbps", "upload_kbps"]).and_then(|text| text.parse().ok());
    let up = up.or_else(|| row.get(&["upload", "upload_speed", "up_mbps"]).and_then(speed));
    let parsed = name.parse().map_err(|error| format!("name `{name}`: {error}"))?;
    let code = made_of(name, row.id().unwrap_or("0")).replace(['.', '_'], "-");
    Ok((
        Plan { code, name: parsed, price_cents, down_kbps, up_kbps: up.unwrap_or(down_kbps) },
        notes,
    ))
}

pub(super) const AMOUNT: [&str; 7] =
    ["amount_cents", "amount", "total", "total_amount", "amount_kes", "amount_paid", "value"];
const PRICE: [&str; 6] =
    ["price_cents", "price", "monthly_price", "price_kes", "monthly_fee", "amount"];

/// Shillings with at most two places, or cents if the column says so. Never through a float.
pub(super) fn cents(row: &Row, names: &[&str]) -> Option<i64> {
    let (name, text) = names.iter().find_map(|name| Some((*name, row.get(&[name])?)))?;
    let text = text.replace(',', "");
    let text = text.trim_start_matches("KES").trim_start_matches("KSh").trim();
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if name.ends_with("_cents") {
        return (part.trim_end_matches('0').is_empty()).then(|| whole.parse().ok())?;
    }
    let part = match part.len() {
        0 => 0,
        1 => part.parse::<i64>().ok()? * 10,
        2 => part.parse().ok()?,
        _ => return None,
    };
    let sign = if whole.starts_with('-') { -1 } else { 1 };
    whole.parse::<i64>().ok()?.checked_mul(100)?.checked_add(sign * part)
}

/// The beginning of a day there, if there is no time.
pub(super) fn moment(row: &Row, names: &[&str], zone: &TimeZone) -> Option<Timestamp> {
    let text = row.get(names)?;
    if let Ok(at) = text.parse() {
        return Some(at);
    }
    let text = text.replace(' ', "T");
    let civil = text.parse::<civil::DateTime>();
    let civil = civil.or_else(|_| text.parse::<civil::Date>().map(civil::DateTime::from)).ok()?;
    civil.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp())
}

pub(super) fn day(row: &Row, names: &[&str]) -> Option<civil::Date> {
    row.get(names)?.get(..10)?.parse().ok()
}

/// `0712 345 678`, `+254712345678`, `712345678`.
fn mobile(text: &str) -> Option<Msisdn> {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let number = match digits.len() {
        9 => format!("254{digits}"),
        10 => format!("254{}", digits.strip_prefix('0')?),
        _ => digits,
    };
    number.parse().ok()
}

/// `10 Mbps`, `512k`, `10/5`; without a unit it is megabits.
fn speed(text: &str) -> Option<u32> {
    let text = text.trim().to_lowercase();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    // `10.00` of a column of floats.
    let unit = unit.trim_start_matches(['.', '0']).trim_start();
    let number: u32 = number.parse().ok()?;
    let by = match unit.chars().next() {
        Some('k') => 1,
        Some('g') => 1_000_000,
        _ => 1_000,
    };
    number.checked_mul(by).filter(|kbps| *kbps > 0)
}

/// A short name that is different for each id.
fn made_of(name: &str, id: &str) -> String {
    let letters: String = name
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '.' })
        .take(30)
        .collect();
    let words: Vec<_> = letters.split('.').filter(|word| !word.is_empty()).collect();
    format!("{}.{id}", words.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_found_under_any_of_its_names() {
        let row = Row::of(&[
            ("id", "7"),
            ("name", "Amina Wanjiru"),
            ("phone", "0712 345 678"),
            ("mail", "A@B.example"),
        ]);
        let (client, notes) = client(&row).unwrap();
        assert_eq!(client.username.as_str(), "amina.wanjiru.7");
        assert_eq!(client.msisdn.unwrap().as_str(), "254712345678");
        assert_eq!((client.email.unwrap().as_str(), notes), ("a@b.example", Vec::<String>::new()));
        let row = Row::of(&[("full_name", "B"), ("username", "b"), ("phone", "12")]);
        let (second, notes) = super::client(&row).unwrap();
        assert_eq!((second.msisdn, notes.len()), (None, 1));
        assert_eq!(super::client(&Row::default()), Err("there is no name".to_owned()));
    }

    #[test]
    fn amounts_are_exact() {
        let amount = |name, text| cents(&Row::of(&[(name, text)]), &AMOUNT);
        assert_eq!(amount("amount", "1500"), Some(150_000));
        assert_eq!(amount("amount", "1,500.50"), Some(150_050));
        assert_eq!(amount("amount", "KES 99.9"), Some(9_990));
        assert_eq!(amount("total", "-2.05"), Some(-205));
        assert_eq!(amount("amount_cents", "150000"), Some(150_000));
        assert_eq!(amount("amount", "1.005"), None);
        assert_eq!(amount("amount", "free"), None);
    }

    #[test]
    fn a_plan_has_a_price_and_a_speed() {
        let plan = |speed| {
            let row =
                Row::of(&[("id", "1"), ("name", "Home"), ("price", "2500.00"), ("speed", speed)]);
            plan(&row, 5_000).unwrap()
        };
        assert_eq!(plan("10 Mbps").0.down_kbps, 10_000);
        assert_eq!(plan("512k").0.down_kbps, 512);
        assert_eq!(plan("10.00").0.up_kbps, 10_000);
        assert_eq!(plan("fast").0.down_kbps, 5_000);
        assert_eq!(plan("fast").1, ["no speed: 5000 kbit/s"]);
        assert_eq!(plan("20").0.code, "home-1");
    }

    #[test]
    fn moments_are_read_with_and_without_a_time() {
        let at = |text| moment(&Row::of(&[("created_at", text)]), &["created_at"], &TimeZone::UTC);
        let noon: Timestamp = "2025-03-04T12:00:00Z".parse().unwrap();
        assert_eq!(at("2025-03-04 12:00:00"), Some(noon));
        assert_eq!(at("2025-03-04T12:00:00Z"), Some(noon));
        assert_eq!(
            at("2025-03-04").map(|at| at.to_string()).as_deref(),
            Some("2025-03-04T00:00:00Z")
        );
        assert_eq!(at("yesterday"), None);
    }
}
