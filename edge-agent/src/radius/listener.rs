//! The thread of one socket: receive, verify, decide, answer.

use std::{
    io,
    sync::{Arc, mpsc::SyncSender},
    thread,
    time::{Duration, Instant},
};

use radius::{
    AttrType, Code, EncodeError, LEN_MAX, Packet, Writer,
    server::{Outcome, Pending},
};
use shared::{daemon::Life, id::SessionId, wire::latest::desired::Enforce};
use uuid::Uuid;

use super::{
    Role, acct, auth,
    clients::{Client, Clients, Proof},
    delay::Delayed,
    drops::DropReason,
    inbox::{Inbox, Origin},
    policy,
    port::{Held, Port},
};
use crate::{
    desired::{Current, Snapshot},
    sessions::event::{AuthFailure, Event, Open, Ticket},
};

pub(super) struct Listener {
    role: Role,
    port: Arc<Port>,
    desired: Current,
    events: SyncSender<Event>,
    rejects: Delayed<Held>,
    buffer: Box<[u8; LEN_MAX]>,
}

/// One packet that is being looked at.
#[derive(Clone, Copy)]
struct Received<'a> {
    now: Instant,
    from: Origin,
    client: &'a Client,
    request: Packet<'a>,
}

impl Listener {
    pub(super) fn new(
        role: Role,
        port: Arc<Port>,
        desired: Current,
        events: SyncSender<Event>,
    ) -> Self {
        let buffer = Box::new([0; LEN_MAX]);
        Self { role, port, desired, events, rejects: Delayed::new(), buffer }
    }

    pub(super) fn run(mut self, life: &Life) {
        let mut inbox = Inbox::new();
        let mut snapshot = self.desired.load_full();
        let mut clients = Clients::of(&snapshot);
        let mut is_hurried = false;
        while !life.is_stopping() {
            if is_hurried == self.rejects.is_empty() {
                is_hurried = !is_hurried;
                let wait = if is_hurried { HURRY } else { super::IDLE };
                if let Err(error) = self.port.socket.set_read_timeout(Some(wait)) {
                    tracing::warn!(%error, "cannot change how long a RADIUS thread waits");
                }
            }
            let received = inbox.receive(&self.port.socket);
            let now = Instant::now();
            if let Err(error) = received {
                rest_after(&error);
            }
            let newest = self.desired.load();
            if !Arc::ptr_eq(&newest, &snapshot) {
                snapshot = Arc::clone(&newest);
                clients = Clients::of(&snapshot);
            }
            drop(newest);
            for (from, datagram) in inbox.datagrams() {
                self.handle(&snapshot, &clients, now, from, datagram);
            }
            while let Some(reject) = self.rejects.due(now) {
                reject.send();
            }
        }
        for reject in self.rejects.into_rest() {
            reject.send();
        }
    }

    fn handle(
        &mut self,
        snapshot: &Snapshot,
        clients: &Clients,
        now: Instant,
        from: Origin,
        datagram: &[u8],
    ) {
        let source = from.peer.ip().to_canonical();
        let Some(client) = clients.at(source) else {
            return self.port.tally.dropped(now, source, None, DropReason::UnknownNas);
        };
        let nas = &client.named.name;
        let done = match Packet::decode(datagram) {
            Ok(request) => {
                self.port.tally.request(request.code());
                let received = Received { now, from, client, request };
                self.handle_request(snapshot, received)
            }
            Err(error) => {
                tracing::debug!(nas.name = %nas, %error, "NAS {nas} sent something else than RADIUS");
                Err(DropReason::Malformed)
            }
        };
        if let Err(why) = done {
            self.port.tally.dropped(now, source, Some(nas), why);
        }
    }

