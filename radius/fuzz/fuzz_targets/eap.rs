//! EAP: packets, what is inside of tunnels, and conversations with a peer that says anything.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
#[cfg(feature = "tls")]
use radius::eap::tls::{avp, peap, tunnel};
use radius::eap::{Around, Conversation, Credential, Directory, Methods, Packet, Step, mschapv2};

struct Amina;

impl Directory for Amina {
    fn credential<'a>(&'a self, identity: &'a str) -> Option<Credential<'a>> {
        (identity == "amina")
            .then(|| Credential { password: Some("simba"), ..Credential::default() })
    }

    fn holder(&self, names: &[String], _: &str) -> Option<String> {
        names.first().cloned()
    }
}

#[cfg(feature = "tls")]
fn inside_of_tls(data: &[u8]) {
    let _ = peap::Message::parse(data);
    let _ = tunnel::Fragment::parse(data);
    let mut rest = data;
    while let Ok(Some(found)) = avp::next(&mut rest) {
        assert!(found.value.len() <= data.len());
    }
}

fuzz_target!(|data: &[u8]| {
    let _ = mschapv2::Response::parse(data);
    #[cfg(feature = "tls")]
    inside_of_tls(data);

    // Messages, each behind its length; the first octet of each says what goes before it.
    let mut conversation = Conversation::new(Arc::new(Methods::simple(None)));
    let mut id = 0;
    let mut rest = data;
    let mut rounds = 0;
    while let Some((&len, after)) = rest.split_first() {
        let message = after.get(..usize::from(len)).unwrap_or(after);
        rest = after.get(message.len()..).unwrap_or_default();
        let mut message = message.to_vec();
        // Mostly an answer to what was asked: the rest is found out in one round.
        if let [code, place, high, low, ..] = message.as_mut_slice()
            && *code != 0xff
        {
            let len = u16::try_from(usize::from(len).min(after.len())).unwrap_or_default();
            (*code, *place, [*high, *low]) = (2, id, len.to_be_bytes());
        }
        let mut random = |octets: &mut [u8]| octets.fill(7);
        let mut around =
            Around { directory: &Amina, random: &mut random, now: 1_800_000_000, len_max: 1000 };
        match conversation.step(&message, &mut around) {
            Step::Challenge(request) => {
                assert!(request.len() <= 1000);
                id = Packet::decode(&request).expect("we have written it").id;
            }
            Step::Success(success) => {
                assert_eq!(success.identity, "amina");
                return;
            }
            Step::Failure(_) => return,
        }
        rounds += 1;
        assert!(rounds < 200, "a conversation ends");
    }
});
