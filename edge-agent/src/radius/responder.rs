//! What becomes of a packet, whichever way it came: whose it is, whether it is genuine and new,
//! and who decides about it.

use std::{sync::Arc, time::Instant};

use radius::{AttrType, Code, LEN_MAX, Packet, server::Outcome};
use shared::id::SessionId;
use uuid::Uuid;

use super::{
    Role, acct, auth,
    clients::{Client, Clients},
    drops::DropReason,
    exchange::{Asked, Exchange},
    inbox::Origin,
    port::Port,
};
use crate::sessions::event::Event;

/// Serves one port.
#[derive(Debug)]
pub(super) struct Responder {
    port: Arc<Port>,
    clients: Arc<Clients>,
}

/// One packet that is being looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Received<'a> {
    pub(super) now: Instant,
    pub(super) from: Origin,
    pub(super) client: &'a Arc<Client>,
    pub(super) request: Packet<'a>,
}

impl Responder {
    pub(super) fn new(port: Arc<Port>) -> Self {
        let clients = port.hub.roster.current();
        Self { port, clients }
    }

    /// From now on by the desired state in force. Is it another one?
    pub(super) fn refresh(&mut self) -> bool {
        self.port.hub.roster.refresh(&mut self.clients)
    }

    pub(super) fn port(&self) -> &Port {
        &self.port
    }

    pub(super) fn clients(&self) -> &Clients {
        &self.clients
    }

    /// A datagram: its NAS is known by where it comes from.
    pub(super) fn handle(&self, now: Instant, from: Origin, datagram: &[u8]) {
        match self.clients.at(from.peer.ip()) {
            Some(client) => self.handle_of(client, now, from, datagram),
            None => self.port.dropped(now, from, None, DropReason::UnknownNas),
        }
    }

    /// A packet of this NAS.
    pub(super) fn handle_of(
        &self,
        client: &Arc<Client>,
        now: Instant,
        from: Origin,
        packet: &[u8],
    ) {
        let done = match Packet::decode(packet) {
            Ok(request) => {
                self.port.tally().request(request.code());
                self.handle_request(Received { now, from, client, request })
            }
            Err(error) => {
                let nas = &client.named.name;
                tracing::debug!(nas.name = %nas, %error, "NAS {nas} sent something else than RADIUS");
                Err(DropReason::Malformed)
            }
        };
        if let Err(why) = done {
            self.port.dropped(now, from, Some(client), why);
        }
    }

    fn handle_request(&self, received: Received<'_>) -> Result<(), DropReason> {
        match (self.port.role, received.request.code()) {
            (Role::Authentication | Role::Both, Code::ACCESS_REQUEST) => {
                if let Some(exchange) = self.admit(received)? {
                    self.access(received, exchange);
                }
                Ok(())
            }
            (Role::Accounting | Role::Both, Code::ACCOUNTING_REQUEST) => {
                if let Some(exchange) = self.admit(received)? {
                    self.accounting(received, exchange);
                }
                Ok(())
            }
            (role, Code::STATUS_SERVER) => self.status(role, received),
            _ => Err(DropReason::UnexpectedCode),
        }
    }

    /// Is it genuine, and is it new? `None` for a retransmission that got the stored reply.
    fn admit(&self, received: Received<'_>) -> Result<Option<Exchange>, DropReason> {
        let received = prove(received)?;
        let Received { now, from, request, .. } = received;
        match self.port.server().handle_request(now, from.peer, &request) {
            Outcome::New(pending) => {
                let revision = self.clients.snapshot.revision;
                Ok(Some(Exchange::new(&self.port, received, pending, revision)))
            }
            Outcome::InWork => Err(DropReason::InWork),
            Outcome::Overloaded => Err(DropReason::Overload),
            Outcome::Answered(reply) => {
                self.port.tally().repeated.increment(1);
                self.port.send(from, reply);
                Ok(None)
            }
        }
    }

    fn access(&self, received: Received<'_>, exchange: Exchange) {
        let Received { request, .. } = received;
        match auth::decide(&self.clients.snapshot, &request, &exchange.client().secret) {
            auth::Verdict::Accept(accept) => exchange.accept(accept, |_| {}),
            auth::Verdict::Reject(refusal) => {
                let username = request.attr(AttrType::USER_NAME);
                exchange.reject(refusal, username.map_or(&[], |attr| attr.value), |_| {});
            }
        }
    }

    fn accounting(&self, received: Received<'_>, exchange: Exchange) {
        let Received { client, request, .. } = received;
        let fresh = SessionId::from_uuid(Uuid::now_v7());
        let nas = (&*client.nas, &client.named);
        match acct::record(&self.clients.snapshot, nas, &request, fresh) {
            acct::Verdict::Drop(why) => exchange.give_up(why),
            acct::Verdict::Acknowledge => exchange.acknowledge(),
            acct::Verdict::Record(record) => {
                exchange.acknowledge_when_durable(|ticket| Event::Accounting(record, ticket));
            }
        }
    }

    /// RFC 5997 §3: the reply of the port, and nothing is kept of it.
    fn status(&self, role: Role, received: Received<'_>) -> Result<(), DropReason> {
        let Received { from, client, request, .. } = prove(received)?;
        let code = match role {
            Role::Authentication | Role::Both => Code::ACCESS_ACCEPT,
            Role::Accounting => Code::ACCOUNTING_RESPONSE,
        };
        let mut buffer = [0; LEN_MAX];
        let reply = Asked::of(&request).write_reply(&mut buffer, code, client, |_| {});
        self.port.send(from, reply.map_err(|_| DropReason::NotSent)?);
        Ok(())
    }
}

/// Is it genuine, and may its NAS ask that much? Only what is genuine counts: else anybody
/// could use up what a NAS may ask.
fn prove(received: Received<'_>) -> Result<Received<'_>, DropReason> {
    let Received { now, request, .. } = received;
    let (client, proof) = received.client.admit(now, &request)?;
    client.take_note(proof, &request);
    if client.standing.may_ask(now, client.nas.requests_per_second) {
        Ok(Received { client, ..received })
    } else {
        Err(DropReason::RateLimit)
    }
}
