//! Packets of RFC 2865 §7, octet for octet, and what holds for every packet.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a fault is a failed test")]

use std::net::IpAddr;

use proptest::prelude::*;
use radius::{
    AttrType, Code, DecodeError, LEN_MAX, Packet, Password, Secret, Writer,
    accounting::{Record, Status},
    attr::{mikrotik, vendor::Vendor},
    authenticator::{
        self, MessageAuthenticator, message_authenticator, verify_accounting, verify_reply,
    },
    packet::Authenticator,
    password::{Chap, chap_answer, hide, nt_hash},
};

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn secret() -> Secret {
    Secret::new(b"xyzzy5461")
}

const TELNET_REQUEST: &str = "
    01 00 00 38 0f 40 3f 94 73 97 80 57 bd 83 d5 cb 98 f4 22 7a 01 06 6e 65 6d 6f 02 12
    0d be 70 8d 93 d4 13 ce 31 96 e4 3f 78 2a 0a ee 04 06 c0 a8 01 10 05 06 00 00 00 03";

const TELNET_ACCEPT: &str = "
    02 00 00 26 86 fe 22 0e 76 24 ba 2a 10 05 f6 bf 9b 55 e0 b2 06 06 00 00 00 01 0f 06
    00 00 00 00 0e 06 c0 a8 01 03";

const CHAP_REQUEST: &str = "
    01 01 00 47 2a ee 86 f0 8d 0d 55 96 9c a5 97 8e 0d 33 67 a2 01 08 66 6c 6f 70 73 79
    03 13 16 e9 75 57 c3 16 18 58 95 f2 93 ff 63 44 07 72 75 04 06 c0 a8 01 10 05 06 00 00 00 14
    06 06 00 00 00 02 07 06 00 00 00 01";

const CHAP_ACCEPT: &str = "
    02 01 00 38 15 ef bc 7d ab 26 cf a3 dc 34 d9 c0 3c 86 01 a4 06 06 00 00 00 02
    07 06 00 00 00 01 08 06 ff ff ff fe 0a 06 00 00 00 02 0d 06 00 00 00 01 0c 06 00 00 05 dc";

const CHALLENGED_REQUEST: &str = "
    01 02 00 39 f3 a4 7a 1f 6a 6d 76 71 0b 94 7a b9 30 41 a0 39 01 07 6d 6f 70 73 79 02 12
    33 65 75 73 77 82 89 b5 70 88 5e 15 08 48 25 c5 04 06 c0 a8 01 10 05 06 00 00 00 07";

const CHALLENGE: &str = "
    0b 02 00 4e 36 f3 c8 76 4a e8 c7 11 57 40 3c 0c 71 ff 9c 45 12 30 43 68 61 6c 6c 65
    6e 67 65 20 33 32 37 36 39 34 33 30 2e 20 20 45 6e 74 65 72 20 72 65 73 70 6f 6e 73
    65 20 61 74 20 70 72 6f 6d 70 74 2e 18 0a 33 32 37 36 39 34 33 30";

/// `reply` answers `request`, and both are written again to the same octets.
#[track_caller]
fn check_exchange(request: &str, reply: &str, code: Code) {
    let (request, reply) = (hex(request), hex(reply));
    let request = Packet::decode(&request).unwrap();
    let reply = Packet::decode(&reply).unwrap();
    assert_eq!((request.code(), reply.code()), (Code::ACCESS_REQUEST, code));
    assert_eq!(request.id(), reply.id());
    assert_eq!(verify_reply(&reply, request.authenticator(), &secret()), Ok(()));
    assert!(verify_reply(&reply, request.authenticator(), &Secret::new(b"other")).is_err());

    let mut buffer = [0; LEN_MAX];
    let mut again = Writer::unsigned_request(
        &mut buffer,
        request.code(),
        request.id(),
        *request.authenticator(),
    );
    for attr in request.attrs() {
        again.copy(attr);
    }
    assert_eq!(again.sign(&secret()).unwrap(), request.as_bytes());
}

