//! What holds for every attribute that there can be, known or not, and for every text.

#![expect(clippy::unwrap_used, reason = "a fault is a failed test")]

use std::sync::LazyLock;

use proptest::{collection::vec, prelude::*, sample::Index};
use radius::{
    AttrType, Code, Dictionary, LEN_MAX, Packet, Secret, Writer,
    attr::{path::Path, place::Place, vendor::Format},
    dictionary::{Attribute, DataType, Encryption, Secrets, Source},
    salted::{PLAIN_LEN_MAX, Salt},
};

static DICTIONARY: LazyLock<Dictionary> = LazyLock::new(Dictionary::shipped);
const NONCE: [u8; 16] = [7; 16];

fn secret() -> Secret {
    Secret::new(b"xyzzy5461")
}

/// Octets that are of the type, in the form that is written.
fn canonical(kind: DataType, mut octets: Vec<u8>) -> Vec<u8> {
    let len = match kind {
        DataType::Byte => 1,
        DataType::Short => 2,
        DataType::Integer | DataType::Signed | DataType::Date | DataType::Ipv4 => 4,
        DataType::Ether | DataType::Ipv4Prefix => 6,
        DataType::Integer64 | DataType::InterfaceId => 8,
        DataType::Ipv6 => 16,
        DataType::ComboIp => {
            if octets.len().is_multiple_of(2) {
                4
            } else {
                16
            }
        }
        DataType::Ipv6Prefix => 18,
        DataType::Octets(Some(len)) => len.into(),
        DataType::Text
        | DataType::Octets(None)
        | DataType::Tlv
        | DataType::Vsa
        | DataType::Extended
        | DataType::LongExtended
        | DataType::Evs => octets.len(),
    };
    octets.resize(len, 0x5a);
    let longest = if kind == DataType::Ipv4Prefix { 32 } else { 128 };
    if !matches!(kind, DataType::Ipv4Prefix | DataType::Ipv6Prefix) {
        return octets;
    }
    let (head, address) = octets.split_first_chunk_mut::<2>().unwrap();
    *head = [0, head[1] % (longest + 1)];
    for (at, octet) in address.iter_mut().enumerate() {
        let bits = usize::from(head[1]).saturating_sub(at * 8).min(8);
        *octet &= u8::try_from(0xff00_u16 >> bits & 0xff).unwrap();
    }
    octets
}

/// A packet with this attribute alone.
fn packet(fill: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut buffer = [0; LEN_MAX];
    let mut writer = Writer::unsigned_request(&mut buffer, Code::ACCESS_REQUEST, 1, NONCE);
    fill(&mut writer);
    writer.sign(&secret()).unwrap().to_vec()
}

/// Path, tag and value of all that is in a packet.
fn items(packet: &[u8]) -> Vec<(Path, Option<u8>, Vec<u8>)> {
    let mut items = Vec::new();
    DICTIONARY.walk(&Packet::decode(packet).unwrap(), &mut |item| {
        items.push((item.path, item.tag, item.value.to_vec()));
    });
    items
}

