//! Rates, quotas, policies and VLANs as each vendor says them (pure).
//!
//! A new vendor is one arm in each function here.

use std::{fmt, io::Write as _};

use radius::{
    AttrType, Writer,
    attr::{
        aruba, cambium, canopy, chillispot, cisco, huawei, mikrotik, vendor::Vendor as Speaks,
        wispr,
    },
};
use shared::{
    net::Vlan,
    rate::{Kbps, Shape},
    wire::latest::desired::Vendor,
};

/// How fast the subscriber may be. Cisco has no number for that: see [`write_policy`].
pub(in crate::radius) fn write_rates(reply: &mut Writer<'_>, vendor: Vendor, shape: Shape) {
    let Shape { up_kbps, down_kbps } = shape;
    let mut pair = |speaks, (up_kind, up): (u8, u32), (down_kind, down): (u8, u32)| {
        reply.vendor(speaks, up_kind, &up.to_be_bytes());
        reply.vendor(speaks, down_kind, &down.to_be_bytes());
    };
    match vendor {
        Vendor::Standard | Vendor::Aruba | Vendor::Omada => pair_of_wispr(&mut pair, shape),
        Vendor::Mikrotik => {
            // From the router's view: what it receives is what the subscriber sends.
            let mut text = Text::<32>::default();
            let text = text.write(format_args!("{}k/{}k", up_kbps.get(), down_kbps.get()));
            reply.vendor(Speaks::MIKROTIK, mikrotik::RATE_LIMIT, text);
        }
        Vendor::Chillispot => pair(
            Speaks::CHILLISPOT,
            (chillispot::BANDWIDTH_MAX_UP, up_kbps.get()),
            (chillispot::BANDWIDTH_MAX_DOWN, down_kbps.get()),
        ),
        Vendor::Cisco => {}
        Vendor::Ubiquiti => {
            pair_of_wispr(&mut pair, shape);
            // accel-ppp and its kin: kbit/s, to the subscriber first.
            let mut text = Text::<32>::default();
            let text = text.write(format_args!("{}/{}", down_kbps.get(), up_kbps.get()));
            reply.attr(AttrType::FILTER_ID, text);
        }
        Vendor::Cambium => {
            // cnPilot reads the first, ePMP the second.
            pair_of_wispr(&mut pair, shape);
            pair(
                Speaks::CAMBIUM,
                (cambium::MAX_BURST_UPLINK_RATE, up_kbps.get()),
                (cambium::MAX_BURST_DOWNLINK_RATE, down_kbps.get()),
            );
        }
        Vendor::Canopy => pair(
            Speaks::MOTOROLA,
            (canopy::UPLINK_BIT_RATE, up_kbps.get()),
            (canopy::DOWNLINK_BIT_RATE, down_kbps.get()),
        ),
        Vendor::Huawei => pair(
            Speaks::HUAWEI,
            (huawei::INPUT_AVERAGE_RATE, bits_per_second(up_kbps, SIGNED_MAX)),
            (huawei::OUTPUT_AVERAGE_RATE, bits_per_second(down_kbps, SIGNED_MAX)),
        ),
    }
}

fn pair_of_wispr(pair: &mut impl FnMut(Speaks, (u8, u32), (u8, u32)), shape: Shape) {
    pair(
        Speaks::WISPR,
        (wispr::BANDWIDTH_MAX_UP, bits_per_second(shape.up_kbps, u32::MAX)),
        (wispr::BANDWIDTH_MAX_DOWN, bits_per_second(shape.down_kbps, u32::MAX)),
    );
}

/// What is left to use, both directions together, for NASes that can hold it.
pub(super) fn write_quota(reply: &mut Writer<'_>, vendor: Vendor, bytes: u64) {
    let (speaks, low, high) = match vendor {
        Vendor::Mikrotik => {
            (Speaks::MIKROTIK, mikrotik::TOTAL_LIMIT, mikrotik::TOTAL_LIMIT_GIGAWORDS)
        }
        Vendor::Chillispot => {
            let (low, high) = (chillispot::MAX_TOTAL_OCTETS, chillispot::MAX_TOTAL_GIGAWORDS);
            (Speaks::CHILLISPOT, low, high)
        }
        Vendor::Cambium => (
            Speaks::CAMBIUM,
            cambium::TRAFFIC_QUOTA_LIMIT_TOTAL,
            cambium::TRAFFIC_QUOTA_LIMIT_TOTAL_GIGAWORDS,
        ),
        Vendor::Standard
        | Vendor::Cisco
        | Vendor::Ubiquiti
        | Vendor::Canopy
        | Vendor::Aruba
        | Vendor::Omada
        | Vendor::Huawei => return,
    };
    let [h0, h1, h2, h3, l0, l1, l2, l3] = bytes.to_be_bytes();
    reply.vendor(speaks, low, &[l0, l1, l2, l3]);
    if bytes > u64::from(u32::MAX) {
        reply.vendor(speaks, high, &[h0, h1, h2, h3]);
    }
}