#[test]
fn the_examples_of_rfc_2865_verify() {
    check_exchange(TELNET_REQUEST, TELNET_ACCEPT, Code::ACCESS_ACCEPT);
    check_exchange(CHAP_REQUEST, CHAP_ACCEPT, Code::ACCESS_ACCEPT);
    check_exchange(CHALLENGED_REQUEST, CHALLENGE, Code::ACCESS_CHALLENGE);
}

#[track_caller]
fn check_password(request: &str, password: &[u8]) {
    let request = hex(request);
    let request = Packet::decode(&request).unwrap();
    let hidden = request.attr(AttrType::USER_PASSWORD).unwrap().value;
    let nonce = request.authenticator();
    assert_eq!(Password::reveal(hidden, nonce, &secret()).unwrap().as_bytes(), password);
    let (again, len) = hide(password, nonce, &secret()).unwrap();
    assert_eq!(&again[..len], hidden);
}

#[test]
fn the_passwords_of_rfc_2865_are_revealed_and_hidden_to_the_same_octets() {
    check_password(TELNET_REQUEST, b"arctangent");
    check_password(CHALLENGED_REQUEST, b"challenge");
}

#[test]
fn a_password_has_1_to_8_blocks() {
    for len in [0, 8, 17, 144] {
        assert!(Password::reveal(&vec![0; len], &[0; 16], &secret()).is_err(), "{len}");
    }
    let longest = [b'x'; 128];
    let (hidden, len) = hide(&longest, &[7; 16], &secret()).unwrap();
    assert_eq!(len, 128);
    let revealed = Password::reveal(&hidden, &[7; 16], &secret()).unwrap();
    assert!(revealed.is(&longest) && !revealed.is(&longest[..127]));
    assert!(hide(&[b'x'; 129], &[7; 16], &secret()).is_none());
    let (_, len) = hide(b"", &[7; 16], &secret()).unwrap();
    assert_eq!(len, 16);
}

#[test]
fn the_nt_hash_of_rfc_2759_verifies() {
    let hash = hex("44 eb ba 8d 53 12 b8 d6 11 47 44 11 f5 69 89 ae");
    assert_eq!(nt_hash("clientPass")[..], hash);
    let (hidden, len) = hide(b"clientPass", &[7; 16], &secret()).unwrap();
    let revealed = Password::reveal(&hidden[..len], &[7; 16], &secret()).unwrap();
    assert!(revealed.has_nt_hash(&nt_hash("clientPass")));
    assert!(!revealed.has_nt_hash(&nt_hash("clientpass")));
}

const STATUS_REQUEST: &str = "
    0c da 00 26 8a 54 f4 68 6f b3 94 c5 28 66 e3 02 18 5d 06 23 50 12 5a 66 5e 2e 1e 84
    11 f3 e2 43 82 20 97 c8 4f a3";

const STATUS_REPLY: &str = "
    02 da 00 14 ef 0d 55 2a 4b f2 d6 93 ec 2b 6f e8 b5 41 1d 66";

/// To an accounting port.
const STATUS_REQUEST_2: &str = "
    0c b3 00 26 92 5f 6b 66 dd 5f ed 57 1f cb 1d b7 ad 38 82 60 50 12 e8 d6 ea bd a9 10
    87 5c d9 1f da de 26 36 78 58";

#[test]
fn the_examples_of_rfc_5997_verify() {
    for request in [STATUS_REQUEST, STATUS_REQUEST_2] {
        let request = hex(request);
        let request = Packet::decode(&request).unwrap();
        assert_eq!(request.code(), Code::STATUS_SERVER);
        assert_eq!(message_authenticator(&request, &secret()), MessageAuthenticator::Valid);
        let mut buffer = [0; LEN_MAX];
        let nonce = *request.authenticator();
        let again = Writer::request(&mut buffer, Code::STATUS_SERVER, request.id(), nonce);
        assert_eq!(again.sign(&secret()).unwrap(), request.as_bytes());
    }
    let (request, reply) = (hex(STATUS_REQUEST), hex(STATUS_REPLY));
    let nonce = *Packet::decode(&request).unwrap().authenticator();
    assert_eq!(verify_reply(&Packet::decode(&reply).unwrap(), &nonce, &secret()), Ok(()));
}

// Those RFCs have no examples in octets: these were computed from their formulas with Python's
// hashlib and hmac.

