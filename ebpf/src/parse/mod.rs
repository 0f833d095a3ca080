//! Ethernet, up to two VLAN tags, IPv4 and IPv6, and as much behind them as is needed (pure).

use crate::layout::Device;

/// The bytes of a frame, from its destination address on.
pub trait Frame {
    /// `N` bytes from `at` on, or `None` where the frame ends before.
    ///
    /// Where `at` was itself read from the frame, `N` is two at least: the comparison that LLVM
    /// makes of one byte tells the verifier nothing.
    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]>;
}

impl Frame for [u8] {
    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.get(at..)?.first_chunk().copied()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    V4,
    V6,
    Other,
}

/// What the first headers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ethernet {
    pub destination: Device,
    pub source: Device,
    pub network: Network,
    /// Where the network header starts: what is before is not metered.
    pub at: usize,
}

impl Ethernet {
    /// `None`: the frame ends too early.
    #[inline(always)]
    pub fn parse<F: Frame + ?Sized>(frame: &F) -> Option<Self> {
        let destination = Device::from_mac(frame.read(0)?);
        let source = Device::from_mac(frame.read(6)?);
        let (ethertype, at) = match u16::from_be_bytes(frame.read(12)?) {
            VLAN | SERVICE_VLAN => match u16::from_be_bytes(frame.read(16)?) {
                VLAN | SERVICE_VLAN => (u16::from_be_bytes(frame.read(20)?), 22),
                ethertype => (ethertype, 18),
            },
            ethertype => (ethertype, 14),
        };
        let network = match ethertype {
            IPV4 => Network::V4,
            IPV6 => Network::V6,
            _ => Network::Other,
        };
        Some(Self { destination, source, network, at })
    }

    /// The two bits of RFC 3168; zero where congestion cannot be marked.
    #[inline(always)]
    pub fn ecn<F: Frame + ?Sized>(&self, frame: &F) -> Option<u8> {
        Some(match self.network {
            Network::V4 => {
                let [tos] = frame.read(self.at + 1)?;
                tos & 3
            }
            Network::V6 => {
                let [low] = frame.read(self.at + 1)?;
                low >> 4 & 3
            }
            Network::Other => 0,
        })
    }

    /// How long the packet says it is. A short frame is filled up to what a cable needs, and what
    /// fills it up is nobody's traffic: routers cut it off.
    #[inline(always)]
    pub fn declared<F: Frame + ?Sized>(&self, frame: &F) -> Option<u64> {
        match self.network {
            Network::V4 => Some(u16::from_be_bytes(frame.read(self.at + 2)?).into()),
            Network::V6 => Some(40 + u64::from(u16::from_be_bytes(frame.read(self.at + 4)?))),
            Network::Other => None,
        }
    }

    /// What follows the network header. `None` for a fragment that does not begin the packet, and
    /// where the frame ends too early.
    #[inline(always)]
    pub fn transport<F: Frame + ?Sized>(&self, frame: &F) -> Option<Transport> {
        match self.network {
            Network::V4 => {
                let [version] = frame.read(self.at)?;
                let fragment = u16::from_be_bytes(frame.read(self.at + 6)?);
                let [protocol] = frame.read(self.at + 9)?;
                if fragment & 0x1fff != 0 {
                    return None;
                }
                Some(Transport { protocol, at: self.at + usize::from(version & 15) * 4 })
            }
            Network::V6 => {
                let [next] = frame.read(self.at + 6)?;
                let at = self.at + 40;
                if next != HOP_BY_HOP {
                    return Some(Transport { protocol: next, at });
                }
                // Multicast listener reports carry a router alert.
                let [protocol, length] = frame.read(at)?;
                Some(Transport { protocol, at: at + 8 + usize::from(length) * 8 })
            }
            Network::Other => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transport {
    pub protocol: u8,
    pub at: usize,
}

impl Transport {
    /// Where the payload of TCP or UDP starts.
    #[inline(always)]
    pub fn payload<F: Frame + ?Sized>(&self, frame: &F) -> Option<usize> {
        match self.protocol {
            TCP => {
                let [offset, _flags] = frame.read(self.at + 12)?;
                Some(self.at + usize::from(offset >> 4) * 4)
            }
            UDP => Some(self.at + 8),
            _ => None,
        }
    }

    /// What a device without a session may speak, and to whom.
    #[inline(always)]
    pub fn bootstrap<F: Frame + ?Sized>(
        &self,
        frame: &F,
        network: Network,
        from_device: bool,
    ) -> Option<Bootstrap> {
        match self.protocol {
            UDP => {
                let from = u16::from_be_bytes(frame.read(self.at)?);
                let to = u16::from_be_bytes(frame.read(self.at + 2)?);
                // The device's port, and the port at this host.
                let (there, here) = if from_device { (from, to) } else { (to, from) };
                match (network, there, here) {
                    (Network::V4, 68, 67) | (Network::V6, 546, 547) => Some(Bootstrap::Anyone),
                    // A NAS on the LAN: authentication, accounting, and what we tell it (RFC 5176).
                    (_, _, 1812 | 1813) | (_, 3799, _) => Some(Bootstrap::ThisHost),
                    _ => None,
                }
            }
            ICMPV6 => {
                let [kind, _code] = frame.read(self.at)?;
                match kind {
                    // Neighbour and router discovery; multicast listener discovery, without which
                    // a switch that snoops forgets who wants to be discovered.
                    130..=137 | 143 => Some(Bootstrap::Anyone),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bootstrap {
    /// Never forwarded by its nature, or harmless when it is.
    Anyone,
    /// Only between the device and this very host.
    ThisHost,
}

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const VLAN: u16 = 0x8100;
const SERVICE_VLAN: u16 = 0x88a8;

const HOP_BY_HOP: u8 = 0;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

#[cfg(test)]
mod tests;
