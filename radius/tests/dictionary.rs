//! Dictionaries: those that are shipped, those of FreeRADIUS beside them, and packets as text.

#![expect(clippy::unwrap_used, reason = "a fault is a failed test")]

use std::{
    error::Error,
    fs,
    path::{Path as File, PathBuf},
};

use radius::{
    AttrType, Code, Dictionary, LEN_MAX, Packet, Secret, Writer,
    attr::path::Path,
    dictionary::{DataType, Encryption, Flags, Secrets, Source},
    salted::Salt,
};

/// Of Debian's package `freeradius-common`.
const FREERADIUS: &str = "/usr/share/freeradius";

fn secret() -> Secret {
    Secret::new(b"xyzzy5461")
}

fn read(file: &File) -> Source {
    let octets = fs::read(file).unwrap();
    Source { name: file.display().to_string(), text: String::from_utf8_lossy(&octets).into_owned() }
}

/// Includes are beside the file that includes them.
fn load(from: &str, name: &str) -> Result<Source, Box<dyn Error + Send + Sync>> {
    let file = File::new(from).with_file_name(name);
    let octets = fs::read(&file)?;
    let text = String::from_utf8_lossy(&octets).into_owned();
    Ok(Source { name: file.display().to_string(), text })
}

/// Every file that the package has.
fn files() -> Vec<PathBuf> {
    let files: Vec<PathBuf> = fs::read_dir(FREERADIUS)
        .unwrap_or_else(|error| {
            panic!("{FREERADIUS}: {error}: install the package freeradius-common")
        })
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("dictionary"))
        .collect();
    assert!(files.len() > 200, "{FREERADIUS} has {} files only", files.len());
    files
}

fn freeradius() -> Dictionary {
    let mut dictionary = Dictionary::default();
    let main = read(&File::new(FREERADIUS).join("dictionary"));
    dictionary.add(&main, &mut load).unwrap();
    dictionary
}

#[test]
fn the_dictionaries_that_others_ship_are_read() {
    files();
    let dictionary = freeradius();
    assert!(dictionary.attributes().count() > 6000, "{}", dictionary.attributes().count());
    assert!(dictionary.vendors().count() > 150);
    let wimax = dictionary.attribute("WiMAX-Capability").unwrap();
    assert_eq!((wimax.path(), wimax.kind()), (Path::vendor(24757, 1), DataType::Tlv));
    let usr = dictionary.vendor_named("USR").unwrap();
    assert_eq!((usr.number(), usr.format().to_string()), (429, "4,0".to_owned()));
    let evs = dictionary.attribute("Extended-Vendor-Specific-5").unwrap();
    assert_eq!((evs.path().to_string(), evs.kind()), ("245.26".to_owned(), DataType::Evs));
}

#[test]
fn every_file_that_others_ship_is_read() {
    let known = freeradius();
    let mut faults = Vec::new();
    for file in files() {
        // Some name what stands in the files before them, others contradict those.
        for base in [known.clone(), Dictionary::shipped()] {
            let mut dictionary = base;
            match dictionary.add(&read(&file), &mut load) {
                Ok(()) => {
                    faults.truncate(faults.len() / 2 * 2);
                    break;
                }
                Err(error) => faults.push(error.to_string()),
            }
        }
    }
    // It names the values of an attribute that is in no file.
    let folder = FREERADIUS;
    let fault = "the attribute `FreeDHCP-Opcode` is not known";
    let expected = [
        format!("{folder}/dictionary.freedhcp:238: {fault}"),
        format!("{folder}/dictionary.freedhcp:238: {fault}"),
    ];
    assert_eq!(faults, expected);
}

/// Where we say something else than FreeRADIUS does.
fn is_ours(name: &str) -> bool {
    // It has them not at all; the attributes that only we keep from eyes are secrets.
    name.starts_with("UBNT-") || name.starts_with("TPLink-")
}