/// RFC 2866 §3.
const ACCOUNTING_REQUEST: &str = "
    04 07 00 3c b9 e7 2a 4c 82 ba b6 cb ea 37 61 28 82 e9 d5 98 28 06 00 00 00 01 2c 0a
    30 30 30 30 30 30 31 46 01 06 6e 65 6d 6f 04 06 c0 a8 01 10 05 06 00 00 00 03 29 06
    00 00 00 00";

const ACCOUNTING_RESPONSE: &str = "
    05 07 00 14 6c 2a be 73 d4 ce 9f 2f 67 9e 51 6f 77 97 ba eb";

/// RFC 3579 §3.2.
const EAP_REQUEST: &str = "
    01 08 00 37 a0 a1 a2 a3 a4 a5 a6 a7 a8 a9 aa ab ac ad ae af 50 12 8d 74 4d 12 e6 8c
    4c 93 21 86 b3 43 54 49 45 02 01 06 6e 65 6d 6f 4f 0b 02 01 00 09 01 6e 65 6d 6f";

const EAP_CHALLENGE: &str = "
    0b 08 00 44 ba 8c 7c 0b e9 08 30 91 b4 da e2 37 43 47 09 7f 50 12 87 5c 9f e7 03 f2
    25 2e bf 80 4a 58 30 2f 2c 2c 4f 18 01 02 00 16 04 10 00 01 02 03 04 05 06 07 08 09
    0a 0b 0c 0d 0e 0f 18 06 01 02 03 04";

/// RFC 5176 §2.3 and §3.4.
const DISCONNECT_REQUEST: &str = "
    28 09 00 36 29 27 e9 a4 f3 64 7d 2c 79 54 9e fe cb 51 9c 8e 50 12 eb 51 40 c4 5f 51
    c8 ec e7 bf f1 f3 84 bf e3 72 2c 0a 30 30 30 30 30 30 31 46 37 06 6b 04 71 10";

#[test]
fn an_accounting_request_and_its_response_are_those_of_rfc_2866() {
    let mut buffer = [0; LEN_MAX];
    let mut writer = Writer::accounting_request(&mut buffer, Code::ACCOUNTING_REQUEST, 7);
    writer
        .integer(AttrType::ACCT_STATUS_TYPE, Status::START.0)
        .text(AttrType::ACCT_SESSION_ID, "0000001F")
        .text(AttrType::USER_NAME, "nemo")
        .address(AttrType::NAS_IP_ADDRESS, IpAddr::from([192, 168, 1, 16]))
        .integer(AttrType::NAS_PORT, 3)
        .integer(AttrType::ACCT_DELAY_TIME, 0);
    let request = writer.sign(&secret()).unwrap().to_vec();
    assert_eq!(request, hex(ACCOUNTING_REQUEST));
    let request = Packet::decode(&request).unwrap();
    assert_eq!(verify_accounting(&request, &secret()), Ok(()));
    let mut buffer = [0; LEN_MAX];
    let reply = Writer::reply(&mut buffer, Code::ACCOUNTING_RESPONSE, &request);
    assert_eq!(reply.sign(&secret()).unwrap(), hex(ACCOUNTING_RESPONSE));
}

#[test]
fn an_eap_login_is_signed_as_in_rfc_3579() {
    let mut nonce = [0; 16];
    nonce.iter_mut().zip(0xa0..).for_each(|(place, octet)| *place = octet);
    let mut buffer = [0; LEN_MAX];
    let mut writer = Writer::request(&mut buffer, Code::ACCESS_REQUEST, 8, nonce);
    writer
        .text(AttrType::USER_NAME, "nemo")
        .attr(AttrType::EAP_MESSAGE, &[2, 1, 0, 9, 1, b'n', b'e', b'm', b'o']);
    let request = writer.sign(&secret()).unwrap().to_vec();
    assert_eq!(request, hex(EAP_REQUEST));
    let request = Packet::decode(&request).unwrap();
    let mut buffer = [0; LEN_MAX];
    let mut reply = Writer::reply(&mut buffer, Code::ACCESS_CHALLENGE, &request);
    let challenge = [&[1, 2, 0, 22, 4, 16][..], &(0..16).collect::<Vec<u8>>()].concat();
    reply.attr(AttrType::EAP_MESSAGE, &challenge).attr(AttrType::STATE, &[1, 2, 3, 4]);
    assert_eq!(reply.sign(&secret()).unwrap(), hex(EAP_CHALLENGE));
}

