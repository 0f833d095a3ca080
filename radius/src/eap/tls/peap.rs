//! Inside PEAPv0: EAP without its header, and the result with one. \[MS-PEAP\] §3.1.5.6, §2.2.8.1.

use super::tunnelled::Inside;
use crate::eap::{
    Around, Reason,
    login::{self, INNER, Login},
    packet::{Code, Kind, Packet, encode},
};

#[derive(Debug)]
pub(super) struct Peap {
    state: State,
}

#[derive(Debug)]
enum State {
    /// Nothing was said inside.
    New,
    /// A session is resumed: nothing was said inside, and it is known who it is.
    Back(String),
    Asked,
    Login(Login),
    /// The result was said.
    Right {
        identity: String,
        is_resumed: bool,
    },
    Wrong {
        reason: Reason,
        identity: String,
    },
}

impl Peap {
    /// With who it is, where a session is resumed.
    pub(super) fn new(back: Option<String>) -> Self {
        Self { state: back.map_or(State::New, State::Back) }
    }

    /// What the peer has said inside an answer to request `id`; nothing, when it is our turn.
    pub(super) fn handle(&mut self, id: u8, said: &[u8], around: &mut Around<'_>) -> Inside {
        let next_id = id.wrapping_add(1);
        match (&mut self.state, Message::parse(said)) {
            (State::Back(identity), _) => {
                let identity = std::mem::take(identity);
                self.state = State::Right { identity, is_resumed: true };
                Inside::Say(result(next_id, SUCCESS))
            }
            (State::Asked, Some(Message::Method(Kind::IDENTITY, name))) => {
                // A name that is not text is nobody's.
                let identity = String::from_utf8_lossy(name).into_owned();
                let first = INNER.first().copied().unwrap_or(Kind::NAK);
                match Login::start(identity, first, next_id, true, around) {
                    Some((login, data)) => {
                        self.state = State::Login(login);
                        Inside::Say(method(first, &data))
                    }
                    None => wrong(Reason::NoCommonMethod, None),
                }
            }
            (State::Login(login), Some(Message::Method(kind, data))) => {
                let next = login.handle(id, (kind, data), INNER, around);
                let identity = login.identity().to_owned();
                match next {
                    login::Next::Ask(kind, data) => Inside::Say(method(kind, &data)),
                    login::Next::Right(_) => {
                        self.state = State::Right { identity, is_resumed: false };
                        Inside::Say(result(next_id, SUCCESS))
                    }
                    login::Next::Wrong(reason) => {
                        self.state = State::Wrong { reason, identity };
                        Inside::Say(result(next_id, FAILURE))
                    }
                }
            }
            (State::Right { identity, .. }, Some(Message::Result(true))) => {
                Inside::Right { identity: std::mem::take(identity) }
            }
            // Or the peer does not want to come back like that: from the beginning.
            (State::New, _)
            | (State::Right { is_resumed: true, .. }, Some(Message::Result(false))) => self.ask(),
            (State::Wrong { reason, identity }, _) => {
                wrong(*reason, Some(std::mem::take(identity)))
            }
            (State::Login(login), _) => wrong(Reason::Malformed, Some(login.identity().to_owned())),
            (State::Right { identity, .. }, _) => {
                wrong(Reason::Malformed, Some(std::mem::take(identity)))
            }
            (State::Asked, _) => wrong(Reason::Malformed, None),
        }
    }

    fn ask(&mut self) -> Inside {
        self.state = State::Asked;
        Inside::Say(method(Kind::IDENTITY, b""))
    }
}

const fn wrong(reason: Reason, identity: Option<String>) -> Inside {
    Inside::Wrong { reason, identity }
}

/// What a peer says inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A method, or an identity, or a Nak.
    Method(Kind, &'a [u8]),
    /// Is it over well?
    Result(bool),
}

impl<'a> Message<'a> {
    /// A header is not written, but for extensions; a response with one is understood, too.
    pub fn parse(said: &'a [u8]) -> Option<Self> {
        let whole = Packet::decode(said).ok().filter(|packet| packet.code == Code::Response);
        let bare = || said.split_first().map(|(&kind, data)| (Kind(kind), data));
        let (kind, data) = whole.and_then(|packet| packet.body).or_else(bare)?;
        if kind == Kind::EXTENSIONS {
            return result_in(data).map(Self::Result);
        }
        Some(Self::Method(kind, data))
    }
}

/// The Result among the TLVs: mandatory bit and number (2), length (2), value.
fn result_in(mut data: &[u8]) -> Option<bool> {
    while let Some((&[high, low, len @ ..], rest)) = data.split_first_chunk::<4>() {
        let number = u16::from_be_bytes([high & 0x3f, low]);
        let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(len)))?;
        if number == RESULT {
            return match *value {
                [0, SUCCESS] => Some(true),
                [0, FAILURE] => Some(false),
                _ => None,
            };
        }
        data = rest;
    }
    None
}

const RESULT: u16 = 3;
const SUCCESS: u8 = 1;
const FAILURE: u8 = 2;

fn result(id: u8, result: u8) -> Vec<u8> {
    encode(Code::Request, id, Kind::EXTENSIONS, &[0x80, 3, 0, 2, 0, result])
}

fn method(Kind(kind): Kind, data: &[u8]) -> Vec<u8> {
    [&[kind], data].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_with_and_without_a_header() {
        let parse = |said| Message::parse(said);
        assert_eq!(parse(b"\x01amina"), Some(Message::Method(Kind::IDENTITY, b"amina")));
        let whole = b"\x02\x07\x00\x0a\x01amina";
        assert_eq!(parse(whole), Some(Message::Method(Kind::IDENTITY, b"amina")));
        let right = b"\x02\x07\x00\x0b\x21\x80\x03\x00\x02\x00\x01";
        assert_eq!(parse(right), Some(Message::Result(true)));
        let wrong = b"\x02\x07\x00\x0b\x21\x80\x03\x00\x02\x00\x02";
        assert_eq!(parse(wrong), Some(Message::Result(false)));
        let with_binding = b"\x02\x07\x00\x11\x21\x80\x0c\x00\x02\xff\xff\x80\x03\x00\x02\x00\x01";
        assert_eq!(parse(with_binding), Some(Message::Result(true)));
        assert_eq!(parse(b"\x02\x07\x00\x0b\x21\x80\x03\x00\x02\x00\x03"), None);
        assert_eq!(parse(b"\x02\x07\x00\x09\x21\x80\x03\x00\x02"), None);
        assert_eq!(parse(b""), None);
        assert_eq!(result(7, SUCCESS), b"\x01\x07\x00\x0b\x21\x80\x03\x00\x02\x00\x01");
    }
}