#[test]
fn what_is_shipped_is_what_others_know() {
    let (ours, theirs) = (Dictionary::shipped(), freeradius());
    let mut count = 0;
    for attribute in ours.attributes().filter(|attribute| !is_ours(attribute.name())) {
        let name = attribute.name();
        let other = match theirs.attribute(name).filter(|other| other.path() == attribute.path()) {
            Some(other) => other,
            // The digest attributes have two sets of numbers there.
            None if attribute
                .path()
                .numbers()
                .iter()
                .all(|number| (103..=122).contains(number)) =>
            {
                continue;
            }
            None => panic!("{name} is not {} there", attribute.path()),
        };
        assert_eq!(attribute.kind(), other.kind(), "{name}");
        let flags = Flags { secret: false, ..attribute.flags() };
        assert_eq!(flags, Flags { secret: false, ..other.flags() }, "{name}");
        let format = |dictionary: &Dictionary| dictionary.format_at(attribute.path());
        assert_eq!(format(&ours), format(&theirs), "{name}");
        for (number, value) in attribute.values() {
            assert_eq!(other.value(value), Some(number), "{name} {value}");
        }
        count += 1;
    }
    assert!(count > 1000, "{count}");
    for vendor in ours.vendors().filter(|vendor| !["UBNT", "TPLink"].contains(&vendor.name())) {
        assert_eq!(theirs.vendor(vendor.number()).unwrap().name(), vendor.name());
    }
}

#[test]
fn the_numbers_in_the_code_are_those_of_the_dictionary() {
    let dictionary = Dictionary::shipped();
    let mut count = 0;
    for number in 0..=u8::MAX {
        let Some(name) = AttrType(number).name() else { continue };
        let attribute = dictionary.attribute(name).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(attribute.path(), Path::standard(number.into()), "{name}");
        count += 1;
    }
    assert!(count > 150, "{count}");
    for vendor in ["Mikrotik", "WISPr", "ChilliSpot", "Cisco", "UBNT", "Aruba", "Cambium"] {
        assert!(dictionary.vendor_named(vendor).is_some(), "{vendor}");
    }
    for vendor in ["Motorola", "TPLink", "Microsoft", "Ruckus", "Huawei", "Mimosa", "ERX"] {
        assert!(dictionary.vendor_named(vendor).is_some(), "{vendor}");
    }
}

/// Adds this text after what is shipped, as the file `own.dict`.
fn fault(text: &str) -> String {
    let mut dictionary = Dictionary::shipped();
    let source = Source { name: "own.dict".to_owned(), text: text.to_owned() };
    let mut load = |_: &str, name: &str| match name {
        "circle" => Ok(Source { name: name.to_owned(), text: "$INCLUDE circle".to_owned() }),
        _ => Err("it is not there".into()),
    };
    dictionary.add(&source, &mut load).unwrap_err().to_string()
}

#[test]
fn a_fault_names_the_file_the_line_and_what_was_expected() {
    for (text, expected) in [
        ("\n\nATRIBUTE a 1 integer", "own.dict:3: expected ATTRIBUTE, VALUE,"),
        ("ATTRIBUTE a 1", "own.dict:1: expected `ATTRIBUTE NAME NUMBER TYPE [FLAGS]`"),
        ("ATTRIBUTE a b integer", "expected an attribute's number like 8, 241.1 or 0x1a, not `b`"),
        ("ATTRIBUTE a 1.2.3.4.5.6.7.8.9 integer", "expected an attribute's number"),
        ("ATTRIBUTE a 1 intger", "expected a type (string, octets, octets[N], integer,"),
        ("ATTRIBUTE a 200 string encrypt=4", "expected flags (has_tag, encrypt=1,"),
        ("ATTRIBUTE User-Name 2 string", "`User-Name` is the attribute 1 already and cannot be 2"),
        ("VALUE User-Nmae x 1", "own.dict:1: the attribute `User-Nmae` is not known"),
        ("VALUE Service-Type x y", "expected a number like 26 or 0x1a, not `y`"),
        ("VENDOR Example x", "expected a number like 26 or 0x1a, not `x`"),
        ("VENDOR Example 32473 format=3,1", "expected a format: format=1,1 or 2,1"),
        ("BEGIN-VENDOR Example", "the vendor `Example` is not known here: a VENDOR line comes"),
        ("BEGIN-VENDOR Cisco format=x", "Extended-Vendor-Specific-1 (to -6)"),
        ("BEGIN-VENDOR Cisco\n", "own.dict:1: expected `END-VENDOR cisco`"),
        ("BEGIN-VENDOR Cisco\nEND-VENDOR HP", "own.dict:2: expected `END-VENDOR cisco`"),
        ("END-VENDOR Cisco", "expected `BEGIN-VENDOR Cisco`"),
        ("BEGIN-TLV User-Name", "`User-Name` is not of the type tlv"),
        ("END-TLV User-Name", "expected `BEGIN-TLV User-Name`"),
        ("$INCLUDE other", "own.dict:1: cannot read `other`"),
        ("$INCLUDE circle", "circle:1: files include each other 10 deep"),
        ("$INCLUDE", "expected `$INCLUDE FILE`"),
    ] {
        let fault = fault(text);
        assert!(fault.contains(expected), "{fault}\nshould contain: {expected}");
    }
}

