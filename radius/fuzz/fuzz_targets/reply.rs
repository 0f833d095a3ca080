//! A reply of somebody who does not know the secret: it never counts.

#![no_main]

use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use radius::{
    Client, Code, Packet, Secret, Writer,
    authenticator::{MessageAuthenticator, message_authenticator_of_reply, verify_reply},
    client::{Due, Outcome, Schedule},
    dynauth::ErrorCause,
};

fuzz_target!(|datagram: &[u8]| {
    let secret = Secret::new(b"nobody could guess this");
    let (now, server) = (Instant::now(), ([192, 0, 2, 1], 1812).into());
    let mut client = Client::default();
    for code in [Code::ACCESS_REQUEST, Code::ACCOUNTING_REQUEST, Code::COA_REQUEST] {
        client
            .request(now, server, &secret, Schedule::default(), |id, buffer| match code {
                Code::ACCESS_REQUEST => Writer::request(buffer, code, id, [9; 16]).sign(&secret),
                _ => Writer::change_request(buffer, code, id).sign(&secret),
            })
            .expect("there are identifiers");
    }
    while let Some(Due::Send { .. }) = client.handle_timeout(now, 7) {}
    let Ok(reply) = Packet::decode(datagram) else { return };
    assert!(matches!(client.handle_reply(server, &reply), Outcome::Ignored(_)));
    assert!(verify_reply(&reply, &[9; 16], &secret).is_err());
    let proof = message_authenticator_of_reply(&reply, &[9; 16], &secret);
    assert_ne!(proof, MessageAuthenticator::Valid);
    let _ = ErrorCause::of(&reply);
    assert_eq!(client.len(), 3);
});
