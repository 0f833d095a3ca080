//! What becomes of a packet, whichever way it came: whose it is, whether it is genuine and new,
//! and who decides about it.

use std::{sync::Arc, time::Instant};

use radius::{
    AttrType, Code, LEN_MAX, Packet,
    dynauth::{self, Action, ErrorCause, Request},
    server::Outcome,
};
use shared::id::SessionId;
use uuid::Uuid;

use super::{
    Role, acct,
    auth::{self, reply, reply::Hide},
    clients::{Client, Clients},
    drops::DropReason,
    dynauth::asked::{self, Here},
    exchange::{Asked, Exchange},
    inbox::Origin,
    port::Port,
};
use crate::sessions::{desk::now_ms, event::Event};

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
                if let Some((received, exchange)) = self.admit(received)? {
                    self.access(received, exchange);
                }
                Ok(())
            }
            (Role::Accounting | Role::Both, Code::ACCOUNTING_REQUEST) => {
                if let Some((received, exchange)) = self.admit(received)? {
                    self.accounting(received, exchange);
                }
                Ok(())
            }
            (Role::DynamicAuthorisation, Code::COA_REQUEST | Code::DISCONNECT_REQUEST) => {
                if let Some((received, exchange)) = self.admit(received)? {
                    self.authorise(received, exchange);
                }
                Ok(())
            }
            (Role::Authentication | Role::Both, Code::STATUS_SERVER) => {
                self.status(Code::ACCESS_ACCEPT, received)
            }
            (Role::Accounting, Code::STATUS_SERVER) => {
                self.status(Code::ACCOUNTING_RESPONSE, received)
            }
            _ => Err(DropReason::UnexpectedCode),
        }
    }

    /// Is it genuine, and is it new? `None` for a retransmission that got the stored reply. The
    /// client that comes back is the one whose secret proved it.
    fn admit<'a>(
        &self,
        received: Received<'a>,
    ) -> Result<Option<(Received<'a>, Exchange)>, DropReason> {
        let received = prove(received)?;
        let Received { now, from, request, .. } = received;
        match self.port.server().handle_request(now, from.peer, &request) {
            Outcome::New(pending) => {
                let snapshot = &self.clients.snapshot;
                let exchange = Exchange::new(&self.port, received, pending, snapshot);
                Ok(Some((received, exchange)))
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
        let Received { client, request, .. } = received;
        let hub = &self.port.hub;
        if let Some(message) = radius::eap::message::of(&request) {
            return hub.eap.handle(exchange, received, &message, &self.clients.snapshot);
        }
        match auth::decide(&self.clients.snapshot, &request, &client.secret) {
            auth::Verdict::Accept(accept, auth::Proof::Plain) => exchange.accept(accept, |_| {}),
            auth::Verdict::Accept(accept, proof) => {
                let nonce = exchange.authenticator();
                let hide = Hide { secret: &client.secret, request: nonce, salt: hub.random.fill() };
                exchange.accept(accept, |reply| reply::write_proof(reply, &proof, hide));
            }
            auth::Verdict::Reject(refusal) => {
                let username = request.attr(AttrType::USER_NAME);
                let error = reply::error_of(&request, || hub.random.fill());
                exchange.reject(refusal, username.map_or(&[], |attr| attr.value), |reply| {
                    if let Some(error) = &error {
                        reply::write_error(reply, error);
                    }
                });
            }
        }
    }

    fn accounting(&self, received: Received<'_>, exchange: Exchange) {
        let Received { client, request, from, .. } = received;
        let fresh = SessionId::from_uuid(Uuid::now_v7());
        let nas = (&*client.nas, &client.named);
        match acct::record(&self.clients.snapshot, nas, &request, from.peer, fresh) {
            acct::Verdict::Drop(why) => exchange.give_up(why),
            acct::Verdict::Acknowledge => exchange.acknowledge(),
            acct::Verdict::Record(record) => {
                exchange.acknowledge_when_durable(|ticket| Event::Accounting(record, ticket));
            }
        }
    }

    /// RFC 5176, with this host as the NAS.
    fn authorise(&self, received: Received<'_>, exchange: Exchange) {
        let Received { from, request, .. } = received;
        let Some(read) = Request::of(&request) else { return };
        let action = match request.code() {
            Code::DISCONNECT_REQUEST => Action::Disconnect,
            _ => Action::Change,
        };
        let states = asked::states(&request);
        let seconds = u32::try_from(now_ms() / 1_000).unwrap_or(u32::MAX);
        let here = Here {
            name: self.port.hub.hostname.clone(),
            address: from.here.or_else(|| self.port.address()),
        };
        let read = match dynauth::event_timestamp(&request) {
            // RFC 5176 §6.3: it may be one that somebody has recorded.
            Some(made) if !dynauth::is_recent(made, seconds) => {
                return exchange.give_up(DropReason::NotRecent);
            }
            Some(_) => read.and_then(|request| asked::read(&request, &here)),
            // Without one, that cannot be known.
            None => Err(ErrorCause::MISSING_ATTRIBUTE),
        };
        match read {
            Ok(asked) => exchange.authorise(asked, states),
            Err(why) => exchange.authorised(action, Err(why), &states),
        }
    }

    /// RFC 5997 §3: the reply of the port, and nothing is kept of it.
    fn status(&self, code: Code, received: Received<'_>) -> Result<(), DropReason> {
        let Received { from, client, request, .. } = prove(received)?;
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
