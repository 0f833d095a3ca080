//! What is encrypted or tagged in a reply: RFC 2868 and RFC 2548.

#![expect(clippy::unwrap_used, reason = "a fault is a failed test")]

use proptest::prelude::*;
use radius::{
    Attr, AttrType, Code, LEN_MAX, Packet, Secret, Writer,
    attr::{microsoft, tagged::Tag, vendor::Vendor},
    salted::{self, PLAIN_LEN_MAX, Salt, SaltedError},
};

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

const NONCE: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

fn secret() -> Secret {
    Secret::new(b"xyzzy5461")
}

/// The octets were computed from the formula of RFC 2868 §3.5 with Python's hashlib.
#[test]
fn salt_encryption_is_that_of_the_rfc() {
    let salted = salted::encrypt(b"arctangent", Salt::new([0x1a, 1]), &NONCE, &secret()).unwrap();
    assert_eq!(salted.as_bytes(), hex("9a01 8be487fb3707188c12c54f7e86f5bbd5"));
    let key: Vec<u8> = (0x20..0x40).collect();
    let salted = salted::encrypt(&key, Salt::new([0x1a, 2]), &NONCE, &secret()).unwrap();
    let expected = hex("9a02 f29cd205d02fb4e9997c91aeae650653357677217c3fe7c73873301615c65c93
        a190d658ac0349ff88b95a369fe08a07");
    assert_eq!(salted.as_bytes(), expected);
    assert_eq!(salted::decrypt(&expected, &NONCE, &secret()).unwrap().as_bytes(), key);
}

#[test]
fn what_is_not_salt_encrypted_is_an_error() {
    for len in [0, 1, 2, 17, 19, 2 + 256] {
        let error = salted::decrypt(&vec![0x80; len], &NONCE, &secret()).unwrap_err();
        assert_eq!(error, SaltedError::Length(len));
    }
    let salted = salted::encrypt(b"arctangent", Salt::new([0x1a, 1]), &NONCE, &secret()).unwrap();
    let error = salted::decrypt(salted.as_bytes(), &NONCE, &Secret::new(b"xyzzy5462"));
    assert_eq!(error.unwrap_err(), SaltedError::Secret);
    assert!(
        salted::encrypt(&[0; PLAIN_LEN_MAX + 1], Salt::new([0, 0]), &NONCE, &secret()).is_none()
    );
}

#[test]
fn the_next_salt_is_another_one_and_keeps_its_leading_bit() {
    let salted = |salt| {
        let salted = salted::encrypt(b"", salt, &NONCE, &secret()).unwrap();
        [salted.as_bytes()[0], salted.as_bytes()[1]]
    };
    let last = Salt::new([0xff, 0xff]);
    assert_eq!((salted(last), salted(last.next())), ([0xff, 0xff], [0x80, 0x00]));
    let first = Salt::new([0, 0]);
    assert_eq!((salted(first), salted(first.next())), ([0x80, 0x00], [0x80, 0x01]));
}

fn reply(fill: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut buffer = [0; LEN_MAX];
    let request = Writer::request(&mut buffer, Code::ACCESS_REQUEST, 1, NONCE);
    let request = request.sign(&secret()).unwrap().to_vec();
    let mut buffer = [0; LEN_MAX];
    let request = Packet::decode(&request).unwrap();
    let mut writer = Writer::reply(&mut buffer, Code::ACCESS_ACCEPT, &request);
    fill(&mut writer);
    writer.sign(&secret()).unwrap().to_vec()
}

#[test]
fn a_vlan_and_a_passphrase_are_written_as_access_points_read_them() {
    let one = Tag::new(1);
    let bytes = reply(|writer| {
        writer
            .tagged_integer(AttrType::TUNNEL_TYPE, one, 13)
            .tagged_integer(AttrType::TUNNEL_MEDIUM_TYPE, None, 6)
            .tagged(AttrType::TUNNEL_PRIVATE_GROUP_ID, one, b"200")
            .tagged(AttrType::TUNNEL_PRIVATE_GROUP_ID, None, b"200")
            .tagged(AttrType::TUNNEL_ASSIGNMENT_ID, None, &[1, 2])
            .salted(AttrType::TUNNEL_PASSWORD, one, b"arctangent", Salt::new([0x1a, 1]), &secret())
            .vendor_salted(
                Vendor::MICROSOFT,
                microsoft::MPPE_SEND_KEY,
                b"arctangent",
                Salt::new([0x1a, 1]),
                &secret(),
            );
    });
    let packet = Packet::decode(&bytes).unwrap();
    let attrs: Vec<Attr<'_>> = packet.attrs().skip(1).collect();
    let octets: Vec<Vec<u8>> = attrs.iter().map(|attr| attr.value.to_vec()).collect();
    let cipher = "9a01 8be487fb3707188c12c54f7e86f5bbd5";
    let expected = [
        "01 00000d",
        "00 000006",
        "01 323030",
        "323030",
        "00 0102",
        &format!("01 {cipher}"),
        &format!("00000137 10 14 {cipher}"),
    ];
    assert_eq!(octets, expected.map(hex));

    assert_eq!(attrs[0].tagged_integer(), Some((one, 13)));
    assert_eq!(attrs[1].tagged_integer(), Some((None, 6)));
    assert_eq!(attrs[2].tagged(), (one, &b"200"[..]));
    assert_eq!(attrs[3].tagged(), (None, &b"200"[..]));
    assert_eq!(attrs[4].tagged(), (None, &[1, 2][..]));
    let (tag, salted) = attrs[5].tagged_salted().unwrap();
    assert_eq!(tag, one);
    let plain = salted::decrypt(salted, &NONCE, &secret()).unwrap();
    assert_eq!(plain.as_bytes(), b"arctangent");
    let inside = attrs[6].vendor_attrs().next().unwrap();
    assert_eq!((inside.vendor, inside.attr.kind.0), (Vendor(311), 16));
    let plain = salted::decrypt(inside.attr.value, &NONCE, &secret()).unwrap();
    assert_eq!(plain.as_bytes(), b"arctangent");
}

#[test]
fn a_tag_is_1_to_31() {
    assert_eq!(Tag::new(0), None);
    assert_eq!(Tag::new(31).map(Tag::get), Some(31));
    assert_eq!(Tag::new(32), None);
    let attr = |value| Attr { kind: AttrType::TUNNEL_TYPE, value };
    assert_eq!(attr(&[32, 0, 0, 1]).tagged_integer(), None);
    assert_eq!(attr(&[0, 0, 1]).tagged_integer(), None);
    assert_eq!(attr(&[]).tagged(), (None, &[][..]));
    assert_eq!(attr(&[32, 1]).tagged(), (None, &[32, 1][..]));
    assert_eq!(attr(&[32, 1]).tagged_salted(), Some((None, &[1][..])));
    assert_eq!(attr(&[]).tagged_salted(), None);
}

#[test]
fn a_tagged_integer_beyond_24_bits_is_an_error() {
    let mut buffer = [0; LEN_MAX];
    let mut writer = Writer::accounting_request(&mut buffer, Code::ACCOUNTING_REQUEST, 5);
    writer.tagged_integer(AttrType::TUNNEL_PREFERENCE, None, 1 << 24);
    assert!(writer.sign(&secret()).is_err());
}

proptest! {
    #[test]
    fn what_is_encrypted_is_decrypted(
        plain in proptest::collection::vec(any::<u8>(), 0..=PLAIN_LEN_MAX),
        salt: [u8; 2], nonce: [u8; 16], key: Vec<u8>,
    ) {
        let secret = Secret::new(&key);
        let salted = salted::encrypt(&plain, Salt::new(salt), &nonce, &secret).unwrap();
        prop_assert_eq!(salted.as_bytes().len() % 16, 2);
        let again = salted::decrypt(salted.as_bytes(), &nonce, &secret).unwrap();
        prop_assert_eq!(again.as_bytes(), plain);
    }

    #[test]
    fn any_octets_are_decrypted_or_refused(octets: Vec<u8>, nonce: [u8; 16]) {
        if let Ok(plain) = salted::decrypt(&octets, &nonce, &secret()) {
            prop_assert!(plain.as_bytes().len() + 3 <= octets.len());
        }
    }

    #[test]
    fn a_tagged_text_comes_back(
        tag in 0_u8..32, value in proptest::collection::vec(any::<u8>(), 0..=252),
    ) {
        let tag = Tag::new(tag);
        let bytes = reply(|writer| {
            writer.tagged(AttrType::TUNNEL_PRIVATE_GROUP_ID, tag, &value);
        });
        let attr = Packet::decode(&bytes).unwrap().attr(AttrType::TUNNEL_PRIVATE_GROUP_ID);
        prop_assert_eq!(attr.unwrap().tagged(), (tag, &value[..]));
    }
}