#[test]
fn a_disconnect_request_is_signed_as_in_rfc_5176() {
    let mut buffer = [0; LEN_MAX];
    let mut writer = Writer::change_request(&mut buffer, Code::DISCONNECT_REQUEST, 9);
    writer
        .text(AttrType::ACCT_SESSION_ID, "0000001F")
        .integer(AttrType::EVENT_TIMESTAMP, 1_795_453_200);
    assert_eq!(writer.sign(&secret()).unwrap(), hex(DISCONNECT_REQUEST));
    let request = hex(DISCONNECT_REQUEST);
    let request = Packet::decode(&request).unwrap();
    assert_eq!(verify_accounting(&request, &secret()), Ok(()));
    assert_eq!(message_authenticator(&request, &secret()), MessageAuthenticator::Valid);
}

#[test]
fn chap_takes_the_challenge_or_else_the_authenticator() {
    let nonce = [9; 16];
    for challenge in [None, Some(b"a challenge of its own".as_slice())] {
        let mut buffer = [0; LEN_MAX];
        let mut writer = Writer::request(&mut buffer, Code::ACCESS_REQUEST, 1, nonce);
        let answer = chap_answer(42, b"simba", challenge.unwrap_or(&nonce));
        writer.attr(AttrType::CHAP_PASSWORD, &[&[42][..], &answer[..]].concat());
        if let Some(challenge) = challenge {
            writer.attr(AttrType::CHAP_CHALLENGE, challenge);
        }
        let bytes = writer.sign(&secret()).unwrap();
        let chap = Chap::of(&Packet::decode(bytes).unwrap()).unwrap();
        assert!(chap.is(b"simba"));
        assert!(!chap.is(b"Simba"));
    }
    assert!(Chap::of(&Packet::decode(&hex(TELNET_REQUEST)).unwrap()).is_none());
}

#[test]
fn lengths_follow_rfc_2865() {
    let packet = hex(TELNET_REQUEST);
    let mut padded = packet.clone();
    padded.extend([0xff; 9]);
    assert_eq!(Packet::decode(&padded).unwrap().as_bytes(), packet);

    let claimed = 56;
    let cut = &packet[..55];
    assert_eq!(Packet::decode(cut), Err(DecodeError::Truncated { claimed, got: 55 }));
    assert_eq!(Packet::decode(&packet[..19]), Err(DecodeError::NoHeader(19)));
    for length in [0_u16, 19, 4097, u16::MAX] {
        let mut wrong = vec![0; 5000];
        wrong[2..4].copy_from_slice(&length.to_be_bytes());
        assert_eq!(Packet::decode(&wrong), Err(DecodeError::Length(length)));
    }
    for (octet, at) in [(0, 20), (1, 20), (200, 20)] {
        let mut wrong = packet.clone();
        wrong[21] = octet;
        assert_eq!(Packet::decode(&wrong), Err(DecodeError::Attribute { at }), "{octet}");
    }
}

#[test]
fn a_message_authenticator_is_first_in_replies_and_covers_all() {
    let nonce = [3; 16];
    let mut buffer = [0; LEN_MAX];
    let mut writer = Writer::request(&mut buffer, Code::ACCESS_REQUEST, 5, nonce);
    writer.text(AttrType::USER_NAME, "amina");
    let request = writer.sign(&secret()).unwrap().to_vec();
    let request = Packet::decode(&request).unwrap();
    assert_eq!(message_authenticator(&request, &secret()), MessageAuthenticator::Valid);
    assert_eq!(message_authenticator(&request, &Secret::new(b"x")), MessageAuthenticator::Invalid);

    let mut buffer = [0; LEN_MAX];
    let mut writer = Writer::reply(&mut buffer, Code::ACCESS_REJECT, &request);
    writer.text(AttrType::REPLY_MESSAGE, "no");
    let mut reply = writer.sign(&secret()).unwrap().to_vec();
    let decoded = Packet::decode(&reply).unwrap();
    assert_eq!(decoded.attrs().next().unwrap().kind, AttrType::MESSAGE_AUTHENTICATOR);
    let check = |reply: &[u8]| {
        let reply = Packet::decode(reply).unwrap();
        authenticator::message_authenticator_of_reply(&reply, &nonce, &secret())
    };
    assert_eq!(check(&reply), MessageAuthenticator::Valid);
    assert_eq!(verify_reply(&decoded, &nonce, &secret()), Ok(()));
    *reply.last_mut().unwrap() ^= 1;
    assert_eq!(check(&reply), MessageAuthenticator::Invalid);
}

