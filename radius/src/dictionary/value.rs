//! Values as text, both ways.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use super::DataType;

/// A value that is of its type.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// `string`; octets that are not UTF-8 print as `\377`.
    Text(&'a [u8]),
    /// `octets`, and what holds attributes of its own.
    Octets(&'a [u8]),
    /// `byte`, `short`, `integer` and `integer64`.
    Number(u64),
    /// `signed`.
    Signed(i32),
    /// `ipaddr`.
    Ipv4(Ipv4Addr),
    /// `ipv6addr`.
    Ipv6(Ipv6Addr),
    /// `ipv4prefix`: bits beyond the length are zero.
    Ipv4Prefix(Ipv4Addr, u8),
    /// `ipv6prefix`: bits beyond the length are zero.
    Ipv6Prefix(Ipv6Addr, u8),
    /// `ifid`.
    InterfaceId([u8; 8]),
    /// `ether`.
    Ether([u8; 6]),
    /// `date`: seconds since 1970.
    Date(u32),
}

impl<'a> Value<'a> {
    /// `None` if the octets are not of this type.
    pub fn read(kind: DataType, octets: &'a [u8]) -> Option<Self> {
        Some(match kind {
            DataType::Text => Self::Text(octets),
            DataType::Octets(Some(len)) if octets.len() != usize::from(len) => return None,
            DataType::Octets(_)
            | DataType::Tlv
            | DataType::Vsa
            | DataType::Extended
            | DataType::LongExtended
            | DataType::Evs => Self::Octets(octets),
            DataType::Byte => Self::Number(u8::from_be_bytes(octets.try_into().ok()?).into()),
            DataType::Short => Self::Number(u16::from_be_bytes(octets.try_into().ok()?).into()),
            DataType::Integer => Self::Number(u32::from_be_bytes(octets.try_into().ok()?).into()),
            DataType::Integer64 => Self::Number(u64::from_be_bytes(octets.try_into().ok()?)),
            DataType::Signed => Self::Signed(i32::from_be_bytes(octets.try_into().ok()?)),
            DataType::Date => Self::Date(u32::from_be_bytes(octets.try_into().ok()?)),
            DataType::Ipv4 => Self::Ipv4(<[u8; 4]>::try_from(octets).ok()?.into()),
            DataType::Ipv6 => Self::Ipv6(<[u8; 16]>::try_from(octets).ok()?.into()),
            DataType::ComboIp if octets.len() == 4 => Self::read(DataType::Ipv4, octets)?,
            DataType::ComboIp => Self::read(DataType::Ipv6, octets)?,
            DataType::InterfaceId => Self::InterfaceId(octets.try_into().ok()?),
            DataType::Ether => Self::Ether(octets.try_into().ok()?),
            DataType::Ipv4Prefix => {
                let &[_, len, ref address @ ..] = octets else { return None };
                let address = Ipv4Addr::from(<[u8; 4]>::try_from(address).ok()?);
                Self::Ipv4Prefix(masked4(address, len)?, len)
            }
            DataType::Ipv6Prefix => {
                let &[_, len, ref given @ ..] = octets else { return None };
                if given.len() < usize::from(len).div_ceil(8) {
                    return None;
                }
                let mut address = [0; 16];
                address.get_mut(..given.len())?.copy_from_slice(given);
                Self::Ipv6Prefix(masked6(address.into(), len)?, len)
            }
        })
    }

    /// Reads what [`Value`] prints, with or without quotes, and writes its octets.
    pub fn parse(kind: DataType, text: &str) -> Option<Vec<u8>> {
        Some(match kind {
            DataType::Text => unquoted(text)?,
            DataType::Octets(len) => {
                let octets = match hexadecimal(text) {
                    Some(octets) => octets,
                    // What has no digits is its characters.
                    None if !text.starts_with("0x") => unquoted(text)?,
                    None => return None,
                };
                let fits = len.is_none_or(|len| usize::from(len) == octets.len());
                return fits.then_some(octets);
            }
            DataType::Tlv
            | DataType::Vsa
            | DataType::Extended
            | DataType::LongExtended
            | DataType::Evs => hexadecimal(text)?,
            DataType::Byte => u8::try_from(number(text)?).ok()?.to_be_bytes().to_vec(),
            DataType::Short => u16::try_from(number(text)?).ok()?.to_be_bytes().to_vec(),
            DataType::Integer => u32::try_from(number(text)?).ok()?.to_be_bytes().to_vec(),
            DataType::Integer64 => number(text)?.to_be_bytes().to_vec(),
            DataType::Signed => plain::<i32>(text)?.to_be_bytes().to_vec(),
            DataType::Date => date(strip_quotes(text))?.to_be_bytes().to_vec(),
            DataType::Ipv4 => plain::<Ipv4Addr>(text)?.octets().to_vec(),
            DataType::Ipv6 => plain::<Ipv6Addr>(text)?.octets().to_vec(),
            DataType::ComboIp => match Self::parse(DataType::Ipv4, text) {
                Some(octets) => octets,
                None => Self::parse(DataType::Ipv6, text)?,
            },
            DataType::InterfaceId => groups::<4, 4>(strip_quotes(text), &[':'])?,
            DataType::Ether => groups::<6, 2>(strip_quotes(text), &[':', '-'])?,
            DataType::Ipv4Prefix => {
                let (address, len) = prefix::<Ipv4Addr>(text, 32)?;
                let octets = masked4(address, len)?.octets();
                [&[0, len][..], &octets].concat()
            }
            DataType::Ipv6Prefix => {
                let (address, len) = prefix::<Ipv6Addr>(text, 128)?;
                // All of it: what the long-lived servers send, and so what NASes were tried with.
                let octets = masked6(address, len)?.octets();
                [&[0, len][..], &octets].concat()
            }
        })
    }
}

fn masked4(address: Ipv4Addr, len: u8) -> Option<Ipv4Addr> {
    let mask = u32::MAX.checked_shl(32_u32.checked_sub(len.into())?).unwrap_or(0);
    Some(Ipv4Addr::from_bits(address.to_bits() & mask))
}

fn masked6(address: Ipv6Addr, len: u8) -> Option<Ipv6Addr> {
    let mask = u128::MAX.checked_shl(128_u32.checked_sub(len.into())?).unwrap_or(0);
    Some(Ipv6Addr::from_bits(address.to_bits() & mask))
}

fn plain<T: FromStr>(text: &str) -> Option<T> {
    strip_quotes(text).parse().ok()
}

/// Decimal, or hexadecimal after `0x`.
pub(crate) fn number(text: &str) -> Option<u64> {
    let text = strip_quotes(text);
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn prefix<A: FromStr>(text: &str, longest: u8) -> Option<(A, u8)> {
    let text = strip_quotes(text);
    let (address, len) = match text.split_once('/') {
        Some((address, len)) => (address, len.parse().ok()?),
        None => (text, longest),
    };
    Some((address.parse().ok()?, len))
}

/// `N` groups of at most `DIGITS` hexadecimal digits.
fn groups<const N: usize, const DIGITS: usize>(text: &str, between: &[char]) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(N * DIGITS / 2);
    let mut count = 0;
    for group in text.split(between) {
        if group.is_empty() || group.len() > DIGITS {
            return None;
        }
        let number = u16::from_str_radix(group, 16).ok()?.to_be_bytes();
        octets.extend(number.get(2 - DIGITS / 2..)?);
        count += 1;
        if count > N {
            return None;
        }
    }
    (count == N).then_some(octets)
}

/// Octets after `0x`.
pub(crate) fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let digit =
        |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    pairs.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect()
}