/// Those that hold a value: not other attributes.
fn is_leaf(attribute: &Attribute) -> bool {
    let holds = [DataType::Tlv, DataType::Vsa, DataType::Extended, DataType::LongExtended];
    let is_holder = holds.contains(&attribute.kind()) || attribute.kind() == DataType::Evs;
    !is_holder && attribute.is_in_packets()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn every_attribute_of_every_type_comes_back(
        which: Index, octets in vec(any::<u8>(), 1..=200), tag in 0_u8..32,
    ) {
        let all: Vec<&Attribute> = DICTIONARY.attributes().filter(|attribute| is_leaf(attribute)).collect();
        // Of two names for one number, the later one prints.
        let attribute = DICTIONARY.at(which.get(&all).path()).unwrap();
        let mut value = canonical(attribute.kind(), octets);
        let tag = attribute.flags().tagged.then_some(tag);
        if tag.is_some() && attribute.kind() == DataType::Integer {
            value[0] = 0;
        }
        let encryption = attribute.flags().encryption;
        prop_assume!(encryption != Some(Encryption::Ascend) || value.len() <= 16);
        // Padding is zeros there, and goes; the same number of times over the block is kept.
        let value = match encryption {
            Some(Encryption::UserPassword | Encryption::Ascend) => {
                value.iter().map(|octet| octet | 1).take(128).collect()
            }
            Some(Encryption::Salted) | None => value,
        };
        let text = |value: &[u8]| value.iter().fold("0x".to_owned(), |text, octet| {
            text + &format!("{octet:02x}")
        });
        let is_octets = matches!(attribute.kind(), DataType::Octets(_));
        let line = match (tag, is_octets) {
            (Some(tag), true) => format!("{}:{tag} = {}", attribute.name(), text(&value)),
            (None, true) => format!("{} = {}", attribute.name(), text(&value)),
            // Other types are printed first: by their number if there is no other way.
            (_, false) => {
                prop_assume!(encryption.is_none());
                let place = DICTIONARY.place(attribute.path()).unwrap();
                let mut wire = value.clone();
                if tag.is_some() && attribute.kind() == DataType::Integer {
                    wire.remove(0);
                }
                let bytes = packet(|writer| { writer.place(&place, tag, &wire); });
                let expected = vec![(attribute.path(), tag, value.clone())];
                prop_assert_eq!(items(&bytes), expected, "{}", attribute.name());
                let packet = Packet::decode(&bytes).unwrap();
                let secret = secret();
                let secrets = Secrets::Shown { secret: &secret, request: &NONCE };
                let shown = DICTIONARY.show(packet, secrets).to_string();
                let named = format!("\t{}", attribute.name());
                prop_assert!(shown.starts_with(&named), "{} is no {}", shown, named);
                shown
            }
        };
        let pair = DICTIONARY.parse_pair(&line).unwrap();
        prop_assert_eq!(pair.place().path(), attribute.path());
        let bytes = packet(|writer| { writer.pair_with(&pair, Salt::new([1, 2]), &secret()); });
        let decoded = Packet::decode(&bytes).unwrap();
        let secret = secret();
        let secrets = Secrets::Shown { secret: &secret, request: &NONCE };
        let again = DICTIONARY.show(decoded, secrets).to_string();
        prop_assert_eq!(DICTIONARY.parse_pair(&again).unwrap(), pair, "{}", again);
    }

    #[test]
    fn what_no_dictionary_knows_survives_at_every_place(
        numbers in prop_oneof![
            // None of these numbers is taken.
            (193_u32..=240).prop_map(|kind| vec![kind]),
            (1_u32..=255).prop_map(|number| vec![26, 32473, number]),
            (241_u32..=244, 100_u32..=255).prop_map(|(kind, number)| vec![kind, number]),
            (245_u32..=246, 100_u32..=255).prop_map(|(kind, number)| vec![kind, number]),
            (241_u32..=246, 0_u32..=255)
                .prop_map(|(kind, number)| vec![kind, 26, 32473, number]),
        ],
        value in vec(any::<u8>(), 1..=1500),
    ) {
        let path = numbers.iter().skip(1).try_fold(Path::standard(numbers[0]), |path, &number| {
            path.child(number)
        }).unwrap();
        let place = Place::new(path, Format::USUAL, false).unwrap();
        let room = match numbers[0] { 26 => 247, 245 | 246 => 1500, _ => 245 };
        let value = &value[..value.len().min(room)];
        let bytes = packet(|writer| { writer.place(&place, None, value); });
        prop_assert_eq!(items(&bytes), vec![(path, None, value.to_vec())]);
        let decoded = Packet::decode(&bytes).unwrap();
        let line = DICTIONARY.show(decoded, Secrets::Hidden).to_string();
        let pair = DICTIONARY.parse_pair(&line).unwrap();
        prop_assert_eq!(packet(|writer| { writer.pair(&pair); }), bytes);
    }

    #[test]
    fn a_long_value_is_joined_again(value in vec(any::<u8>(), 0..=3000)) {
        let place = DICTIONARY.place(Path::standard(AttrType::EAP_MESSAGE.0.into())).unwrap();
        let bytes = packet(|writer| { writer.place(&place, None, &value); });
        let decoded = Packet::decode(&bytes).unwrap();
        let mut buffer = [0; LEN_MAX];
        prop_assert_eq!(decoded.joined(AttrType::EAP_MESSAGE, &mut buffer), Some(&value[..]));
        let long = Place::new(Path::parse("246.7").unwrap(), Format::USUAL, false).unwrap();
        prop_assume!(!value.is_empty());
        let bytes = packet(|writer| {
            writer.integer(AttrType::NAS_PORT, 1).place(&long, None, &value);
        });
        let decoded = Packet::decode(&bytes).unwrap();
        let found = decoded.extended(AttrType::EXTENDED_ATTRIBUTE_6, 7, &mut buffer);
        prop_assert_eq!(found, Some(&value[..]));
    }

    /// As long as they are, they print in an amount that a packet can be worth.
    #[test]
    fn any_octets_print_within_bounds(attributes in vec(any::<u8>(), 0..=600)) {
        let len = u16::try_from(20 + attributes.len()).unwrap().to_be_bytes();
        let bytes = [&[1, 1][..], &len, &NONCE, &attributes].concat();
        if let Ok(packet) = Packet::decode(&bytes) {
            let shown = DICTIONARY.show(packet, Secrets::Hidden).to_string();
            prop_assert!(shown.capacity() <= 64 * bytes.len());
            let total: usize = items(&bytes).iter().map(|(_, _, value)| value.len()).sum();
            prop_assert!(total <= attributes.len());
        }
    }

    #[test]
    fn any_text_is_a_pair_or_not(text in "[ -~]{0,40}", name: Index) {
        let _ = DICTIONARY.parse_pair(&text);
        let all: Vec<&Attribute> = DICTIONARY.attributes().collect();
        let _ = DICTIONARY.parse_pair(&format!("{} = {text}", name.get(&all).name()));
    }

    #[test]
    fn any_text_is_a_dictionary_or_not(
        lines in vec(
            ("(ATTRIBUTE|VALUE|VENDOR|BEGIN-VENDOR|END-VENDOR|BEGIN-TLV|END-TLV|\\$INCLUDE|x)",
             vec("([a-c]|[0-9]{1,3}|[0-9]\\.[0-9]|tlv|string|format=2,1|#)", 0..5)),
            0..12,
        ),
    ) {
        let lines = lines.iter().map(|(keyword, words)| format!("{keyword} {}", words.join(" ")));
        let text = lines.collect::<Vec<_>>().join("\n");
        let source = Source { name: "any".to_owned(), text };
        let mut dictionary = Dictionary::default();
        let _ = dictionary.add(&source, &mut |_, _| Err("nothing".into()));
    }
}

#[test]
fn the_longest_secret_fits_its_attribute() {
    let longest = format!("Tunnel-Password:1 = {}", "x".repeat(PLAIN_LEN_MAX));
    let pair = DICTIONARY.parse_pair(&longest).unwrap();
    let bytes = packet(|writer| {
        writer.pair_with(&pair, Salt::new([1, 2]), &secret());
    });
    assert_eq!(bytes.len(), 20 + 2 + 1 + 2 + 240);
}