    fn handle_request(
        &mut self,
        snapshot: &Snapshot,
        received: Received<'_>,
    ) -> Result<(), DropReason> {
        let Received { now, from, client, request } = received;
        match (self.role, request.code()) {
            (Role::Authentication, Code::ACCESS_REQUEST) => match self.admit(received)? {
                Some(pending) => self.access(snapshot, received, pending),
                None => Ok(()),
            },
            (Role::Accounting, Code::ACCOUNTING_REQUEST) => match self.admit(received)? {
                Some(pending) => self.accounting(snapshot, received, pending),
                None => Ok(()),
            },
            (role, Code::STATUS_SERVER) => {
                client.verify(&request)?;
                let code = match role {
                    Role::Authentication => Code::ACCESS_ACCEPT,
                    Role::Accounting => Code::ACCOUNTING_RESPONSE,
                };
                let reply = write_reply(&mut self.buffer, code, received, |_| {});
                self.port.send(now, from, reply.map_err(|_| DropReason::NotSent)?);
                Ok(())
            }
            _ => Err(DropReason::UnexpectedCode),
        }
    }

    /// Is it genuine, and is it new? `None` for a retransmission that got the stored reply.
    fn admit(&self, received: Received<'_>) -> Result<Option<Pending>, DropReason> {
        let Received { now, from, client, request } = received;
        match client.verify(&request)? {
            Proof::Secret => {}
            Proof::Excepted => {
                if !client.said_unproved.replace(true) {
                    self.port.tally.unproved(&client.named.name);
                }
            }
        }
        match self.port.server().handle_request(now, from.peer, &request) {
            Outcome::New(pending) => Ok(Some(pending)),
            Outcome::InWork => Err(DropReason::InWork),
            Outcome::Overloaded => Err(DropReason::Overload),
            Outcome::Answered(reply) => {
                self.port.tally.repeated.increment(1);
                self.port.send(now, from, reply);
                Ok(None)
            }
        }
    }

    fn access(
        &mut self,
        snapshot: &Snapshot,
        received: Received<'_>,
        pending: Pending,
    ) -> Result<(), DropReason> {
        match auth::decide(snapshot, &received.request, &received.client.secret) {
            auth::Verdict::Accept(accept) => self.accept(snapshot, received, pending, accept),
            auth::Verdict::Reject(refusal) => self.reject(received, pending, refusal),
        }
    }

    fn accept(
        &mut self,
        snapshot: &Snapshot,
        received: Received<'_>,
        pending: Pending,
        accept: auth::Accept,
    ) -> Result<(), DropReason> {
        let Received { now, from, client, request } = received;
        let auth::Accept { subscriber, mac, by } = accept;
        let device = match (client.nas.enforce, mac) {
            (Enforce::Nas, _) => None,
            (Enforce::Edge, None) => {
                self.port.tally.without_mac(now, from.peer.ip(), &client.named.name);
                None
            }
            (Enforce::Edge, Some(mac)) => Some((mac, SessionId::from_uuid(Uuid::now_v7()))),
        };
        let session = device.map(|(_, session)| session);
        let reply = write_reply(&mut self.buffer, Code::ACCESS_ACCEPT, received, |reply| {
            match by {
                auth::By::Password => {}
                // Accounting then names the subscriber and not the device.
                auth::By::Device => {
                    reply.text(AttrType::USER_NAME, &subscriber.username);
                }
            }
            policy::write_accept(reply, &subscriber, &client.nas, session);
        });
        let reply = self.port.or_abandon(pending, reply)?;
        let Some((mac, session)) = device else {
            self.port.answer(now, from, pending, reply);
            return Ok(());
        };
        let given = request.attr(AttrType::FRAMED_IP_ADDRESS).and_then(|attr| attr.address());
        let open = Open {
            session,
            mac,
            nas: client.named.clone(),
            ip: given.or(subscriber.static_ip),
            subscriber,
            revision: snapshot.revision,
        };
        hold((&self.port, &self.events), received, pending, reply, |ticket| {
            Event::Open(open, ticket)
        })
    }

