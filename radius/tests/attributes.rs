//! Where an attribute can be: RFC 6929's numbers and fragments, vendors' formats, joined values.

#![expect(clippy::unwrap_used, reason = "a fault is a failed test")]

use radius::{
    Attr, AttrType, Code, LEN_MAX, Packet, Secret, Writer,
    attr::{
        extended::vendor_specific,
        path::{DEPTH_MAX, Path},
        place::Place,
        vendor::{Format, Vendor},
    },
};

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// A packet with these attributes.
fn packet(attributes: &[u8]) -> Vec<u8> {
    let len = u16::try_from(20 + attributes.len()).unwrap().to_be_bytes();
    [&[1, 1][..], &len, &[7; 16], attributes].concat()
}

fn written(place: &Place, value: &[u8]) -> Vec<u8> {
    let mut buffer = [0; LEN_MAX];
    let mut writer = Writer::unsigned_request(&mut buffer, Code::ACCESS_REQUEST, 1, [7; 16]);
    writer.place(place, None, value);
    writer.sign(&Secret::new(b"s")).unwrap().get(20..).unwrap().to_vec()
}

fn place(path: &str, format: Format) -> Place {
    Place::new(Path::parse(path).unwrap(), format, false).unwrap()
}

/// RFC 6929 §2.1: type, length, extended type, value; §2.4 with a vendor before the value; §2.3
/// with TLVs in it.
#[test]
fn extended_attributes_are_written_as_in_rfc_6929() {
    for (path, value, expected) in [
        ("241.1", "00000002", "f1 07 01 00000002"),
        ("244.255", "ff", "f4 04 ff ff"),
        ("241.1.2", "aabb", "f1 07 01 02 04 aabb"),
        ("241.1.2.3", "aabb", "f1 09 01 02 06 03 04 aabb"),
        ("241.26.32473.1", "aabb", "f1 0a 1a 00007ed9 01 aabb"),
        ("241.26.32473.1.2", "aabb", "f1 0c 1a 00007ed9 01 02 04 aabb"),
        ("245.1", "aabb", "f5 06 01 00 aabb"),
        ("246.26.32473.1", "aabb", "f6 0b 1a 00 00007ed9 01 aabb"),
    ] {
        assert_eq!(written(&place(path, Format::USUAL), &hex(value)), hex(expected), "{path}");
    }
}

#[test]
fn an_extended_attribute_has_a_value_and_its_number() {
    let attr = |kind: u8, value| Attr { kind: AttrType(kind), value };
    let found = attr(241, &[1, 9]).extended().unwrap();
    assert_eq!((found.number, found.more, found.value), (1, false, &[9][..]));
    let found = attr(245, &[1, 0x7f, 9]).extended().unwrap();
    assert_eq!((found.number, found.more, found.value), (1, false, &[9][..]));
    // Without a value, §2.1 and §2.2; too short for a fragment that goes on; not extended.
    for (kind, value) in [
        (241, &[][..]),
        (241, &[1]),
        (245, &[1]),
        (245, &[1, 0]),
        (245, &[1, 0x80, 9]),
        (240, &[1, 9]),
        (247, &[1, 0, 9]),
    ] {
        assert_eq!(attr(kind, value).extended(), None, "{kind} {value:?}");
    }
    assert_eq!(vendor_specific(&hex("00007ed9 05 aa")), Some((Vendor(32473), 5, &[0xaa][..])));
    assert_eq!(vendor_specific(&hex("00007ed9")), None);

    let mut buffer = [0; LEN_MAX];
    let mut writer = Writer::unsigned_request(&mut buffer, Code::ACCESS_REQUEST, 1, [7; 16]);
    writer.place(&place("241.1", Format::USUAL), None, &[]);
    assert!(writer.sign(&Secret::new(b"s")).is_err());
}

/// RFC 6929 §2.2: all fragments follow each other, and only the last has no More flag.
#[test]
fn fragments_are_joined_if_they_are_all_there() {
    let whole = written(&place("245.7", Format::USUAL), &[0xaa; 600]);
    let (first, rest) = whole.split_at(255);
    let (second, third) = rest.split_at(255);
    let other = hex("f5 05 08 00 bb");
    let port = hex("05 06 00000001");
    let find = |attributes: &[&[u8]]| {
        let bytes = packet(&attributes.concat());
        let mut buffer = [0; LEN_MAX];
        let packet = Packet::decode(&bytes).unwrap();
        let found = packet.extended(AttrType::EXTENDED_ATTRIBUTE_5, 7, &mut buffer);
        found.map(<[u8]>::len)
    };
    assert_eq!(find(&[&port, first, second, third, &other]), Some(600));
    // One is missing or elsewhere.
    assert_eq!(find(&[first, second]), None);
    assert_eq!(find(&[first, second, &port, third]), Some(98));
    assert_eq!(find(&[first, &other, second, third]), Some(349));
    assert_eq!(find(&[&other, &port]), None);
}

