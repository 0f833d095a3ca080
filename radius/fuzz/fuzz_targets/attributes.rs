//! Attributes of all forms: vendors', extended, long, nested, tagged; and what prints is read
//! again.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use radius::{
    AttrType, Code, Dictionary, LEN_MAX, Packet, Secret, Writer,
    attr::{extended, vendor::Format},
    dictionary::{Secrets, Source},
    salted::Salt,
};

/// Vendors of all formats, beside those that are shipped.
const UNUSUAL: &str = "
VENDOR A 24757 format=1,1,c
VENDOR B 4846 format=2,1
VENDOR C 8164 format=2,2
VENDOR D 429 format=4,0
BEGIN-VENDOR A
ATTRIBUTE A-Octets 1 octets
ATTRIBUTE A-Tree 2 tlv
ATTRIBUTE A-Leaf 2.1 short
ATTRIBUTE A-Branch 2.2 tlv
ATTRIBUTE A-Deep 2.2.1 string
END-VENDOR A
ATTRIBUTE B-Number 300 integer B
ATTRIBUTE C-Text 300 string C
ATTRIBUTE D-Address 70000 combo-ip D
BEGIN-VENDOR A format=Extended-Vendor-Specific-5
ATTRIBUTE A-Long 1 octets
ATTRIBUTE A-Long-Tree 2 tlv
ATTRIBUTE A-Long-Leaf 2.1 date
END-VENDOR A
";

static DICTIONARY: LazyLock<Dictionary> = LazyLock::new(|| {
    let mut dictionary = Dictionary::shipped();
    let source = Source { name: "unusual".to_owned(), text: UNUSUAL.to_owned() };
    dictionary.add(&source, &mut |_, _| Err("nothing".into())).expect("it is right");
    dictionary
});

fuzz_target!(|attributes: &[u8]| {
    let Some(attributes) = attributes.get(..attributes.len().min(LEN_MAX - 20)) else { return };
    let len = u16::try_from(attributes.len() + 20).expect("it was cut");
    let [high, low] = len.to_be_bytes();
    let mut datagram = vec![1, 1, high, low];
    datagram.resize(20, 7);
    datagram.extend_from_slice(attributes);
    let Ok(packet) = Packet::decode(&datagram) else { return };

    let mut buffer = [0; LEN_MAX];
    for attr in packet.attrs() {
        for (kind, length) in [(1, 0), (1, 1), (1, 2), (2, 1), (2, 2), (4, 0)] {
            let format = Format::new(kind, length, false).expect("there is such a format");
            let _ = attr.vendor_values(format).count();
        }
        if let Some(first) = attr.extended() {
            let value = packet.extended(attr.kind, first.number, &mut buffer).map(<[u8]>::len);
            assert!(value.is_none_or(|len| len < LEN_MAX));
        }
        let _ = extended::vendor_specific(attr.value);
    }
    let _ = packet.joined(AttrType::EAP_MESSAGE, &mut buffer);

    let mut octets = 0;
    DICTIONARY.walk(&packet, &mut |item| octets += item.value.len());
    // A tagged integer is printed with the octet that its tag has.
    assert!(octets <= attributes.len());

    let shown = DICTIONARY.show(packet, Secrets::Hidden).to_string();
    assert!(shown.len() < 64 * LEN_MAX);
    let secret = Secret::new(b"testing123");
    for line in shown.lines().filter(|line| !line.ends_with("= (hidden)")) {
        let pair = DICTIONARY.parse_pair(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        let mut buffer = [0; LEN_MAX];
        let mut writer = Writer::unsigned_request(&mut buffer, Code::ACCESS_REQUEST, 1, [7; 16]);
        writer.pair_with(&pair, Salt::new([0; 2]), &secret);
        let _ = writer.sign(&secret);
    }
});
