//! The RADIUS protocol: bytes, keys and time.
//!
//! There are no sockets here and no clock: octets come in, octets go out, and who knows the time
//! says it. Nothing here knows what a subscriber is.
//!
//! [`Packet`] borrows a datagram, [`authenticator`] says who made it, [`Server`] whether it is a
//! retransmission, [`password`] and [`mschap`] whether somebody knows a password (and [`eap`] in
//! several round trips), [`accounting`] what a session has used, and [`Writer`] makes the signed
//! reply. [`Client`] is the other side: it sends again, and knows a genuine reply. [`attr`] says
//! what a packet is made of, and [`Dictionary`] what all of that is called. An exchange, with both
//! of its ends:
//!
//! ```
//! use std::time::Instant;
//!
//! use radius::{
//!     AttrType, Code, Packet, Password, Secret, Server, Writer,
//!     authenticator::{self, MessageAuthenticator},
//!     password,
//!     server::Outcome,
//! };
//!
//! let secret = Secret::new(b"a long and random secret");
//!
//! // The client: a NAS asks for amina. The authenticator of a real request is random.
//! let nonce = [0x5a; 16];
//! let (hidden, len) = password::hide(b"simba", &nonce, &secret).expect("it is short");
//! let mut buffer = [0; radius::LEN_MAX];
//! let mut request = Writer::request(&mut buffer, Code::ACCESS_REQUEST, 1, nonce);
//! request.text(AttrType::USER_NAME, "amina");
//! request.attr(AttrType::USER_PASSWORD, &hidden[..len]);
//! let datagram = request.sign(&secret)?.to_vec();
//!
//! // The server: is it a packet, is it genuine, is it new?
//! let from = "192.0.2.1:49152".parse()?;
//! let mut server = Server::default();
//! let request = Packet::decode(&datagram)?;
//! let proof = authenticator::message_authenticator(&request, &secret);
//! assert_eq!(proof, MessageAuthenticator::Valid);
//! let Outcome::New(pending) = server.handle_request(Instant::now(), from, &request) else {
//!     panic!("nobody has asked before");
//! };
//!
//! // Who is it, and is the password right?
//! let name = request.attr(AttrType::USER_NAME).and_then(|attr| attr.text());
//! assert_eq!(name, Some("amina"));
//! let hidden = request.attr(AttrType::USER_PASSWORD).expect("the client has sent it");
//! let typed = Password::reveal(hidden.value, request.authenticator(), &secret)?;
//! let code = if typed.is(b"simba") { Code::ACCESS_ACCEPT } else { Code::ACCESS_REJECT };
//!
//! // The reply begins with a Message-Authenticator. It is kept for retransmissions.
//! let mut buffer = [0; radius::LEN_MAX];
//! let mut reply = Writer::reply(&mut buffer, code, &request);
//! reply.integer(AttrType::SESSION_TIMEOUT, 3600);
//! let reply = reply.sign(&secret)?;
//! assert!(server.finish(Instant::now(), pending, reply));
//!
//! // The client: is this the answer to what it has asked, and who made it?
//! let reply = Packet::decode(reply)?;
//! assert_eq!((reply.code(), reply.id()), (Code::ACCESS_ACCEPT, 1));
//! authenticator::verify_reply(&reply, &nonce, &secret)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![warn(missing_docs)]

pub mod accounting;
pub mod attr;
pub mod authenticator;
pub mod client;
pub mod code;
pub mod dictionary;
pub mod dynauth;
pub mod eap;
pub mod mschap;
pub mod packet;
pub mod password;
pub mod salted;
pub mod secret;
pub mod server;
pub mod writer;

pub use attr::{Attr, AttrType};
pub use client::Client;
pub use code::Code;
pub use dictionary::Dictionary;
pub use packet::{DecodeError, LEN_MAX, Packet};
pub use password::Password;
pub use secret::Secret;
pub use server::Server;
pub use writer::{EncodeError, Writer};
