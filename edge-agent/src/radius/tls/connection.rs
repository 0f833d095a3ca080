//! One connection: packets in, replies out, until it ends.

use std::{
    fmt, io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use radius::{LEN_MAX, packet::LEN_MIN};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::mpsc,
    time::timeout,
};

use super::super::{clients::Client, hub::Hub, inbox::Origin, port::Port, responder::Responder};

/// Who is at the other end.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    /// In its certificate.
    pub(super) names: Vec<String>,
}

/// Why a connection ended, other than by its peer's wish.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    /// RFC 6613 §2.6.4: what follows cannot be found.
    #[error("the Length field says {0}, which should be {LEN_MIN} to {LEN_MAX}")]
    Length(usize),
    #[error("half a packet came, and the rest did not within {PACKET_MAX:?}")]
    HalfPacket,
    #[error("nothing came for {IDLE_MAX:?}")]
    Idle,
    #[error("it takes no replies")]
    Stuck,
    #[error("its NAS is not in the desired state any more")]
    Gone,
    #[error("cannot receive")]
    Receive(#[source] io::Error),
    #[error("cannot send")]
    Send(#[source] io::Error),
}

impl Ended {
    /// Is it worth a person's attention?
    pub(super) const fn is_fault(&self) -> bool {
        match self {
            Self::Length(_) | Self::HalfPacket | Self::Stuck | Self::Gone => true,
            Self::Idle | Self::Receive(_) | Self::Send(_) => false,
        }
    }
}

/// Serves it until it ends.
pub(super) async fn serve<S>(stream: S, hub: Arc<Hub>, peer: &Peer) -> Result<(), Ended>
where
    S: AsyncRead + AsyncWrite,
{
    let (reader, writer) = tokio::io::split(stream);
    let (sender, replies) = mpsc::channel(REPLIES_MAX);
    let responder = Responder::new(Arc::new(Port::of_connection(hub, sender)));
    tokio::select! {
        ended = read(reader, responder, peer) => ended,
        ended = write(writer, replies) => ended,
    }
}

async fn read<R: AsyncRead + Unpin>(
    mut reader: R,
    mut responder: Responder,
    peer: &Peer,
) -> Result<(), Ended> {
    let mut buffer = vec![0; BUFFER];
    let mut filled = 0;
    let from = Origin { peer: peer.address, here: None };
    let mut client = client_of(&responder, peer)?;
    let mut half_since = None;
    loop {
        let patience = half_since
            .map_or(IDLE_MAX, |since: Instant| PACKET_MAX.saturating_sub(since.elapsed()));
        let free = buffer.get_mut(filled..).unwrap_or_default();
        let got = match timeout(patience, reader.read(free)).await {
            Err(_) if filled == 0 => return Err(Ended::Idle),
            Err(_) => return Err(Ended::HalfPacket),
            Ok(got) => got.map_err(Ended::Receive)?,
        };
        if got == 0 {
            return Ok(());
        }
        filled += got;
        if responder.refresh() {
            client = client_of(&responder, peer)?;
        }
        let now = Instant::now();
        let mut rest = buffer.get(..filled).unwrap_or_default();
        while let Some((packet, behind)) = split(rest)? {
            responder.handle_of(&client, now, from, packet);
            half_since = None;
            rest = behind;
        }
        let done = filled - rest.len();
        buffer.copy_within(done..filled, 0);
        filled -= done;
        half_since = if filled == 0 { None } else { half_since.or(Some(now)) };
    }
}

fn client_of(responder: &Responder, peer: &Peer) -> Result<Arc<Client>, Ended> {
    let client = responder.clients().at_with_certificate(peer.address.ip(), &peer.names);
    client.map(|client| client.over_tls()).map_err(|_| Ended::Gone)
}

type Split<'a> = (&'a [u8], &'a [u8]);

/// The first packet, by its Length field (RFC 6613 §2.6.4), and what is behind it. `None` when
/// it is not complete.
fn split(octets: &[u8]) -> Result<Option<Split<'_>>, Ended> {
    let Some(&[_, _, high, low]) = octets.first_chunk() else { return Ok(None) };
    let len = usize::from(u16::from_be_bytes([high, low]));
    if !(LEN_MIN..=LEN_MAX).contains(&len) {
        return Err(Ended::Length(len));
    }
    Ok(octets.split_at_checked(len))
}

async fn write<W: AsyncWrite + Unpin>(
    mut writer: W,
    mut replies: mpsc::Receiver<Box<[u8]>>,
) -> Result<(), Ended> {
    let (mut some, mut octets) = (Vec::new(), Vec::new());
    while replies.recv_many(&mut some, TOGETHER).await > 0 {
        octets.clear();
        some.drain(..).for_each(|reply: Box<[u8]>| octets.extend_from_slice(&reply));
        let sent = async {
            writer.write_all(&octets).await?;
            writer.flush().await
        };
        timeout(STUCK_MAX, sent).await.map_err(|_| Ended::Stuck)?.map_err(Ended::Send)?;
    }
    Ok(())
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.address, self.names.join(", "))
    }
}

/// Two of the longest packets, so that one is always complete before the buffer is full.
const BUFFER: usize = 2 * LEN_MAX;

/// Requests that are outstanding on one connection: one per identifier and code, and a few more.
const REPLIES_MAX: usize = 1024;

/// Replies in one record.
const TOGETHER: usize = 32;

/// A packet comes in one piece or soon: who sends octet by octet holds a seat.
const PACKET_MAX: Duration = Duration::from_secs(10);

/// NASes keep their connections, and proxies ask for the server's status within a minute. Whoever
/// vanished connects anew.
const IDLE_MAX: Duration = Duration::from_mins(10);

const STUCK_MAX: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_found_by_their_length() {
        let mut octets = vec![1, 1, 0, 20];
        octets.resize(20, 7);
        octets.extend_from_slice(&[4, 2, 0, 21]);
        octets.resize(41, 8);
        octets.extend_from_slice(&[1, 3, 0]);
        let (first, rest) = split(&octets).unwrap().unwrap();
        assert_eq!((first.len(), first.last()), (20, Some(&7)));
        let (second, rest) = split(rest).unwrap().unwrap();
        assert_eq!((second.len(), second.last()), (21, Some(&8)));
        assert_eq!(rest, [1, 3, 0]);
        assert!(split(rest).unwrap().is_none());
        assert!(split(&octets[..19]).unwrap().is_none());
        assert!(split(&[]).unwrap().is_none());
    }

    #[test]
    fn a_length_that_cannot_be_ends_the_connection_before_its_packet_is_read() {
        for len in [0_u16, 19, 4097, u16::MAX] {
            let [high, low] = len.to_be_bytes();
            assert!(matches!(split(&[1, 1, high, low]), Err(Ended::Length(_))), "{len}");
        }
        assert!(split(&[1, 1, 0x10, 0]).unwrap().is_none());
    }
}
