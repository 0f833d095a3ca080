//! Which device has an address, as the kernel knows it: one look-up, however many devices there are.
//!
//! The route to the address says on which link it is, the neighbour table of that link whose it is.
//! Behind a router no device is known: the table has the router, and the address is not in it.

use std::{io, net::IpAddr};

use shared::net::Mac;

use super::netlink::{Answer, Netlink, Request, attributes, u32_at};

/// The device that has `address` on a link of this host; `None` when there is none. It waits for
/// the kernel, and only for the kernel.
pub fn mac_of(address: IpAddr) -> io::Result<Option<Mac>> {
    let address = address.to_canonical();
    let mut netlink = Netlink::open()?;
    let Some(link) = absent(netlink.ask(route_to(address)))?.and_then(|route| link_of(&route))
    else {
        return Ok(None);
    };
    let neighbour = absent(netlink.ask(neighbour_on(link, address)))?;
    Ok(neighbour.and_then(|neighbour| device_of(&neighbour)))
}

fn route_to(address: IpAddr) -> Request {
    let (family, octets) = parts(address);
    let bits = u8::try_from(octets.len() * 8).expect("an address has 32 or 128 bits");
    let mut rtmsg = [0; RTMSG];
    rtmsg[0] = family;
    rtmsg[1] = bits;
    Request::new(GETROUTE, 0, &rtmsg).with(RTA_DST, &octets)
}

fn neighbour_on(link: u32, address: IpAddr) -> Request {
    let (family, octets) = parts(address);
    let mut ndmsg = [0; NDMSG];
    ndmsg[0] = family;
    ndmsg[4..8].copy_from_slice(&link.to_ne_bytes());
    Request::new(GETNEIGH, 0, &ndmsg).with(NDA_DST, &octets)
}

fn link_of(route: &[u8]) -> Option<u32> {
    let (_, value) = attributes(route, RTMSG).find(|&(kind, _)| kind == RTA_OIF)?;
    u32_at(value, 0)
}

/// While the kernel still looks for the device there is none; loopback has one of zeros.
fn device_of(neighbour: &[u8]) -> Option<Mac> {
    let (_, value) = attributes(neighbour, NDMSG).find(|&(kind, _)| kind == NDA_LLADDR)?;
    let octets: [u8; 6] = value.try_into().ok()?;
    (octets != [0; 6]).then_some(Mac(octets))
}

/// What the kernel does not know is no failure.
fn absent(answer: io::Result<Answer>) -> io::Result<Option<Vec<u8>>> {
    match answer {
        Ok((_, payload)) => Ok(Some(payload)),
        Err(error) => match error.raw_os_error() {
            Some(NO_ENTRY | NO_NETWORK | NO_HOST) => Ok(None),
            _ => Err(error),
        },
    }
}

fn parts(address: IpAddr) -> (u8, Vec<u8>) {
    match address {
        IpAddr::V4(v4) => (AF_INET, v4.octets().to_vec()),
        IpAddr::V6(v6) => (AF_INET6, v6.octets().to_vec()),
    }
}

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// `RTM_GETROUTE`, `struct rtmsg` and its attributes.
const GETROUTE: u16 = 26;
const RTMSG: usize = 12;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;

/// `RTM_GETNEIGH`, `struct ndmsg` and its attributes.
const GETNEIGH: u16 = 30;
const NDMSG: usize = 12;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;

/// `ENOENT`, `ENETUNREACH`, `EHOSTUNREACH`.
const NO_ENTRY: i32 = 2;
const NO_NETWORK: i32 = 101;
const NO_HOST: i32 = 113;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_and_nowhere_have_no_device() {
        assert_eq!(mac_of([127, 0, 0, 1].into()).unwrap(), None);
        assert_eq!(mac_of([192, 0, 2, 77].into()).unwrap(), None);
        assert_eq!(mac_of("::1".parse().unwrap()).unwrap(), None);
        assert_eq!(mac_of("2001:db8::77".parse().unwrap()).unwrap(), None);
    }

    #[test]
    fn only_a_whole_address_is_a_device() {
        use super::super::netlink::attribute;
        let neighbour = |octets: &[u8]| [&[0; NDMSG][..], &attribute(NDA_LLADDR, octets)].concat();
        let mac = [2, 0, 0, 0, 0, 1];
        assert_eq!(device_of(&neighbour(&mac)), Some(Mac(mac)));
        assert_eq!(device_of(&neighbour(&mac[..4])), None);
        assert_eq!(device_of(&neighbour(&[0; 6])), None);
        assert_eq!(device_of(&[0; NDMSG]), None);
        assert_eq!(device_of(&[]), None);
    }
}