/// Without its quotes, if it has any.
pub(crate) fn strip_quotes(text: &str) -> &str {
    ['"', '\''].iter().find_map(|&quote| inside(text, quote)).unwrap_or(text)
}

fn inside(text: &str, quote: char) -> Option<&str> {
    text.strip_prefix(quote)?.strip_suffix(quote)
}

/// What is meant: in double quotes with escapes, in single quotes or without any as it stands.
/// `None` if the quotes do not end, or end too early, or an escape is none.
fn unquoted(text: &str) -> Option<Vec<u8>> {
    if let Some(rest) = text.strip_prefix('\'') {
        return rest.strip_suffix('\'').map(|text| text.as_bytes().to_vec());
    }
    let Some(rest) = text.strip_prefix('"') else { return Some(text.as_bytes().to_vec()) };
    let mut octets = Vec::with_capacity(rest.len());
    let mut bytes = rest.bytes();
    loop {
        match bytes.next()? {
            b'"' => return bytes.next().is_none().then_some(octets),
            b'\\' => octets.push(match bytes.next()? {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'x' => {
                    let digits = [bytes.next()?, bytes.next()?];
                    u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
                }
                first @ b'0'..=b'3' => {
                    let digits = [first, bytes.next()?, bytes.next()?];
                    u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 8).ok()?
                }
                itself @ (b'"' | b'\\' | b'\'') => itself,
                _ => return None,
            }),
            octet => octets.push(octet),
        }
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Text(octets) => quote(octets, f),
            Self::Octets(octets) => {
                f.write_str("0x")?;
                octets.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
            }
            Self::Number(number) => write!(f, "{number}"),
            Self::Signed(number) => write!(f, "{number}"),
            Self::Ipv4(address) => write!(f, "{address}"),
            Self::Ipv6(address) => write!(f, "{address}"),
            Self::Ipv4Prefix(address, len) => write!(f, "{address}/{len}"),
            Self::Ipv6Prefix(address, len) => write!(f, "{address}/{len}"),
            Self::InterfaceId(octets) => grouped::<2>(&octets, f),
            Self::Ether(octets) => grouped::<1>(&octets, f),
            Self::Date(seconds) => {
                let (year, month, day) = civil(seconds / DAY);
                let (hour, minute) = (seconds % DAY / 3600, seconds % 3600 / 60);
                let second = seconds % 60;
                write!(f, "\"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z\"")
            }
        }
    }
}

