//! EAP in RADIUS packets: EAP-Message (RFC 3579 §3.1).

use std::borrow::Cow;

use crate::{
    attr::{AttrType, VALUE_LEN_MAX},
    packet::Packet,
    writer::Writer,
};

/// The EAP packet of a request, put together from its attributes; borrowed where one was enough.
/// `None` where there is none.
pub fn of<'a>(request: &Packet<'a>) -> Option<Cow<'a, [u8]>> {
    let mut parts =
        request.attrs().filter(|attr| attr.kind == AttrType::EAP_MESSAGE).map(|attr| attr.value);
    let first = parts.next()?;
    Some(match parts.next() {
        None => Cow::Borrowed(first),
        Some(second) => {
            let mut whole = [first, second].concat();
            parts.for_each(|part| whole.extend_from_slice(part));
            Cow::Owned(whole)
        }
    })
}

/// Writes an EAP packet into as many attributes as it takes.
pub fn write(reply: &mut Writer<'_>, packet: &[u8]) {
    for part in packet.chunks(VALUE_LEN_MAX) {
        reply.attr(AttrType::EAP_MESSAGE, part);
    }
}

/// How long an EAP packet to the peer of this request may be: what its Framed-MTU lets through
/// behind an EAPOL header (RFC 3579 §2.4), and what keeps the RADIUS packet in one frame.
pub fn len_max(request: &Packet<'_>) -> usize {
    let mtu = request.attr(AttrType::FRAMED_MTU).and_then(|attr| attr.integer());
    let mtu = mtu.and_then(|mtu| usize::try_from(mtu).ok());
    match mtu {
        Some(mtu) if mtu >= MTU_MIN => (mtu - EAPOL_HEADER_LEN).min(LEN_MAX),
        // Something that no link has, or nothing.
        Some(_) | None => LEN_DEFAULT,
    }
}

/// RFC 3748 §3.1: a lower layer carries at least 1020 octets.
const LEN_DEFAULT: usize = 1020;

/// With the other attributes of a challenge, some Proxy-States, UDP and IP: below 1500.
const LEN_MAX: usize = 1300;

const MTU_MIN: usize = 100;

const EAPOL_HEADER_LEN: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{code::Code, packet::LEN_MAX as PACKET_LEN_MAX, secret::Secret};

    fn with(packet: &[u8], mtu: Option<u32>) -> Vec<u8> {
        let mut buffer = [0; PACKET_LEN_MAX];
        let mut writer = Writer::request(&mut buffer, Code::ACCESS_REQUEST, 1, [7; 16]);
        if let Some(mtu) = mtu {
            writer.integer(AttrType::FRAMED_MTU, mtu);
        }
        write(&mut writer, packet);
        writer.sign(&Secret::new(b"s")).unwrap().to_vec()
    }

    #[test]
    fn a_packet_of_any_length_comes_back() {
        for len in [1_usize, 4, 252, 253, 254, 506, 507, 1300, 3000] {
            let packet: Vec<u8> = (0..=250).cycle().take(len).collect();
            let bytes = with(&packet, None);
            assert_eq!(of(&Packet::decode(&bytes).unwrap()).as_deref(), Some(&packet[..]));
        }
        let bytes = with(b"", None);
        assert_eq!(of(&Packet::decode(&bytes).unwrap()), None);
    }

    #[test]
    fn packets_fit_the_link() {
        for (mtu, expected) in [
            (None, 1020),
            (Some(1400), 1300),
            (Some(1200), 1196),
            (Some(500), 496),
            (Some(0), 1020),
            (Some(u32::MAX), 1300),
        ] {
            let bytes = with(b"x", mtu);
            assert_eq!(len_max(&Packet::decode(&bytes).unwrap()), expected, "{mtu:?}");
        }
    }
}
