//! What the provider wants an Access-Accept to say besides: `reply` of a NAS (pure).

use std::sync::Arc;

use radius::{
    AttrType, Writer,
    dictionary::{Dictionary, Pair, PairError},
};
use shared::wire::latest::desired::Nas;

/// Attributes of every Access-Accept to a NAS. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(in crate::radius) struct Extras(Arc<[Pair]>);

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExtraError {
    #[error("NAS `{nas}`, reply")]
    Pair { nas: String, source: PairError },
    #[error("NAS `{nas}`, reply: {name} is made for every packet anew")]
    PerPacket { nas: String, name: String },
    #[error(
        "NAS `{nas}`, reply: more than {EXTRAS_LEN_MAX} octets, beside which a plan has no room"
    )]
    TooLong { nas: String },
}

impl Extras {
    pub(in crate::radius) fn of(dictionary: &Dictionary, nas: &Nas) -> Result<Self, ExtraError> {
        let (mut pairs, mut len) = (Vec::with_capacity(nas.reply.len()), 0);
        for text in &nas.reply {
            let pair = dictionary
                .parse_pair(text)
                .map_err(|source| ExtraError::Pair { nas: nas.name.clone(), source })?;
            if pair.encryption().is_some() || is_per_packet(&pair) {
                let (nas, name) = (nas.name.clone(), pair.name().to_owned());
                return Err(ExtraError::PerPacket { nas, name });
            }
            len += pair.value().len() + OVERHEAD;
            pairs.push(pair);
        }
        if len > EXTRAS_LEN_MAX {
            return Err(ExtraError::TooLong { nas: nas.name.clone() });
        }
        Ok(Self(Arc::from(pairs)))
    }

    pub(in crate::radius) fn write(&self, reply: &mut Writer<'_>) {
        for pair in &*self.0 {
            reply.pair(pair);
        }
    }
}

/// What proves, carries or correlates a packet is not the provider's to say.
fn is_per_packet(pair: &Pair) -> bool {
    [
        AttrType::USER_PASSWORD,
        AttrType::STATE,
        AttrType::CLASS,
        AttrType::PROXY_STATE,
        AttrType::EAP_MESSAGE,
        AttrType::MESSAGE_AUTHENTICATOR,
    ]
    .iter()
    .any(|kind| kind.name() == Some(pair.name()))
}

/// Half of a packet: the other half is for the plan, keys and Proxy-States.
const EXTRAS_LEN_MAX: usize = 2048;

/// At most, for the headers of an attribute.
const OVERHEAD: usize = 16;

#[cfg(test)]
mod tests {
    use radius::{Code, LEN_MAX, Packet, Secret};
    use shared::secret::Secret as Text;

    use super::*;

    fn extras(reply: &[&str]) -> Result<Extras, String> {
        let address = "10.0.0.1".parse().unwrap();
        let nas = Nas::new("tower".to_owned(), address, Text::new("s".to_owned()));
        let nas = Nas { reply: reply.iter().map(|&text| text.to_owned()).collect(), ..nas };
        Extras::of(&Dictionary::shipped(), &nas)
            .map_err(|error| shared::daemon::Chain(&error).to_string())
    }

    #[test]
    fn every_accept_carries_them() {
        let extras = extras(&["Framed-MTU = 1480", "Cisco-AVPair = \"ip:a=b\""]).unwrap();
        let mut buffer = [0; LEN_MAX];
        let mut reply = Writer::unsigned_request(&mut buffer, Code::ACCESS_REQUEST, 1, [0; 16]);
        extras.write(&mut reply);
        let packet = Packet::decode(reply.sign(&Secret::new(b"s")).unwrap()).unwrap();
        let mtu = packet.attr(AttrType::FRAMED_MTU).unwrap();
        assert_eq!(mtu.integer(), Some(1480));
        let cisco = packet.attr(AttrType::VENDOR_SPECIFIC).unwrap();
        assert_eq!(cisco.value, b"\0\0\0\x09\x01\x08ip:a=b");
    }

    #[test]
    fn what_cannot_be_said_is_named() {
        for (text, expected) in [
            ("Framed-MTUU = 1480", "no dictionary has an attribute `Framed-MTUU`"),
            ("Framed-MTU = wide", "`wide` is none"),
            ("Framed-MTU", "expected `Name = value`"),
            ("State = 0x01", "State is made for every packet anew"),
            ("Tunnel-Password = x", "Tunnel-Password is made for every packet anew"),
        ] {
            let error = extras(&[text]).unwrap_err();
            assert!(error.starts_with("NAS `tower`, reply: "), "{error}");
            assert!(error.contains(expected), "{error}");
        }
        let long = format!("Reply-Message = {:?}", "x".repeat(250));
        assert!(extras(&[long.as_str(); 7]).is_ok());
        assert!(extras(&[long.as_str(); 8]).unwrap_err().contains("more than 2048 octets"));
    }
}
