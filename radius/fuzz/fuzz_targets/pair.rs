//! `Name = value`: what can be written prints as what is read again to the same octets.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use radius::{
    Code, Dictionary, LEN_MAX, Packet, Secret, Writer,
    dictionary::{Encryption, Pair, Secrets},
    salted::Salt,
};

static DICTIONARY: LazyLock<Dictionary> = LazyLock::new(Dictionary::shipped);
const NONCE: [u8; 16] = [7; 16];

fn written(pair: &Pair, secret: &Secret) -> Option<Vec<u8>> {
    let mut buffer = [0; LEN_MAX];
    let mut writer = Writer::unsigned_request(&mut buffer, Code::ACCESS_REQUEST, 1, NONCE);
    writer.pair_with(pair, Salt::new([1, 2]), secret);
    writer.sign(secret).ok().map(<[u8]>::to_vec)
}

fuzz_target!(|text: &str| {
    let Ok(pair) = DICTIONARY.parse_pair(text) else { return };
    // Padding is zeros there, and goes.
    if matches!(pair.encryption(), Some(Encryption::UserPassword | Encryption::Ascend))
        && pair.value().ends_with(&[0])
    {
        return;
    }
    let secret = Secret::new(b"testing123");
    let Some(octets) = written(&pair, &secret) else { return };
    let packet = Packet::decode(&octets).expect("it was written");
    let secrets = Secrets::Shown { secret: &secret, request: &NONCE };
    let shown = DICTIONARY.show(packet, secrets).to_string();
    let mut lines = shown.lines();
    let (Some(line), None) = (lines.next(), lines.next()) else { return };
    // What is named by its number may print by its name, in another length, and may not be what
    // that name needs to be decrypted.
    let by_number = text.trim_start().to_ascii_lowercase().starts_with("attr-");
    if by_number && line.ends_with("(cannot be decrypted)") {
        return;
    }
    let Ok(again) = DICTIONARY.parse_pair(line) else {
        panic!("{text:?} prints as {line:?}, which is no pair");
    };
    if again.name() == pair.name() && !by_number {
        assert_eq!(written(&again, &secret), Some(octets), "{text:?} prints as {line:?}");
    }
});