    fn reject(
        &mut self,
        received: Received<'_>,
        pending: Pending,
        refusal: auth::Refusal,
    ) -> Result<(), DropReason> {
        let Received { now, from, client, request } = received;
        let reply = write_reply(&mut self.buffer, Code::ACCESS_REJECT, received, |reply| {
            reply.text(AttrType::REPLY_MESSAGE, refusal.message());
        });
        let reply = self.port.or_abandon(pending, reply)?;
        let held = Held::new(&self.port, from, pending, &client.named.name, reply);
        if let Some(at_once) = self.rejects.put(now, held) {
            at_once.send();
        }
        let username = request.attr(AttrType::USER_NAME).map_or(&[][..], |attr| attr.value);
        let username = String::from_utf8_lossy(username).into_owned();
        tracing::debug!(
            nas.name = %client.named.name,
            "NAS {} asked for `{username}`: {}", client.named.name, refusal.as_str()
        );
        let nas = Arc::clone(&client.named.name);
        // For people, in sums: when the sessions have more important things to do, a failure is
        // counted as a reply only.
        let _ = self.events.try_send(Event::AuthFailure(AuthFailure {
            nas,
            username,
            reason: refusal.as_str(),
        }));
        Ok(())
    }

    fn accounting(
        &mut self,
        snapshot: &Snapshot,
        received: Received<'_>,
        pending: Pending,
    ) -> Result<(), DropReason> {
        let Received { now, from, client, request } = received;
        let fresh = SessionId::from_uuid(Uuid::now_v7());
        let verdict = acct::record(snapshot, (&client.nas, &client.named), &request, fresh);
        let record = match verdict {
            acct::Verdict::Drop(why) => {
                self.port.server().abandon(pending);
                return Err(why);
            }
            acct::Verdict::Acknowledge => None,
            acct::Verdict::Record(record) => Some(record),
        };
        let reply = write_reply(&mut self.buffer, Code::ACCOUNTING_RESPONSE, received, |_| {});
        let reply = self.port.or_abandon(pending, reply)?;
        let Some(record) = record else {
            self.port.answer(now, from, pending, reply);
            return Ok(());
        };
        hold((&self.port, &self.events), received, pending, reply, |ticket| {
            Event::Accounting(record, ticket)
        })
    }
}

/// Tells the sessions; the ticket sends the reply.
fn hold(
    (port, events): (&Arc<Port>, &SyncSender<Event>),
    received: Received<'_>,
    pending: Pending,
    reply: &[u8],
    event: impl FnOnce(Ticket) -> Event,
) -> Result<(), DropReason> {
    let held = Held::new(port, received.from, pending, &received.client.named.name, reply);
    let ticket = Ticket::new(move || held.send());
    events.try_send(event(ticket)).map_err(|refused| {
        // Before its ticket goes, which then has nothing to give up.
        port.server().abandon(pending);
        drop(refused);
        DropReason::Overload
    })
}

/// A signed reply with the request's Proxy-States, RFC 2865 §5.33.
fn write_reply<'b>(
    buffer: &'b mut [u8; LEN_MAX],
    code: Code,
    received: Received<'_>,
    fill: impl FnOnce(&mut Writer<'_>),
) -> Result<&'b [u8], EncodeError> {
    let mut reply = Writer::reply(buffer, code, &received.request);
    fill(&mut reply);
    for state in received.request.attrs().filter(|attr| attr.kind == AttrType::PROXY_STATE) {
        reply.copy(state);
    }
    reply.sign(&received.client.secret)
}

/// A time-out or a signal is not an error; after anything else the thread does not spin.
fn rest_after(error: &io::Error) {
    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) {
        return;
    }
    tracing::warn!(%error, "cannot receive RADIUS packets");
    thread::sleep(REST);
}

/// How long a thread waits for a packet while rejects wait for their time.
const HURRY: Duration = Duration::from_millis(20);

const REST: Duration = Duration::from_millis(100);
