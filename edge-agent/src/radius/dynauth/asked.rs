//! What others want of sessions here: RFC 5176 with this host as the NAS (pure).

use std::net::IpAddr;

use radius::{
    Attr, AttrType, Packet,
    attr::{chillispot, mikrotik, vendor::Vendor, wispr},
    dynauth::{Action, ErrorCause, Request},
};
use shared::rate::Kbps;

use crate::sessions::event::{Authorise, Change, Which};

/// What this host is called, where a request says which NAS it means.
#[derive(Clone, Debug, Default)]
pub(in crate::radius) struct Here {
    pub(in crate::radius) name: String,
    /// Where the request came in, if that is one address.
    pub(in crate::radius) address: Option<IpAddr>,
}

/// A request that is genuine and recent, as something for the sessions.
pub(in crate::radius) fn read(request: &Request<'_>, here: &Here) -> Result<Authorise, ErrorCause> {
    let target = &request.target;
    let text = |octets: Option<&[u8]>| -> Result<Option<String>, ErrorCause> {
        let text = octets.map(std::str::from_utf8).transpose();
        Ok(text.map_err(|_| ErrorCause::INVALID_ATTRIBUTE_VALUE)?.map(str::to_owned))
    };
    let is_unsupported = target.acct_multi_session_id.is_some()
        || target.chargeable_user_identity.is_some()
        || target.framed_ipv6_prefix.is_some();
    if is_unsupported {
        return Err(ErrorCause::UNSUPPORTED_ATTRIBUTE);
    }
    let mac = match text(target.calling_station_id)? {
        Some(calling) => Some(calling.parse().map_err(|_| ErrorCause::INVALID_ATTRIBUTE_VALUE)?),
        None => None,
    };
    let names_us = |name: &String| name.eq_ignore_ascii_case(&here.name);
    let which = Which {
        nas_identifier: text(target.nas_identifier)?.filter(|name| !names_us(name)),
        nas_address: target.nas_address.filter(|address| Some(*address) != here.address),
        username: text(target.username)?,
        acct_session_id: text(target.acct_session_id)?,
        mac,
        ip: target.framed_ip.or(target.framed_ipv6),
        port: target.nas_port,
        port_id: text(target.nas_port_id)?,
        called: text(target.called_station_id)?,
    };
    let change = match request.action {
        Action::Disconnect => Change::default(),
        Action::Change => change(&request.changes)?,
    };
    Ok(Authorise { action: request.action, which, change })
}