/// The name of something that is set up at the NAS. Where a vendor has no word for it, `filter`
/// of the subscriber (Filter-Id) is the way.
pub(super) fn write_policy(reply: &mut Writer<'_>, vendor: Vendor, policy: &str) {
    match vendor {
        Vendor::Mikrotik => {
            reply.vendor(Speaks::MIKROTIK, mikrotik::ADDRESS_LIST, policy.as_bytes());
        }
        Vendor::Cisco => {
            // In is from the subscriber.
            for direction in ["in", "out"] {
                let mut text = Text::<247>::default();
                let text = text.write(format_args!("ip:sub-qos-policy-{direction}={policy}"));
                reply.vendor(Speaks::CISCO, cisco::AV_PAIR, text);
            }
        }
        Vendor::Aruba => {
            reply.vendor(Speaks::ARUBA, aruba::USER_ROLE, policy.as_bytes());
        }
        Vendor::Standard
        | Vendor::Chillispot
        | Vendor::Ubiquiti
        | Vendor::Cambium
        | Vendor::Canopy
        | Vendor::Omada
        | Vendor::Huawei => {}
    }
}

/// For those that do not, or not only, read the tunnel attributes.
pub(super) fn write_vlan(reply: &mut Writer<'_>, vendor: Vendor, vlan: Vlan) {
    let (speaks, kind) = match vendor {
        Vendor::Cambium => (Speaks::CAMBIUM, cambium::DATA_VLAN_ID),
        Vendor::Aruba => (Speaks::ARUBA, aruba::USER_VLAN),
        Vendor::Standard
        | Vendor::Mikrotik
        | Vendor::Chillispot
        | Vendor::Cisco
        | Vendor::Ubiquiti
        | Vendor::Canopy
        | Vendor::Omada
        | Vendor::Huawei => return,
    };
    reply.vendor(speaks, kind, &u32::from(vlan.get()).to_be_bytes());
}

/// What is faster than the attribute can say is as fast as it can say.
fn bits_per_second(rate: Kbps, most: u32) -> u32 {
    u32::try_from(rate.bits_per_second()).unwrap_or(most).min(most)
}

/// Routers of some vendors read a rate as a signed number.
const SIGNED_MAX: u32 = i32::MAX.cast_unsigned();

/// A text that is written without allocation, cut where it is full.
#[derive(Debug)]
pub(super) struct Text<const N: usize>([u8; N]);

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