/// Without the value: it may be a password.
impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(value)")
    }
}

/// Hexadecimal, with a colon after every `N` octets.
fn grouped<const N: usize>(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (at, octet) in octets.iter().enumerate() {
        let colon = if at > 0 && at % N == 0 { ":" } else { "" };
        write!(f, "{colon}{octet:02x}")?;
    }
    Ok(())
}

fn quote(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    use fmt::Write as _;
    f.write_char('"')?;
    for chunk in octets.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '"' | '\\' => write!(f, "\\{letter}")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                // What would move a terminal's cursor, or hide text from who reads it.
                _ if letter.is_control() || is_invisible(letter) => {
                    let mut utf8 = [0; 4];
                    for octet in letter.encode_utf8(&mut utf8).bytes() {
                        write!(f, "\\{octet:03o}")?;
                    }
                }
                _ => f.write_char(letter)?,
            }
        }
        for octet in chunk.invalid() {
            write!(f, "\\{octet:03o}")?;
        }
    }
    f.write_char('"')
}

/// Marks that turn the direction of writing around, and separators of lines.
const fn is_invisible(letter: char) -> bool {
    matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

const DAY: u32 = 86_400;

/// Year, month and day of a day since 1970, in 400-year eras that begin in March.
const fn civil(day: u32) -> (u32, u32, u32) {
    let day = day + 719_468;
    let (era, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, (month + 2) % 12 + 1);
    let year = era * 400 + year + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

/// The other way round. `None` outside of the years that 32 bits of seconds have.
fn days(year: u32, month: u32, day: u32) -> Option<u32> {
    if !(1970..=2106).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let of_era = year * 365 + year / 4 - year / 100 + of_year;
    let day = (era * 146_097 + of_era).checked_sub(719_468)?;
    // The 31st of a month that has none is the 1st of the next.
    Some(day).filter(|&found| civil(found).1 == month)
}

/// Seconds; `2026-11-23T17:00:00Z`; or `Nov 23 2026 17:00:00 UTC`.
fn date(text: &str) -> Option<u32> {
    if let Ok(seconds) = text.parse() {
        return Some(seconds);
    }
    let (year, month, day, time) = match text.split_once('T') {
        Some((date, time)) if date.contains('-') => {
            let mut parts = date.split('-').map(str::parse);
            let numbers = [parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?];
            let [year, month, day] = numbers;
            (year, month, day, time.strip_suffix('Z').filter(|_| parts.next().is_none())?)
        }
        _ => {
            let words: Vec<&str> = text.split_whitespace().collect();
            let [month, day, year, time, "UTC" | "GMT"] = words[..] else { return None };
            let month = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(month))?;
            let month = u32::try_from(month).ok()? + 1;
            (year.parse().ok()?, month, day.parse().ok()?, time)
        }
    };
    let mut parts = time.split(':').map(str::parse::<u32>);
    let [hour, minute, second] = [parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?];
    if hour > 23 || minute > 59 || second > 59 || parts.next().is_some() {
        return None;
    }
    let seconds = days(year, month, day)?.checked_mul(DAY)?;
    seconds.checked_add(hour * 3600 + minute * 60 + second)
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: DataType, text: &str, octets: &[u8]) {
        assert_eq!(Value::parse(kind, text).as_deref(), Some(octets), "{text}");
        let printed = Value::read(kind, octets).map(|value| value.to_string());
        assert_eq!(printed.as_deref(), Some(text));
    }

    #[test]
    fn values_of_every_type_are_read_and_printed() {
        check(
            DataType::Text,
            r#""a \"b\"\\ \n\001 \377 zażółć""#,
            b"a \"b\"\\ \n\x01 \xff za\xc5\xbc\xc3\xb3\xc5\x82\xc4\x87",
        );
        check(DataType::Text, "\"\\342\\200\\256\"", "\u{202e}".as_bytes());
        check(DataType::Octets(None), "0x00ff", &[0, 255]);
        check(DataType::Octets(Some(1)), "0x7f", &[0x7f]);
        check(DataType::Byte, "255", &[255]);
        check(DataType::Short, "258", &[1, 2]);
        check(DataType::Integer, "16909060", &[1, 2, 3, 4]);
        check(DataType::Integer64, "4294967296", &[0, 0, 0, 1, 0, 0, 0, 0]);
        check(DataType::Signed, "-1", &[255; 4]);
        check(DataType::Ipv4, "192.0.2.1", &[192, 0, 2, 1]);
        check(DataType::ComboIp, "192.0.2.1", &[192, 0, 2, 1]);
        let address = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        check(DataType::Ipv6, "2001:db8::1", &address);
        check(DataType::ComboIp, "2001:db8::1", &address);
        check(DataType::Ipv4Prefix, "192.0.2.0/24", &[0, 24, 192, 0, 2, 0]);
        let network = [0, 33, 0x20, 1, 0xd, 0xb8, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        check(DataType::Ipv6Prefix, "2001:db8:8000::/33", &network);
        check(DataType::InterfaceId, "0001:0203:0405:0607", &[0, 1, 2, 3, 4, 5, 6, 7]);
        check(DataType::Ether, "02:00:00:00:00:0a", &[2, 0, 0, 0, 0, 10]);
        check(DataType::Tlv, "0x0103aa", &[1, 3, 0xaa]);
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (text, seconds) in [
            ("\"1970-01-01T00:00:00Z\"", 0_u32),
            ("\"2000-02-29T12:34:56Z\"", 951_827_696),
            ("\"2026-11-23T17:00:00Z\"", 1_795_453_200),
            ("\"2100-03-01T00:00:00Z\"", 4_107_542_400),
            ("\"2106-02-07T06:28:15Z\"", u32::MAX),
        ] {
            check(DataType::Date, text, &seconds.to_be_bytes());
        }
        let other = Value::parse(DataType::Date, "Nov 23 2026 17:00:00 UTC");
        assert_eq!(other, Some(1_795_453_200_u32.to_be_bytes().to_vec()));
        for wrong in [
            "2026-02-29T00:00:00Z",
            "2106-02-07T06:28:16Z",
            "2026-13-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "2026-11-23",
            "2026-11-23T17:00Z",
            "Nov 23 2026 17:00:00 EAT",
            "-1",
        ] {
            assert_eq!(Value::parse(DataType::Date, wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_not_a_value_is_none() {
        for (kind, text) in [
            (DataType::Text, "\"open"),
            (DataType::Text, "\"early\" end"),
            (DataType::Text, r#""\q""#),
            (DataType::Text, r#""\9""#),
            (DataType::Octets(None), "0x123"),
            (DataType::Octets(None), "0xgg"),
            (DataType::Octets(Some(2)), "0xaa"),
            (DataType::Byte, "256"),
            (DataType::Integer, "4294967296"),
            (DataType::Integer, "five"),
            (DataType::Ipv4, "192.0.2"),
            (DataType::Ipv4Prefix, "192.0.2.0/33"),
            (DataType::Ipv6Prefix, "2001:db8::/129"),
            (DataType::Ether, "02:00:00:00:00"),
            (DataType::Ether, "02:00:00:00:00:00:00"),
            (DataType::Ether, "002:0:0:0:0:0"),
            (DataType::InterfaceId, "1:2:3"),
            (DataType::Tlv, "1"),
        ] {
            assert_eq!(Value::parse(kind, text), None, "{text}");
        }
        assert_eq!(Value::parse(DataType::Integer, "0x10"), Some(vec![0, 0, 0, 16]));
        assert_eq!(Value::parse(DataType::Text, "a b"), Some(b"a b".to_vec()));
        assert_eq!(Value::parse(DataType::Text, r"'a\b'"), Some(br"a\b".to_vec()));
        assert_eq!(
            Value::parse(DataType::Ether, "02-00-00-00-00-0A"),
            Some(vec![2, 0, 0, 0, 0, 10])
        );
    }
}