/// All of it is done or nothing, RFC 5176 §2.2.
fn change(attrs: &[Attr<'_>]) -> Result<Change, ErrorCause> {
    let mut change = Change::default();
    for attr in attrs {
        match attr.kind {
            AttrType::SESSION_TIMEOUT => change.session_seconds = Some(seconds(attr)?),
            AttrType::IDLE_TIMEOUT => change.idle_seconds = Some(seconds(attr)?),
            AttrType::VENDOR_SPECIFIC => of_vendor(attr, &mut change)?,
            _ => return Err(ErrorCause::UNSUPPORTED_ATTRIBUTE),
        }
    }
    if change == Change::default() { Err(ErrorCause::MISSING_ATTRIBUTE) } else { Ok(change) }
}

fn of_vendor(container: &Attr<'_>, change: &mut Change) -> Result<(), ErrorCause> {
    let mut known = 0;
    for inside in container.vendor_attrs() {
        let (vendor, attr) = (inside.vendor, inside.attr);
        let number = || attr.integer().ok_or(ErrorCause::INVALID_ATTRIBUTE_VALUE);
        match (vendor, attr.kind.0) {
            (Vendor::WISPR, wispr::BANDWIDTH_MAX_UP) => {
                change.up_kbps = Some(kbps(u64::from(number()?))?);
            }
            (Vendor::WISPR, wispr::BANDWIDTH_MAX_DOWN) => {
                change.down_kbps = Some(kbps(u64::from(number()?))?);
            }
            (Vendor::CHILLISPOT, chillispot::BANDWIDTH_MAX_UP) => {
                change.up_kbps = Some(kbps(u64::from(number()?) * 1_000)?);
            }
            (Vendor::CHILLISPOT, chillispot::BANDWIDTH_MAX_DOWN) => {
                change.down_kbps = Some(kbps(u64::from(number()?) * 1_000)?);
            }
            (Vendor::MIKROTIK, mikrotik::RATE_LIMIT) => {
                let text = attr.text().ok_or(ErrorCause::INVALID_ATTRIBUTE_VALUE)?;
                let (up, down) = rate_limit(text).ok_or(ErrorCause::INVALID_ATTRIBUTE_VALUE)?;
                (change.up_kbps, change.down_kbps) = (Some(kbps(up)?), Some(kbps(down)?));
            }
            _ => return Err(ErrorCause::UNSUPPORTED_ATTRIBUTE),
        }
        known += 1;
    }
    if known == 0 { Err(ErrorCause::UNSUPPORTED_ATTRIBUTE) } else { Ok(()) }
}

fn seconds(attr: &Attr<'_>) -> Result<u64, ErrorCause> {
    attr.integer().map(u64::from).ok_or(ErrorCause::INVALID_ATTRIBUTE_VALUE)
}

/// Rounded up, so that nothing becomes no rate; 0 is "unlimited" to some and "nothing" to others.
fn kbps(bits_per_second: u64) -> Result<Kbps, ErrorCause> {
    let kbps = u32::try_from(bits_per_second.div_ceil(1_000)).ok();
    kbps.and_then(Kbps::new).ok_or(ErrorCause::INVALID_ATTRIBUTE_VALUE)
}

/// The first field of a Mikrotik-Rate-Limit, `rx[/tx]` from the router's view, in bit/s: up, down.
/// Bursts that follow are not for this shaper.
fn rate_limit(text: &str) -> Option<(u64, u64)> {
    let field = text.split_ascii_whitespace().next()?;
    let (up, down) = field.split_once('/').unwrap_or((field, field));
    Some((rate(up)?, rate(down)?))
}

fn rate(text: &str) -> Option<u64> {
    let unit = match text.chars().last()? {
        'k' | 'K' => 1_000,
        'M' | 'm' => 1_000_000,
        'G' | 'g' => 1_000_000_000,
        _ => 1,
    };
    let digits = if unit == 1 { text } else { text.get(..text.len() - 1)? };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// What has to come back with the answer: State, as it came (§3.3). The Proxy-States do anyway.
pub(in crate::radius) fn states(request: &Packet<'_>) -> Vec<Vec<u8>> {
    let states = request.attrs().filter(|attr| attr.kind == AttrType::STATE);
    states.map(|state| state.value.to_vec()).collect()
}

#[cfg(test)]
mod tests {
    use radius::{Code, LEN_MAX, Secret, Writer};

    use super::*;

    fn ask(code: Code, fill: impl FnOnce(&mut Writer<'_>)) -> Result<Authorise, ErrorCause> {
        let mut buffer = [0; LEN_MAX];
        let mut writer = Writer::change_request(&mut buffer, code, 1);
        writer.text(AttrType::USER_NAME, "amina");
        fill(&mut writer);
        let packet = Packet::decode(writer.sign(&Secret::new(b"s")).unwrap()).unwrap();
        let here = Here { name: "edge-1".to_owned(), address: Some(IpAddr::from([192, 0, 2, 1])) };
        read(&Request::of(&packet).unwrap()?, &here)
    }

    #[track_caller]
    fn check(fill: impl FnOnce(&mut Writer<'_>), expected: Result<Change, ErrorCause>) {
        assert_eq!(ask(Code::COA_REQUEST, fill).map(|asked| asked.change), expected);
    }

    fn rates(down: u32, up: u32) -> Change {
        Change { down_kbps: Kbps::new(down), up_kbps: Kbps::new(up), ..Change::default() }
    }

    #[test]
    fn rates_are_read_in_the_words_of_whoever_asks() {
        for (text, expected) in [
            ("5M/10M", Ok(rates(10_000, 5_000))),
            ("128k", Ok(rates(128, 128))),
            ("64000/128500 1M/1M 1M/1M 10/10 8", Ok(rates(129, 64))),
            ("0/0", Err(ErrorCause::INVALID_ATTRIBUTE_VALUE)),
            ("fast", Err(ErrorCause::INVALID_ATTRIBUTE_VALUE)),
            ("", Err(ErrorCause::INVALID_ATTRIBUTE_VALUE)),
            ("é", Err(ErrorCause::INVALID_ATTRIBUTE_VALUE)),
        ] {
            check(
                |writer| {
                    writer.vendor(Vendor::MIKROTIK, mikrotik::RATE_LIMIT, text.as_bytes());
                },
                expected,
            );
        }
        check(
            |writer| {
                let up = 5_000_000_u32.to_be_bytes();
                writer.vendor(Vendor::WISPR, wispr::BANDWIDTH_MAX_UP, &up);
            },
            Ok(Change { up_kbps: Kbps::new(5_000), ..Change::default() }),
        );
        check(
            |writer| {
                let down = 10_000_u32.to_be_bytes();
                writer.vendor(Vendor::CHILLISPOT, chillispot::BANDWIDTH_MAX_DOWN, &down);
                writer.integer(AttrType::SESSION_TIMEOUT, 60);
            },
            Ok(Change {
                down_kbps: Kbps::new(10_000),
                session_seconds: Some(60),
                ..Change::default()
            }),
        );
    }

    #[test]
    fn what_is_not_done_here_is_refused_as_a_whole() {
        check(|_| {}, Err(ErrorCause::MISSING_ATTRIBUTE));
        check(
            |writer| {
                writer.integer(AttrType::SESSION_TIMEOUT, 60).text(AttrType::FILTER_ID, "x");
            },
            Err(ErrorCause::UNSUPPORTED_ATTRIBUTE),
        );
        check(
            |writer| {
                writer.vendor(Vendor::CISCO, 1, b"ip:x=y");
            },
            Err(ErrorCause::UNSUPPORTED_ATTRIBUTE),
        );
        check(
            |writer| {
                writer.attr(AttrType::SESSION_TIMEOUT, &[1]);
            },
            Err(ErrorCause::INVALID_ATTRIBUTE_VALUE),
        );
    }

    #[test]
    fn who_means_this_host_need_not_name_the_sessions_nas() {
        let named = |name: &'static str, address: [u8; 4]| {
            ask(Code::DISCONNECT_REQUEST, move |writer| {
                writer.text(AttrType::NAS_IDENTIFIER, name);
                writer.address(AttrType::NAS_IP_ADDRESS, IpAddr::from(address));
            })
            .unwrap()
            .which
        };
        let us = named("EDGE-1", [192, 0, 2, 1]);
        assert_eq!((us.nas_identifier, us.nas_address), (None, None));
        let other = named("ap-7", [192, 0, 2, 2]);
        assert_eq!(other.nas_identifier.as_deref(), Some("ap-7"));
        assert_eq!(other.nas_address, Some(IpAddr::from([192, 0, 2, 2])));
    }
}
