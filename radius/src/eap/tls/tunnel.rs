//! TLS in EAP packets: fragments both ways. RFC 5216 §2.1.5, §3; RFC 5281 §9; \[MS-PEAP\] §2.2.2.

use std::{
    fmt,
    io::{Read as _, Write as _},
    sync::Arc,
};

use rustls::{HandshakeKind, ProtocolVersion, ServerConnection};
use zeroize::Zeroizing;

use super::sessions::Visit;

/// The octet behind the type: what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment<'a> {
    /// The length of the whole message, in octets, where it is said.
    pub total: Option<u32>,
    /// More fragments follow.
    pub has_more: bool,
    /// The peer is asked to begin.
    pub is_start: bool,
    /// Octets of TLS.
    pub payload: &'a [u8],
}

const LENGTH: u8 = 0x80;
const MORE: u8 = 0x40;
const START: u8 = 0x20;

impl<'a> Fragment<'a> {
    /// What stands behind the type of an EAP packet. The version in the last three bits is 0 in
    /// all that is served, and peers follow it.
    pub fn parse(data: &'a [u8]) -> Option<Self> {
        let (&flags, rest) = data.split_first()?;
        let (total, payload) = if flags & LENGTH == 0 {
            (None, rest)
        } else {
            let (total, rest) = rest.split_first_chunk()?;
            (Some(u32::from_be_bytes(*total)), rest)
        };
        let (has_more, is_start) = (flags & MORE != 0, flags & START != 0);
        Some(Self { total, has_more, is_start, payload })
    }
}

/// The longest message of a peer, in octets: TLS has no longer handshake message either.
const MESSAGE_MAX: usize = 64 << 10;

/// What a request of ours says before TLS begins: no length (there are peers that refuse it).
pub(super) const BEGIN: [u8; 1] = [START];

pub(super) struct Tunnel {
    connection: Option<Connection>,
    outgoing: Vec<u8>,
    sent: usize,
    received: usize,
}

struct Connection {
    tls: ServerConnection,
    visit: Arc<Visit>,
}

/// What a fragment was.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// The peer has more: acknowledge it.
    PeerHasMore,
    /// We have more.
    WeHaveMore,
    /// The end of a message, or an acknowledgement of all that was sent.
    Whole,
}

#[derive(Debug)]
pub(super) enum Fault {
    Malformed,
    /// There may be an alert to send.
    Tls(rustls::Error),
}

impl Tunnel {
    pub(super) const fn new() -> Self {
        Self { connection: None, outgoing: Vec::new(), sent: 0, received: 0 }
    }

    /// `connect` is called for the first one.
    pub(super) fn take(
        &mut self,
        fragment: Fragment<'_>,
        connect: impl FnOnce() -> Result<(ServerConnection, Arc<Visit>), rustls::Error>,
    ) -> Result<Taken, Fault> {
        if fragment.is_start {
            return Err(Fault::Malformed);
        }
        if self.has_more() {
            return if fragment.payload.is_empty() && !fragment.has_more {
                Ok(Taken::WeHaveMore)
            } else {
                Err(Fault::Malformed)
            };
        }
        let announced =
            fragment.total.map_or(0, |total| usize::try_from(total).unwrap_or(usize::MAX));
        self.received += fragment.payload.len();
        if self.received.max(announced) > MESSAGE_MAX {
            return Err(Fault::Malformed);
        }
        if self.connection.is_none() {
            let (tls, visit) = connect().map_err(Fault::Tls)?;
            self.connection = Some(Connection { tls, visit });
        }
        let connection = self.connection.as_mut().expect("it was just made, or before");
        let fed = feed(&mut connection.tls, fragment.payload);
        self.collect();
        fed?;
        if fragment.has_more {
            return Ok(Taken::PeerHasMore);
        }
        self.received = 0;
        Ok(Taken::Whole)
    }

    /// What TLS wants to say becomes what is sent.
    fn collect(&mut self) {
        let Some(connection) = &mut self.connection else { return };
        while connection.tls.wants_write() {
            let written = connection.tls.write_tls(&mut self.outgoing);
            written.expect("a vector takes all octets");
        }
    }

    /// Is there something to send?
    pub(super) fn has_more(&self) -> bool {
        self.sent < self.outgoing.len()
    }