#[test]
fn an_operator_adds_a_vendor_of_every_form() {
    let text = "
        VENDOR Two 32473 format=2,1
        BEGIN-VENDOR Two
        ATTRIBUTE Two-Wide 0x0102 integer   # a comment
        VALUE Two-Wide Broad 0x10
        END-VENDOR Two
        ATTRIBUTE Old-Form 7 string Two
        BEGIN-VENDOR Two format=Extended-Vendor-Specific-5
        ATTRIBUTE Two-Long 1 octets
        ATTRIBUTE Two-Tree 2 tlv
        BEGIN-TLV Two-Tree
        ATTRIBUTE Two-Leaf 3 byte
        END-TLV Two-Tree
        ATTRIBUTE Two-Other-Leaf 2.4 string
        END-VENDOR Two
        $INCLUDE- missing
        value Service-Type Coffee 77
    ";
    let mut dictionary = Dictionary::shipped();
    let source = Source { name: "own.dict".to_owned(), text: text.to_owned() };
    dictionary.add(&source, &mut |_, _| Err("it is not there".into())).unwrap();
    let path = |name: &str| dictionary.attribute(name).unwrap().path().to_string();
    assert_eq!(path("two-wide"), "26.32473.258");
    assert_eq!(path("Old-Form"), "26.32473.7");
    assert_eq!(path("Two-Long"), "245.26.32473.1");
    assert_eq!(path("Two-Leaf"), "245.26.32473.2.3");
    assert_eq!(path("Two-Other-Leaf"), "245.26.32473.2.4");
    assert_eq!(dictionary.attribute("Service-Type").unwrap().value("coffee"), Some(77));
    let wide = dictionary.attribute("Two-Wide").unwrap();
    assert_eq!((wide.value("Broad"), wide.value_name(16)), (Some(16), Some("Broad")));
}

const USER_PASSWORD: &str = "02 12 2173899caf782d993dbd6a316a88996b";
const ASCEND: &str = "1a 18 00000211 d6 12 c0d9793b5ef67baff61cf8baf0c3d433";

const NONCE: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// The attributes that these pairs make, behind the header.
fn written(dictionary: &Dictionary, pairs: &[&str]) -> Vec<u8> {
    let mut buffer = [0; LEN_MAX];
    let mut writer = Writer::unsigned_request(&mut buffer, Code::ACCESS_REQUEST, 1, NONCE);
    let mut salt = Salt::new([0x1a, 1]);
    for pair in pairs {
        writer.pair_with(&dictionary.parse_pair(pair).unwrap(), salt, &secret());
        salt = salt.next();
    }
    writer.sign(&secret()).unwrap().to_vec()
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |text, octet| text + &format!("{octet:02x}"))
}

/// The pair is written to these octets, and these octets print as the pair.
#[track_caller]
fn check(dictionary: &Dictionary, pair: &str, octets: &str) {
    let packet = written(dictionary, &[pair]);
    let expected: String = octets.split_whitespace().collect();
    assert_eq!(hex(packet.get(20..).unwrap()), expected, "{pair}");
    let packet = Packet::decode(&packet).unwrap();
    let secret = secret();
    let shown = dictionary.show(packet, Secrets::Shown { secret: &secret, request: &NONCE });
    assert_eq!(shown.to_string(), format!("\t{pair}\n"));
}

