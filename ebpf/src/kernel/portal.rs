//! Connections of devices without access, led to the portal and back.
//!
//! The destination of each packet is replaced by the portal's, and the source of each answer by
//! what the device wanted, so that the device sees the page as from there.

use super::{maps, packet::Packet};
use crate::{
    layout::{Address, Config, Visitor},
    parse::{Headers, Network},
};

/// Whether the other end is the portal under its own name.
#[inline(always)]
pub fn is_at(config: &Config, there: Address, headers: &Headers, is_up: bool) -> bool {
    let port = if is_up { headers.to_port } else { headers.from_port };
    config.portal_port != 0
        && port == config.portal_port
        && (there == config.portal_v4 || there == config.portal_v6)
}

/// The device knows the portal by its own address: nothing is to be replaced.
#[inline(always)]
pub fn visits(headers: &Headers) {
    maps::forget_redirected(Visitor { address: headers.from, port: headers.from_port });
}

/// `false`: there is no portal for it.
#[inline(always)]
pub fn lead_there(packet: &Packet, config: &Config, headers: &Headers) -> bool {
    let portal = match headers.network {
        Network::V4 => config.portal_v4,
        Network::V6 => config.portal_v6,
        Network::Arp | Network::Other => return false,
    };
    if config.portal_port == 0 || portal == Address::NONE {
        return false;
    }
    let visitor = Visitor { address: headers.from, port: headers.from_port };
    if maps::redirected(visitor) != Some(headers.to) && !maps::set_redirected(visitor, headers.to) {
        return false;
    }
    replace(packet, headers, portal, config.portal_port, End::To)
}

/// Answers of the portal, also to a page that was asked for before there was access, come from
/// where the device wanted to go. Of all others nothing changes.
///
/// Called once, where little else is known of the packet: the verifier follows it from each place.
#[inline(never)]
pub fn bring_back(packet: &Packet, config: &Config, headers: &Headers) {
    if !is_at(config, headers.from, headers, false) || !packet.is_from_this_host() {
        return;
    }
    let visitor = Visitor { address: headers.to, port: headers.to_port };
    let Some(wanted) = maps::redirected(visitor) else { return };
    // Where it fails, the device does not know the packet and drops it.
    let _best_effort = replace(packet, headers, wanted, HTTP, End::From);
}

/// Which end of the connection is replaced.
#[derive(Clone, Copy)]
enum End {
    From,
    To,
}

#[inline(always)]
fn replace(packet: &Packet, headers: &Headers, new: Address, port: u32, end: End) -> bool {
    let (at, transport) = (headers.at as usize, headers.transport as usize);
    let checksum = transport + TCP_CHECKSUM;
    let (old, old_port, port_at, v4_at, v6_at) = match end {
        End::From => (headers.from, headers.from_port, transport, 12, 8),
        End::To => (headers.to, headers.to_port, transport + 2, 16, 24),
    };
    if !packet.mend_transport(checksum, (wire(old_port), wire(port)), 2, false)
        || !packet.store(port_at, &(port as u16).to_be_bytes())
    {
        return false;
    }
    match headers.network {
        Network::V4 => {
            packet.mend_network(at + 10, old.low(), new.low())
                && packet.mend_transport(checksum, (old.low(), new.low()), 4, true)
                && packet.store(at + v4_at, &new.low().to_ne_bytes())
        }
        Network::V6 => {
            let ([a, b, c, d], [e, f, g, h]) = (old.0, new.0);
            packet.mend_transport(checksum, (a, e), 4, true)
                && packet.mend_transport(checksum, (b, f), 4, true)
                && packet.mend_transport(checksum, (c, g), 4, true)
                && packet.mend_transport(checksum, (d, h), 4, true)
                && packet.store(at + v6_at, &new.octets())
        }
        Network::Arp | Network::Other => false,
    }
}

/// A port as the two bytes lie in a packet.
#[inline(always)]
fn wire(port: u32) -> u32 {
    (port as u16).to_be().into()
}

const HTTP: u32 = 80;

/// Where TCP's checksum is in its header.
const TCP_CHECKSUM: usize = 16;