    /// The data of the next request, at most `len_max` octets; an acknowledgement when there is
    /// nothing to send.
    pub(super) fn next(&mut self, len_max: usize) -> Vec<u8> {
        let rest = self.outgoing.get(self.sent..).unwrap_or_default();
        let is_first = self.sent == 0;
        let room = len_max.saturating_sub(1).max(1);
        let (mut flags, mut total) = (0, None);
        let mut part = rest;
        if rest.len() > room {
            flags |= MORE;
            let mut room = room;
            if is_first {
                flags |= LENGTH;
                total = u32::try_from(rest.len()).ok();
                room = room.saturating_sub(4).max(1);
            }
            part = rest.get(..room).unwrap_or(rest);
        }
        let mut data = Vec::with_capacity(5 + part.len());
        data.push(flags);
        if let Some(total) = total {
            data.extend(total.to_be_bytes());
        }
        data.extend_from_slice(part);
        self.sent += part.len();
        if !self.has_more() {
            self.outgoing = Vec::new();
            self.sent = 0;
        }
        data
    }

    pub(super) fn tls(&self) -> Option<&ServerConnection> {
        self.connection.as_ref().map(|connection| &connection.tls)
    }

    pub(super) fn visit(&self) -> Option<&Visit> {
        self.connection.as_ref().map(|connection| &*connection.visit)
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.tls().is_none_or(|tls| tls.is_handshaking())
    }

    pub(super) fn is_resumed(&self) -> bool {
        self.tls().is_some_and(|tls| tls.handshake_kind() == Some(HandshakeKind::Resumed))
    }

    pub(super) fn is_tls13(&self) -> bool {
        self.tls().is_some_and(|tls| tls.protocol_version() == Some(ProtocolVersion::TLSv1_3))
    }

    /// What the peer has said inside.
    pub(super) fn read(&mut self) -> Zeroizing<Vec<u8>> {
        let mut inside = Zeroizing::new(Vec::new());
        if let Some(connection) = &mut self.connection {
            // It ends with "would block" where the peer has not ended the session: as it should.
            let _ = connection.tls.reader().read_to_end(&mut inside);
        }
        inside
    }

    /// Says something inside.
    pub(super) fn write(&mut self, inside: &[u8]) {
        if let Some(connection) = &mut self.connection {
            let written = connection.tls.writer().write_all(inside);
            written.expect("the buffer of a connection takes what we say at once");
        }
        self.collect();
    }

    /// Key material of the session. RFC 5705, RFC 8446 §7.5.
    pub(super) fn export<const N: usize>(
        &self,
        label: &[u8],
        context: Option<&[u8]>,
    ) -> Option<Zeroizing<[u8; N]>> {
        let mut octets = Zeroizing::new([0; N]);
        self.tls()?.export_keying_material(&mut octets[..], label, context).ok()?;
        Some(octets)
    }
}

fn feed(tls: &mut ServerConnection, mut payload: &[u8]) -> Result<(), Fault> {
    while !payload.is_empty() {
        // It refuses what it has no room for: a peer that fills it without making sense.
        let read = tls.read_tls(&mut payload).map_err(|_| Fault::Malformed)?;
        tls.process_new_packets().map_err(Fault::Tls)?;
        if read == 0 {
            return Err(Fault::Malformed);
        }
    }
    Ok(())
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = self.tls().and_then(|tls| tls.protocol_version());
        write!(f, "{tls:?}, {} of {} octets sent", self.sent, self.outgoing.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fragments_are_read_as_the_rfc_writes_them() {
        let read = |data| Fragment::parse(data).unwrap();
        let plain = Fragment { total: None, has_more: false, is_start: false, payload: b"" };
        assert_eq!(read(&[0]), plain);
        assert_eq!(read(&[0x20]), Fragment { is_start: true, ..plain });
        assert_eq!(read(b"\x00tls"), Fragment { payload: b"tls", ..plain });
        let first = Fragment { total: Some(1000), has_more: true, payload: b"tls", ..plain };
        assert_eq!(read(b"\xc0\x00\x00\x03\xe8tls"), first);
        assert_eq!(Fragment::parse(b""), None);
        assert_eq!(Fragment::parse(b"\x80\x00\x00\x03"), None);
    }

    proptest! {
        #[test]
        fn what_is_sent_in_fragments_comes_whole(message: Vec<u8>, len_max in 1_usize..100) {
            let mut tunnel = Tunnel::new();
            tunnel.outgoing.clone_from(&message);
            let mut got = Vec::new();
            loop {
                let data = tunnel.next(len_max);
                prop_assert!(data.len() <= len_max.max(6));
                let fragment = Fragment::parse(&data).unwrap();
                prop_assert_eq!(fragment.has_more, tunnel.has_more());
                if let Some(total) = fragment.total {
                    prop_assert_eq!(usize::try_from(total).unwrap(), message.len());
                }
                got.extend_from_slice(fragment.payload);
                if !fragment.has_more {
                    break;
                }
            }
            prop_assert_eq!(got, message);
        }
    }
}