#[test]
fn a_message_authenticator_of_a_wrong_length_or_two_of_them_are_invalid() {
    for values in [&[&[0_u8; 15][..]][..], &[&[]], &[&[0; 17]], &[&[0; 16], &[0; 16]]] {
        let mut buffer = [0; LEN_MAX];
        let mut writer = Writer::unsigned_request(&mut buffer, Code::ACCESS_REQUEST, 5, [3; 16]);
        for value in values {
            writer.attr(AttrType::MESSAGE_AUTHENTICATOR, value);
        }
        let bytes = writer.sign(&secret()).unwrap();
        let proof = message_authenticator(&Packet::decode(bytes).unwrap(), &secret());
        assert_eq!(proof, MessageAuthenticator::Invalid);
    }
}

#[test]
fn an_accounting_record_has_all_its_64_bits() {
    let mut buffer = [0; LEN_MAX];
    let mut writer = Writer::accounting_request(&mut buffer, Code::ACCOUNTING_REQUEST, 5);
    writer
        .integer(AttrType::ACCT_STATUS_TYPE, Status::STOP.0)
        .text(AttrType::ACCT_SESSION_ID, "5A-1")
        .address(AttrType::FRAMED_IP_ADDRESS, IpAddr::from([10, 0, 0, 7]))
        .integer(AttrType::ACCT_INPUT_OCTETS, 0xffff_fffe)
        .integer(AttrType::ACCT_INPUT_GIGAWORDS, 2)
        .integer(AttrType::ACCT_OUTPUT_GIGAWORDS, 1)
        .attr(AttrType::ACCT_SESSION_TIME, &[1, 2])
        .attr(AttrType(241), b"of a type nobody knows");
    let bytes = writer.sign(&secret()).unwrap();
    let packet = Packet::decode(bytes).unwrap();
    assert_eq!(verify_accounting(&packet, &secret()), Ok(()));
    assert!(verify_accounting(&packet, &Secret::new(b"other")).is_err());
    let record = Record::of(&packet);
    let expected = Record {
        status: Some(Status::STOP),
        session_id: Some(b"5A-1"),
        address: Some(IpAddr::from([10, 0, 0, 7])),
        input_octets: Some(0x2_ffff_fffe),
        output_octets: Some(1 << 32),
        has_gigawords: true,
        ..Record::default()
    };
    assert_eq!(record, expected);
}

#[test]
fn a_vendor_attribute_is_written_and_read() {
    let mut buffer = [0; LEN_MAX];
    let mut writer = Writer::accounting_request(&mut buffer, Code::ACCOUNTING_REQUEST, 5);
    writer.vendor(Vendor::MIKROTIK, mikrotik::RATE_LIMIT, b"5000k/10000k");
    let bytes = writer.sign(&secret()).unwrap();
    let attr = Packet::decode(bytes).unwrap().attr(AttrType::VENDOR_SPECIFIC).unwrap();
    assert_eq!(attr.value, hex("00003a8c 08 0e 35303030 6b2f3130 3030306b"));
    let inside: Vec<_> = attr.vendor_attrs().collect();
    assert_eq!(inside.len(), 1);
    assert_eq!(inside[0].vendor, Vendor::MIKROTIK);
    assert_eq!(inside[0].attr.text(), Some("5000k/10000k"));
}