impl<const N: usize> Text<N> {
    pub(super) fn write(&mut self, text: fmt::Arguments<'_>) -> &[u8] {
        let mut rest = self.0.as_mut_slice();
        let _cut_when_full = rest.write_fmt(text);
        let left = rest.len();
        self.0.get(..N - left).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use radius::{Code, LEN_MAX, Packet, Secret, attr::vendor::VendorAttr};

    use super::*;

    /// What `fill` writes, as `number value` and `vendor/number value` in hexadecimal.
    #[track_caller]
    fn check(fill: impl FnOnce(&mut Writer<'_>), expected: &[&str]) {
        let mut buffer = [0; LEN_MAX];
        let mut writer = Writer::unsigned_request(&mut buffer, Code::ACCESS_REQUEST, 1, [0; 16]);
        fill(&mut writer);
        let packet = writer.sign(&Secret::new(b"s")).unwrap();
        let hex = |octets: &[u8]| -> String {
            octets.iter().fold(String::new(), |text, octet| text + &format!("{octet:02x}"))
        };
        let mut got = Vec::new();
        for attr in Packet::decode(packet).unwrap().attrs() {
            let value = hex(attr.value);
            if attr.kind != AttrType::VENDOR_SPECIFIC {
                got.push(format!("{} {value}", attr.kind.0));
            }
            for VendorAttr { vendor, attr } in attr.vendor_attrs() {
                let value = hex(attr.value);
                got.push(format!("{}/{} {value}", vendor.0, attr.kind.0));
            }
        }
        assert_eq!(got, expected);
    }

    fn shape(up: u32, down: u32) -> Shape {
        Shape { up_kbps: Kbps::new(up).unwrap(), down_kbps: Kbps::new(down).unwrap() }
    }

    #[test]
    fn every_vendor_is_told_the_rates_in_its_own_words() {
        // 5,000 kbit/s are 0x4c4b40 bit/s, 10,000 are 0x989680.
        let wispr = ["14122/7 004c4b40", "14122/8 00989680"];
        let [up, down] = wispr;
        for (vendor, expected) in [
            (Vendor::Standard, &[up, down][..]),
            (Vendor::Aruba, &[up, down]),
            (Vendor::Omada, &[up, down]),
            // 5000k/10000k: the subscriber's upload first.
            (Vendor::Mikrotik, &["14988/8 353030306b2f31303030306b"]),
            (Vendor::Chillispot, &["14559/4 00001388", "14559/5 00002710"]),
            (Vendor::Cisco, &[]),
            // 10000/5000: the subscriber's download first.
            (Vendor::Ubiquiti, &[up, down, "11 31303030302f35303030"]),
            (Vendor::Cambium, &[up, down, "17713/26 00001388", "17713/27 00002710"]),
            (Vendor::Canopy, &["161/6 00001388", "161/8 00002710"]),
            (Vendor::Huawei, &["2011/2 004c4b40", "2011/5 00989680"]),
        ] {
            check(|reply| write_rates(reply, vendor, shape(5000, 10_000)), expected);
        }
    }

    #[test]
    fn a_rate_that_the_attribute_cannot_say_is_clamped() {
        let fastest = shape(4_294_967, 4_294_968);
        check(
            |reply| write_rates(reply, Vendor::Standard, fastest),
            &["14122/7 fffffed8", "14122/8 ffffffff"],
        );
        check(
            |reply| write_rates(reply, Vendor::Huawei, fastest),
            &["2011/2 7fffffff", "2011/5 7fffffff"],
        );
    }

    #[test]
    fn a_quota_is_said_to_who_can_hold_it() {
        let five_gib = 5 << 30;
        for (vendor, expected) in [
            (Vendor::Mikrotik, &["14988/17 40000000", "14988/18 00000001"][..]),
            (Vendor::Chillispot, &["14559/3 40000000", "14559/23 00000001"]),
            (Vendor::Cambium, &["17713/155 40000000", "17713/156 00000001"]),
            (Vendor::Standard, &[]),
        ] {
            check(|reply| write_quota(reply, vendor, five_gib), expected);
        }
        check(
            |reply| write_quota(reply, Vendor::Mikrotik, u64::from(u32::MAX)),
            &["14988/17 ffffffff"],
        );
    }

    #[test]
    fn a_policy_is_named_where_there_is_a_word_for_it() {
        check(|reply| write_policy(reply, Vendor::Mikrotik, "10m"), &["14988/19 31306d"]);
        check(|reply| write_policy(reply, Vendor::Aruba, "10m"), &["14823/1 31306d"]);
        check(
            |reply| write_policy(reply, Vendor::Cisco, "10m"),
            &[
                // ip:sub-qos-policy-in=10m
                "9/1 69703a7375622d716f732d706f6c6963792d696e3d31306d",
                "9/1 69703a7375622d716f732d706f6c6963792d6f75743d31306d",
            ],
        );
        check(|reply| write_policy(reply, Vendor::Standard, "10m"), &[]);
    }

    #[test]
    fn a_vlan_is_repeated_for_who_does_not_read_tunnels() {
        let vlan = Vlan::new(100).unwrap();
        check(|reply| write_vlan(reply, Vendor::Cambium, vlan), &["17713/21 00000064"]);
        check(|reply| write_vlan(reply, Vendor::Aruba, vlan), &["14823/2 00000064"]);
        check(|reply| write_vlan(reply, Vendor::Mikrotik, vlan), &[]);
    }
}
