//! A datagram: all that a server does with it before it knows who has sent it.

#![no_main]

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use libfuzzer_sys::fuzz_target;
use radius::{
    AttrType, Code, Dictionary, LEN_MAX, Packet, Password, Secret, Server, Writer,
    accounting::Record, authenticator, dictionary::Secrets, dynauth, eap::message, mschap,
    password::Chap, salted, server::Outcome,
};

static DICTIONARY: LazyLock<Dictionary> = LazyLock::new(Dictionary::shipped);

fuzz_target!(|datagram: &[u8]| {
    let Ok(packet) = Packet::decode(datagram) else { return };
    let secret = Secret::new(b"testing123");

    for attr in packet.attrs() {
        let _ = (attr.text(), attr.integer(), attr.integer64(), attr.address());
        let _ = (attr.ipv6_prefix(), attr.tagged(), attr.tagged_integer(), attr.tagged_salted());
        assert!(attr.vendor_attrs().count() <= 128);
        if let Ok(plain) = salted::decrypt(attr.value, packet.authenticator(), &secret) {
            assert!(plain.as_bytes().len() < attr.value.len());
        }
        let _ = Password::reveal(attr.value, packet.authenticator(), &secret);
    }
    let _ = (Record::of(&packet), Chap::of(&packet), mschap::Answer::of(&packet));
    let _ = (dynauth::Request::of(&packet), message::of(&packet), message::len_max(&packet));
    let _ = authenticator::message_authenticator(&packet, &secret);
    let _ = authenticator::verify_accounting(&packet, &secret);

    // It is written again to the same octets.
    let mut buffer = [0; LEN_MAX];
    let (code, id) = (packet.code(), packet.id());
    let mut again = Writer::unsigned_request(&mut buffer, code, id, *packet.authenticator());
    for attr in packet.attrs() {
        again.copy(attr);
    }
    assert_eq!(again.sign(&secret).expect("it was a packet"), packet.as_bytes());

    // It prints, in an amount that a packet can be worth.
    let shown = DICTIONARY.show(packet, Secrets::Hidden).to_string();
    assert!(shown.len() < 64 * LEN_MAX);
    let request = packet.authenticator();
    let _ = DICTIONARY.show(packet, Secrets::Shown { secret: &secret, request }).to_string();

    // A second time it is a retransmission.
    let mut server = Server::default();
    let (now, from) = (Instant::now(), ([192, 0, 2, 1], 1812).into());
    let Outcome::New(pending) = server.handle_request(now, from, &packet) else {
        panic!("nobody has asked before");
    };
    assert_eq!(server.handle_request(now, from, &packet), Outcome::InWork);
    assert!(server.finish(now, pending, b"reply"));
    assert_eq!(server.handle_request(now, from, &packet), Outcome::Answered(b"reply"));
    server.handle_timeout(now + Duration::from_secs(3600));

    // What a proxy has said comes back.
    let mut buffer = [0; LEN_MAX];
    let mut reply = Writer::reply(&mut buffer, Code::ACCESS_REJECT, &packet);
    for attr in packet.attrs().filter(|attr| attr.kind == AttrType::PROXY_STATE) {
        reply.copy(attr);
    }
    let _ = reply.sign(&secret);
});
