//! TLS in EAP packets, as EAP-TLS, EAP-TTLS and PEAP share it: RFC 5216 §3.

use std::io::{ErrorKind, Read as _};

use anyhow::{Context as _, Result, bail};
use rustls::{ClientConnection, ProtocolVersion};

/// The peer's side of a TLS connection that comes in pieces.
pub(super) struct Framing {
    pub(super) tls: ClientConnection,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
}

/// Length included, more fragments follow, start.
const LENGTH: u8 = 0x80;
const MORE: u8 = 0x40;

/// So that a RADIUS packet with it fits into every network's frames.
const FRAGMENT: usize = 1_000;

impl Framing {
    pub(super) const fn new(tls: ClientConnection) -> Self {
        Self { tls, incoming: Vec::new(), outgoing: Vec::new() }
    }

    /// Takes a request's flags and data. Whether a whole message has come.
    pub(super) fn take(&mut self, request: &[u8]) -> Result<bool> {
        let (flags, data) = request.split_first().context("a request without flags")?;
        let data = if flags & LENGTH == 0 {
            data
        } else {
            data.get(4..).context("a request without the length that it claims")?
        };
        self.incoming.extend_from_slice(data);
        Ok(flags & MORE == 0)
    }

    /// Gives the message to TLS and returns what was said inside of it.
    pub(super) fn read(&mut self) -> Result<Vec<u8>> {
        let incoming = std::mem::take(&mut self.incoming);
        let mut rest = incoming.as_slice();
        while !rest.is_empty() {
            self.tls.read_tls(&mut rest)?;
            self.tls.process_new_packets().context("the server's TLS is wrong")?;
        }
        let mut inside = Vec::new();
        match self.tls.reader().read_to_end(&mut inside) {
            Ok(_) => Ok(inside),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(inside),
            Err(error) => Err(error).context("the server has ended TLS"),
        }
    }

    /// Flags and data of the next response: what TLS has to say, or nothing, which acknowledges.
    pub(super) fn response(&mut self) -> Result<Vec<u8>> {
        let is_first = self.outgoing.is_empty();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.outgoing)?;
        }
        if self.outgoing.len() <= FRAGMENT {
            return Ok([&[0][..], &std::mem::take(&mut self.outgoing)].concat());
        }
        let total = u32::try_from(self.outgoing.len())?.to_be_bytes();
        let rest = self.outgoing.split_off(FRAGMENT);
        let fragment = std::mem::replace(&mut self.outgoing, rest);
        Ok(if is_first {
            [&[LENGTH | MORE][..], &total, &fragment].concat()
        } else {
            [&[MORE][..], &fragment].concat()
        })
    }

    pub(super) fn is_done(&self) -> bool {
        !self.tls.is_handshaking()
    }

    /// The keys that the server gives to the NAS: RFC 5216 §2.3, RFC 5281 §8, RFC 9427 §2.1.
    /// `label` is that of TLS 1.2, `kind` the method.
    pub(super) fn keys(&self, label: &[u8], kind: u8) -> Result<[u8; 64]> {
        // TLS 1.3's exporter gives other octets for another length.
        let exported = match self.tls.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => {
                let label = b"EXPORTER_EAP_TLS_Key_Material";
                self.tls.export_keying_material([0; 128], label, Some(&[kind]))?
            }
            Some(ProtocolVersion::TLSv1_2) => {
                self.tls.export_keying_material([0; 128], label, None)?
            }
            other => bail!("an unexpected version of TLS: {other:?}"),
        };
        let (keys, _) = exported.split_first_chunk().context("128 are more than 64")?;
        Ok(*keys)
    }
}