/// RFC 3579 §3.1 and RFC 7268 §2.7: a long value, 253 octets at a time.
#[test]
fn a_value_of_several_attributes_is_joined_in_order() {
    let announcement = Path::standard(AttrType::EAPOL_ANNOUNCEMENT.0.into());
    let concat = Place::new(announcement, Format::USUAL, true).unwrap();
    let value: Vec<u8> = (0..=255).chain(0..=255).collect();
    let attributes = written(&concat, &value);
    assert!(attributes.starts_with(&hex("b4 ff 00 01 02")));
    assert_eq!(attributes.len(), 512 + 3 * 2);
    let port = hex("05 06 00000001");
    let bytes = packet(&[&port, &attributes, &port].map(Vec::as_slice).concat());
    let mut buffer = [0; LEN_MAX];
    let packet = Packet::decode(&bytes).unwrap();
    assert_eq!(packet.joined(AttrType::EAPOL_ANNOUNCEMENT, &mut buffer), Some(&value[..]));
    assert_eq!(packet.joined(AttrType::NAS_IDENTIFIER, &mut buffer), None);

    let mut buffer = [0; LEN_MAX];
    let mut writer = Writer::unsigned_request(&mut buffer, Code::ACCESS_REQUEST, 1, [7; 16]);
    writer.place(&place("180", Format::USUAL), None, &value);
    assert!(writer.sign(&Secret::new(b"s")).is_err(), "only concat is cut");
}

#[test]
fn vendors_write_in_their_own_formats() {
    for (kind, length, continues, number, expected) in [
        (1, 1, false, 5, "1a 0a 00007ed9 05 04 aabb"),
        (1, 0, false, 5, "1a 09 00007ed9 05 aabb"),
        (1, 2, false, 5, "1a 0b 00007ed9 05 0005 aabb"),
        (2, 1, false, 258, "1a 0b 00007ed9 0102 05 aabb"),
        (2, 2, false, 258, "1a 0c 00007ed9 0102 0006 aabb"),
        (4, 0, false, 70000, "1a 0c 00007ed9 00011170 aabb"),
        (1, 1, true, 5, "1a 0b 00007ed9 05 05 00 aabb"),
    ] {
        let format = Format::new(kind, length, continues).unwrap();
        let octets = written(&place(&format!("26.32473.{number}"), format), &[0xaa, 0xbb]);
        assert_eq!(octets, hex(expected), "{format}");
        let bytes = packet(&octets);
        let attr = Packet::decode(&bytes).unwrap().attr(AttrType::VENDOR_SPECIFIC).unwrap();
        let values = attr.vendor_values(format);
        assert!(values.is_whole());
        let values: Vec<_> = values.map(|found| (found.number, found.value.to_vec())).collect();
        assert_eq!(values, [(number, vec![0xaa, 0xbb])], "{format}");
    }
    for (kind, length, continues) in [(3, 1, false), (0, 1, false), (1, 3, false), (2, 1, true)] {
        assert_eq!(Format::new(kind, length, continues), None);
    }
    // A length of less than its header, or beyond the end.
    for wrong in ["00007ed9 05 01 aa", "00007ed9 05 00", "00007ed9 05 09 aa", "00007ed9 05"] {
        let value = hex(wrong);
        let attr = Attr { kind: AttrType::VENDOR_SPECIFIC, value: &value };
        let values = attr.vendor_values(Format::USUAL);
        assert!(!values.is_whole(), "{wrong}");
        assert_eq!(values.count(), 0, "{wrong}");
    }
}

#[test]
fn a_path_is_written_and_read_and_has_an_end() {
    for text in ["8", "26.14988.8", "241.1", "245.26.32473.1.2.3.4.5"] {
        let path = Path::parse(text).unwrap();
        assert_eq!(path.to_string(), text);
        let up = path.parent().map(|path| path.to_string());
        assert_eq!(up.as_deref(), text.rsplit_once('.').map(|(up, _)| up));
    }
    for text in ["", ".", "1.", "x", "1.2.3.4.5.6.7.8.9", "4294967296", "-1"] {
        assert_eq!(Path::parse(text), None, "{text}");
    }
    let deepest = (1..DEPTH_MAX).fold(Path::standard(1), |path, _| path.child(1).unwrap());
    assert_eq!(deepest.child(1), None);
    assert_eq!(Path::parse("26.14988.8").unwrap().vendor_number(), Some(14988));
    assert_eq!(Path::parse("241.26.9.1").unwrap().vendor_number(), Some(9));
    assert_eq!(Path::parse("27").unwrap().vendor_number(), None);
    for text in ["256", "26.9.256", "241.256", "241.26.9.256", "1.256"] {
        assert!(Place::new(Path::parse(text).unwrap(), Format::USUAL, false).is_err(), "{text}");
    }
}