#[test]
fn what_does_not_fit_is_an_error_and_not_a_cut_packet() {
    let mut buffer = [0; LEN_MAX];
    let mut writer = Writer::accounting_request(&mut buffer, Code::ACCOUNTING_REQUEST, 5);
    writer.attr(AttrType::CLASS, &[0; 254]);
    assert!(writer.sign(&secret()).is_err());
    let mut writer = Writer::accounting_request(&mut buffer, Code::ACCOUNTING_REQUEST, 5);
    writer.vendor(Vendor::MIKROTIK, mikrotik::RATE_LIMIT, &[b'1'; 248]);
    assert!(writer.sign(&secret()).is_err());
    let mut writer = Writer::accounting_request(&mut buffer, Code::ACCOUNTING_REQUEST, 5);
    for _ in 0..17 {
        writer.attr(AttrType::CLASS, &[0; 253]);
    }
    assert!(writer.sign(&secret()).is_err());
}

/// Attributes that are well-formed, known or not.
fn attrs() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let value = proptest::collection::vec(any::<u8>(), 0..=60);
    proptest::collection::vec((any::<u8>(), value), 0..30)
}

fn encode(code: u8, id: u8, nonce: Authenticator, attrs: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut buffer = [0; LEN_MAX];
    let mut writer = Writer::unsigned_request(&mut buffer, Code(code), id, nonce);
    for (kind, value) in attrs {
        writer.attr(AttrType(*kind), value);
    }
    writer.sign(&secret()).unwrap().to_vec()
}

proptest! {
    #[test]
    fn any_octets_decode_or_fail(bytes: Vec<u8>) {
        let _ = Packet::decode(&bytes);
    }

    /// Almost a packet: what a decoder is most likely to get wrong.
    #[test]
    fn octets_with_a_right_length_decode_or_fail_and_encode_back(
        mut bytes in proptest::collection::vec(any::<u8>(), 20..300),
    ) {
        let len = u16::try_from(bytes.len()).unwrap();
        bytes[2..4].copy_from_slice(&len.to_be_bytes());
        if let Ok(packet) = Packet::decode(&bytes) {
            let attrs: Vec<_> =
                packet.attrs().map(|attr| (attr.kind.0, attr.value.to_vec())).collect();
            let nonce = *packet.authenticator();
            prop_assert_eq!(encode(packet.code().0, packet.id(), nonce, &attrs), bytes.clone());
            let _ = Record::of(&packet);
            let _ = Chap::of(&packet);
            let _ = message_authenticator(&packet, &secret());
            for attr in packet.attrs() {
                let _ = (attr.text(), attr.integer(), attr.address(), attr.ipv6_prefix());
                prop_assert!(attr.vendor_attrs().count() < 128);
            }
        }
    }

    #[test]
    fn order_and_unknown_attributes_survive(
        code: u8, id: u8, nonce: [u8; 16], attrs in attrs(),
    ) {
        let bytes = encode(code, id, nonce, &attrs);
        let packet = Packet::decode(&bytes).unwrap();
        let got: Vec<_> = packet.attrs().map(|attr| (attr.kind.0, attr.value.to_vec())).collect();
        prop_assert_eq!(got, attrs);
    }

    #[test]
    fn a_password_is_hidden_and_revealed(
        password in proptest::collection::vec(1_u8.., 0..=128), nonce: [u8; 16], key: Vec<u8>,
    ) {
        let secret = Secret::new(&key);
        let (hidden, len) = hide(&password, &nonce, &secret).unwrap();
        let revealed = Password::reveal(&hidden[..len], &nonce, &secret).unwrap();
        prop_assert_eq!(revealed.as_bytes(), password);
    }

    #[test]
    fn a_changed_bit_is_noticed(id: u8, nonce: [u8; 16], attrs in attrs(), bit: prop::sample::Index) {
        let mut buffer = [0; LEN_MAX];
        let mut writer = Writer::request(&mut buffer, Code::ACCESS_REQUEST, id, nonce);
        for (kind, value) in &attrs {
            if *kind != AttrType::MESSAGE_AUTHENTICATOR.0 {
                writer.attr(AttrType(*kind), value);
            }
        }
        let mut bytes = writer.sign(&secret()).unwrap().to_vec();
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(packet) = Packet::decode(&bytes) && packet.code() == Code::ACCESS_REQUEST {
            let proof = message_authenticator(&packet, &secret());
            prop_assert_ne!(proof, MessageAuthenticator::Valid);
        }
    }
}