#[test]
fn pairs_are_written_and_printed() {
    let dictionary = Dictionary::shipped();
    let check = |pair, octets| check(&dictionary, pair, octets);
    check("User-Name = \"amina\"", "01 07 616d696e61");
    check("Framed-IP-Address = 10.0.0.20", "08 06 0a000014");
    check("Service-Type = Framed-User", "06 06 00000002");
    check("Service-Type = 4711", "06 06 00001267");
    check("Event-Timestamp = \"2026-11-23T17:00:00Z\"", "37 06 6b047110");
    check("Class = 0x0102ff", "19 05 0102ff");
    check("Mikrotik-Rate-Limit = \"5M/10M\"", "1a 0e 00003a8c 08 08 354d2f31304d");
    check("WISPr-Bandwidth-Max-Down = 10000000", "1a 0c 0000372a 08 06 00989680");
    check("Tunnel-Type:1 = VLAN", "40 06 01 00000d");
    check("Tunnel-Type:0 = VLAN", "40 06 00 00000d");
    check("Tunnel-Private-Group-Id:1 = \"200\"", "51 06 01 323030");
    check("Tunnel-Private-Group-Id:0 = \"200\"", "51 06 00 323030");
    check("Tunnel-Private-Group-Id = \"200\"", "51 05 323030");
    check("Tunnel-Private-Group-Id:0 = \"\\001\"", "51 04 00 01");
    check("Framed-Interface-Id = 0200:00ff:fe00:0001", "60 0a 020000fffe000001");
    check("NAS-IPv6-Address = 2001:db8::1", "5f 12 20010db8000000000000000000000001");
    let prefix = "61 14 00 40 20010db8000100000000000000000000";
    check("Framed-IPv6-Prefix = 2001:db8:1::/64", prefix);
    check("Frag-Status = More-Data-Pending", "f1 07 01 00000002");
    check("IPv6-6rd-IPv4MaskLen = 24", "ad 08 01 06 00000018");
    check("UBNT-Data-Rate-DL = 10000000", "1a 10 0000a098 01 0a 0000000000989680");
    check("Attr-250 = 0x0102", "fa 04 0102");
    check("Attr-26.32473.1 = 0xff", "1a 09 00007ed9 01 03 ff");
    check("Attr-26.32473 = 0xff", "1a 07 00007ed9 ff");
    check("Attr-241.26.32473.1 = 0xff", "f1 09 1a 00007ed9 01 ff");
    check("Attr-8 = 0x0a0000", "08 05 0a0000");
    // A tagged integer has 24 bits behind a tag up to 31.
    check("Attr-64 = 0x2100000d", "40 06 2100000d");
    check("Attr-64 = 0x180502030d", "40 07 180502030d");
}

#[test]
fn what_is_encrypted_is_written_and_printed_with_the_secret_and_hidden_without() {
    let dictionary = Dictionary::shipped();
    // The User-Password of RFC 2865 §7.1 has another nonce; these were computed with Python.
    check(&dictionary, "User-Password = \"arctangent\"", USER_PASSWORD);
    let salted = "9a01 8be487fb3707188c12c54f7e86f5bbd5";
    check(&dictionary, "Tunnel-Password:1 = \"arctangent\"", &format!("45 15 01 {salted}"));
    check(&dictionary, "Tunnel-Password:0 = \"arctangent\"", &format!("45 15 00 {salted}"));
    let key = format!("1a 1a 00000137 10 14 {salted}");
    check(&dictionary, "MS-MPPE-Send-Key = 0x61726374616e67656e74", &key);
    check(&dictionary, "Ascend-Send-Secret = \"arctangent\"", ASCEND);

    let packet = written(
        &dictionary,
        &["User-Password = simba", "Tunnel-Password = simba", "Mikrotik-Wireless-PSK = simba"],
    );
    let packet = Packet::decode(&packet).unwrap();
    let shown = dictionary.show(packet, Secrets::Hidden).to_string();
    let expected = "\tUser-Password = (hidden)\n\tTunnel-Password:0 = (hidden)\n\
                    \tMikrotik-Wireless-PSK = (hidden)\n";
    assert_eq!(shown, expected);
    let other = Secret::new(b"other");
    let shown = dictionary.show(packet, Secrets::Shown { secret: &other, request: &NONCE });
    assert!(!shown.to_string().contains("simba\"\n\tTunnel"));

    let pair = dictionary.parse_pair("User-Password = simba").unwrap();
    assert_eq!(pair.encryption(), Some(Encryption::UserPassword));
    assert!(!format!("{pair:?}").contains("simba"));
    let mut buffer = [0; LEN_MAX];
    let mut writer = Writer::unsigned_request(&mut buffer, Code::ACCESS_REQUEST, 1, NONCE);
    writer.pair(&pair);
    assert!(writer.sign(&secret()).is_err());
}

#[test]
fn long_values_are_cut_and_joined() {
    let mut dictionary = Dictionary::shipped();
    let source = Source {
        name: "own.dict".to_owned(),
        text: "VENDOR WiMAX 24757 format=1,1,c\nBEGIN-VENDOR WiMAX\n\
               ATTRIBUTE WiMAX-Long 1 octets\nATTRIBUTE WiMAX-Tree 2 tlv\n\
               ATTRIBUTE WiMAX-Leaf 2.3 short\nEND-VENDOR WiMAX"
            .to_owned(),
    };
    dictionary.add(&source, &mut |_, _| Err("nothing".into())).unwrap();
    let text = |len: usize| "ab".repeat(len);
    for (name, first, header) in [
        ("EAP-Message", 253, "4fff"),
        ("Attr-245.1", 251, "f5ff0180"),
        ("WiMAX-Long", 246, "1aff000060b501f980"),
    ] {
        for len in [first - 1, first, first + 1, 2 * first, 2 * first + 1, 1500] {
            let pair = format!("{name} = 0x{}", text(len));
            let packet = written(&dictionary, &[&pair]);
            let count = Packet::decode(&packet).unwrap().attrs().count();
            assert_eq!(count, len.div_ceil(first), "{name} {len}");
            let octets = hex(packet.get(20..).unwrap());
            assert_eq!(octets.starts_with(header), len > first || len == 253, "{name} {len}");
            let packet = Packet::decode(&packet).unwrap();
            let shown = dictionary.show(packet, Secrets::Hidden).to_string();
            assert_eq!(shown, format!("\t{pair}\n"), "{len}");
        }
    }
    check(&dictionary, "WiMAX-Leaf = 4660", "1a 0d 000060b5 02 07 00 03 04 1234");
    // An attribute of another vendor ends it; what has no end is no value.
    let first = written(&dictionary, &[&format!("Attr-245.1 = 0x{}", text(300))]);
    let cut = first.get(20..275).unwrap();
    let mut packet = [first.get(..20).unwrap(), cut].concat();
    packet.get_mut(2..4).unwrap().copy_from_slice(&275_u16.to_be_bytes());
    let shown = dictionary.show(Packet::decode(&packet).unwrap(), Secrets::Hidden).to_string();
    assert!(shown.starts_with("\tAttr-245 = 0x0180abab"), "{shown}");
}

#[test]
fn what_is_not_a_pair_says_what_was_expected() {
    let dictionary = Dictionary::shipped();
    for (text, expected) in [
        ("", "expected `Name = value`"),
        ("User-Name", "expected `Name = value`"),
        ("= 5", "expected `Name = value`"),
        ("User-Name := x", "expected `=` or `+=` after `User-Name"),
        ("User-Name == x", "expected `=` or `+=` after `User-Name"),
        ("User-Name =~ x", "expected `=` or `+=` after `User-Name"),
        ("User Name = x", "expected `=` or `+=` after `User Name"),
        ("User-Nmae = x", "no dictionary has an attribute `User-Nmae`"),
        ("Framed-IP-Address = here", "Framed-IP-Address is of the type ipaddr, and `here` is none"),
        ("Service-Type = Coffee", "is of the type integer or one of its names, and `Coffee` is"),
        ("User-Name:1 = x", "User-Name: only an attribute with the flag has_tag has a tag"),
        ("Tunnel-Type:32 = VLAN", "Tunnel-Type: only an attribute with the flag has_tag"),
        ("Tunnel-Type:1 = 16777216", "and `16777216` is none"),
        ("Attr-26.9.1 = hello", "is written by its number, so it takes octets like 0x0a1b"),
        ("Attr-26.9.256 = 0x00", "no attribute of a packet can be 26.9.256"),
        ("Attr-256 = 0x00", "no attribute of a packet can be 256"),
        ("Attr-1.2.3.4.5.6.7.8.9 = 0x00", "no dictionary has an attribute"),
    ] {
        let fault = dictionary.parse_pair(text).unwrap_err().to_string();
        assert!(fault.contains(expected), "{text}: {fault}\nshould contain: {expected}");
    }
    let fault = dictionary.parse_pair("User-Password = \"simba").unwrap_err().to_string();
    assert!(!fault.contains("simba"), "{fault}");
    for text in ["User-Name=amina", " user-name  +=  'amina' ", "Attr-1 = 0x616d696e61"] {
        assert_eq!(dictionary.parse_pair(text).unwrap().value(), b"amina", "{text}");
    }
}
