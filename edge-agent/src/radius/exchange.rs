//! An admitted request and the right to answer it: once, now or later, from any thread.
//!
//! It holds all that the answer needs, the secret as of when the request came among it, so that a
//! desired state that changes meanwhile breaks no reply. Dropped without an answer, it forgets the
//! request: the NAS's next attempt is a new one.

use std::{net::IpAddr, sync::Arc, time::Instant};

use radius::{
    AttrType, Code, EncodeError, LEN_MAX, Packet, Writer,
    dynauth::{self, Action, ErrorCause},
    eap,
    packet::{Authenticator, LEN_MIN},
    server::Pending,
};
use shared::{id::SessionId, wire::latest::desired::Enforce};
use uuid::Uuid;

use super::{
    acct, auth, clients::Client, drops::DropReason, inbox::Origin, policy, port::Port,
    responder::Received,
};
use crate::{
    desired::Snapshot,
    sessions::{
        Device,
        event::{AuthFailure, Authorise, Event, Open, Place, Ticket, Verdict},
    },
};

#[derive(Debug)]
pub(super) struct Exchange {
    port: Arc<Port>,
    client: Arc<Client>,
    to: Origin,
    asked: Asked,
    /// `None` when it is answered or given up.
    pending: Option<Pending>,
    /// What is counted if it is dropped.
    why: DropReason,
    /// Of the desired state that it is decided by.
    revision: u64,
    /// The address that the NAS has given the device already.
    given: Option<IpAddr>,
    /// Where its device is, if that matters.
    place: Option<(Place, String)>,
    /// The identifier of its EAP packet, if it has one.
    eap: Option<u8>,
}

impl Exchange {
    pub(super) fn new(
        port: &Arc<Port>,
        received: Received<'_>,
        pending: Pending,
        snapshot: &Snapshot,
    ) -> Self {
        let Received { from, client, request, .. } = received;
        let given = match client.nas.enforce {
            Enforce::Nas => None,
            Enforce::Edge => {
                request.attr(AttrType::FRAMED_IP_ADDRESS).and_then(|attr| attr.address())
            }
        };
        let matters = request.code() == Code::ACCESS_REQUEST
            && (client.nas.enforce == Enforce::Edge || snapshot.counts_devices());
        let place = matters.then(|| {
            let session = request.attr(AttrType::ACCT_SESSION_ID);
            let session = session.and_then(|attr| attr.text()).unwrap_or_default();
            (acct::place(&request, from.peer), session.to_owned())
        });
        Self {
            port: Arc::clone(port),
            client: Arc::clone(client),
            to: from,
            asked: Asked::of(&request),
            pending: Some(pending),
            why: DropReason::GivenUp,
            revision: snapshot.revision,
            given,
            place,
            eap: request
                .attr(AttrType::EAP_MESSAGE)
                .map(|attr| attr.value.get(1).copied().unwrap_or_default()),
        }
    }

    /// Who asks.
    pub(super) fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// Of the request: what values in the reply are hidden with.
    pub(super) fn authenticator(&self) -> Authenticator {
        *self.asked.packet().authenticator()
    }

    /// Access-Accept with the subscriber's plan, and what else `fill` writes. Where this host's
    /// data plane is to hold the session, it goes out when the session is open.
    pub(super) fn accept(self, accept: auth::Accept, fill: impl FnOnce(&mut Writer<'_>)) {
        if !self.has_room(&accept) {
            let username = accept.subscriber.username.clone();
            return self.reject(auth::Refusal::TooManyDevices, username.as_bytes(), |_| {});
        }
        let auth::Accept { subscriber, mac, by } = accept;
        let client = Arc::clone(&self.client);
        let has_address =
            self.given.or(subscriber.static_ip).is_some() || subscriber.delegated_prefix.is_some();
        let device = match client.nas.enforce {
            Enforce::Nas => None,
            // Told by its device, or else by what it sends from.
            Enforce::Edge if mac.is_some() || has_address => {
                Some((mac, SessionId::from_uuid(Uuid::now_v7())))
            }
            Enforce::Edge => {
                let source = self.to.peer.ip().to_canonical();
                self.port.tally().without_mac(Instant::now(), source, &client.named.name);
                None
            }
        };
        let session = device.map(|(_, session)| session);
        let write = |reply: &mut Writer<'_>| {
            fill(reply);
            match by {
                auth::By::Password => {}
                // Accounting then names the subscriber and not the device.
                auth::By::Device => {
                    reply.text(AttrType::USER_NAME, &subscriber.username);
                }
            }
            policy::write_accept(reply, &subscriber, &client.nas, session);
            client.extras.write(reply);
        };
        let Some((mac, session)) = device else {
            return self.answer(Code::ACCESS_ACCEPT, write);
        };
        let (place, acct_session_id) = self.place.clone().unwrap_or_default();
        let open = Open {
            session,
            mac,
            nas: client.named.clone(),
            ip: self.given.or(subscriber.static_ip),
            subscriber: Arc::clone(&subscriber),
            revision: self.revision,
            place,
            acct_session_id,
        };
        self.answer_when_durable(Code::ACCESS_ACCEPT, write, |ticket| {
            Event::Open(Box::new(open), ticket)
        });
    }

    /// Simultaneous use: may this device be on-line besides the subscriber's others? If so, its
    /// place is taken.
    fn has_room(&self, accept: &auth::Accept) -> bool {
        let Some(allowed) = accept.subscriber.max_sessions else { return true };
        let nas = &self.client.named.name;
        let device = self
            .place
            .as_ref()
            .and_then(|(place, session)| Device::of(accept.mac, nas, place, session));
        let username = &accept.subscriber.username;
        let taken = self.port.hub.leases.take(username, device, allowed, Instant::now());
        if let Err(full) = taken {
            tracing::debug!(nas.name = %nas, "`{username}` has no room for another device: {full}");
        }
        taken.is_ok()
    }

    /// Access-Reject, after a while, with EAP-Failure if that is what was asked; `fill` writes what
    /// else belongs into it.
    pub(super) fn reject(
        self,
        refusal: auth::Refusal,
        username: &[u8],
        fill: impl FnOnce(&mut Writer<'_>),
    ) {
        let username = String::from_utf8_lossy(username).into_owned();
        let nas = Arc::clone(&self.client.named.name);
        tracing::debug!(
            nas.name = %nas, "NAS {nas} asked for `{username}`: {}", refusal.as_str()
        );
        // For people, in sums: when the sessions have more important things to do, a failure is
        // counted as a reply only.
        let _ = self.port.hub.events.try_send(Event::AuthFailure(AuthFailure {
            nas,
            username,
            reason: refusal.as_str(),
        }));
        let port = Arc::clone(&self.port);
        let asked_by_eap = self.eap;
        let held = self.hold(Code::ACCESS_REJECT, |reply| {
            fill(reply);
            // RFC 3579 §2.6.5: there is no text beside an EAP packet.
            match asked_by_eap {
                Some(id) => eap::message::write(reply, &eap::packet::end(eap::Code::Failure, id)),
                None => {
                    reply.text(AttrType::REPLY_MESSAGE, refusal.message());
                }
            }
        });
        if let Some(held) = held {
            port.hub.later.reject(Instant::now(), held);
        }
    }

    /// Access-Challenge.
    pub(super) fn challenge(self, fill: impl FnOnce(&mut Writer<'_>)) {
        self.answer(Code::ACCESS_CHALLENGE, fill);
    }

    /// Accounting-Response, at once: there is nothing to record.
    pub(super) fn acknowledge(self) {
        self.answer(Code::ACCOUNTING_RESPONSE, |_| {});
    }

    /// Accounting-Response, when the sessions have done what `event` says.
    pub(super) fn acknowledge_when_durable(self, event: impl FnOnce(Ticket) -> Event) {
        self.answer_when_durable(Code::ACCOUNTING_RESPONSE, |_| {}, event);
    }

    /// ACK or NAK of a CoA- or Disconnect-Request, whose `states` come back as they were.
    pub(super) fn authorised(
        self,
        action: Action,
        result: Result<(), ErrorCause>,
        states: &[Vec<u8>],
    ) {
        self.answer(dynauth::answer_code(action, result.is_ok()), |reply| {
            for state in states {
                reply.attr(AttrType::STATE, state);
            }
            if let Err(why) = result {
                reply.integer(AttrType::ERROR_CAUSE, why.0);
            }
        });
    }

    /// As [`Exchange::authorised`], when the sessions have decided and done it.
    pub(super) fn authorise(self, asked: Authorise, states: Vec<Vec<u8>>) {
        let events = self.port.hub.events.clone();
        let action = asked.action;
        let verdict = Verdict::new(move |result| self.authorised(action, result, &states));
        // If it cannot be taken, its exchange goes with it: who asks will ask again.
        let _ = events.try_send(Event::Authorise(Box::new(asked), verdict));
    }

    /// There will be no answer, for this reason.
    pub(super) fn give_up(mut self, why: DropReason) {
        self.why = why;
    }

    fn answer(mut self, code: Code, fill: impl FnOnce(&mut Writer<'_>)) {
        let mut buffer = [0; LEN_MAX];
        match self.asked.write_reply(&mut buffer, code, &self.client, fill) {
            Ok(reply) => {
                if let Some(pending) = self.pending.take() {
                    self.port.answer(self.to, pending, reply);
                }
            }
            Err(error) => self.give_up_unwritten(error),
        }
    }

    fn answer_when_durable(
        self,
        code: Code,
        fill: impl FnOnce(&mut Writer<'_>),
        event: impl FnOnce(Ticket) -> Event,
    ) {
        let (port, to, pending) = (Arc::clone(&self.port), self.to, self.pending);
        let client = Arc::clone(&self.client);
        let Some(held) = self.hold(code, fill) else { return };
        let hub = Arc::clone(&port.hub);
        let ticket = Ticket::new(move || hub.later.send(held));
        if let Err(refused) = port.hub.events.try_send(event(ticket)) {
            // Before its ticket goes, which then has nothing to give up.
            if pending.is_some_and(|pending| port.server().abandon(pending)) {
                port.dropped(Instant::now(), to, Some(&client), DropReason::Overload);
            }
            drop(refused);
        }
    }

    /// The signed reply, which waits for something.
    fn hold(mut self, code: Code, fill: impl FnOnce(&mut Writer<'_>)) -> Option<Held> {
        let mut buffer = [0; LEN_MAX];
        match self.asked.write_reply(&mut buffer, code, &self.client, fill) {
            Ok(reply) => {
                self.why = DropReason::NotDurable;
                let reply = Box::from(reply);
                Some(Held { exchange: self, reply })
            }
            Err(error) => {
                self.give_up_unwritten(error);
                None
            }
        }
    }

    /// Too many Proxy-States, for one.
    fn give_up_unwritten(self, error: EncodeError) {
        tracing::debug!(%error, "cannot write a reply to {}", self.to.peer);
        self.give_up(DropReason::NotSent);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let Some(pending) = self.pending.take() else { return };
        if self.port.server().abandon(pending) {
            self.port.dropped(Instant::now(), self.to, Some(&self.client), self.why);
        }
    }
}

/// A signed reply that waits for something. If it is dropped, the NAS's next attempt is a new
/// request.
#[derive(Debug)]
pub(super) struct Held {
    exchange: Exchange,
    reply: Box<[u8]>,
}

impl Held {
    pub(super) const fn to(&self) -> Origin {
        self.exchange.to
    }

    /// Keeps the reply for retransmissions. `None` if nobody waits for it any more.
    pub(super) fn keep(mut self) -> Option<(Arc<Port>, Origin, Box<[u8]>)> {
        let pending = self.exchange.pending.take()?;
        let is_awaited = self.exchange.port.keep(pending, &self.reply);
        is_awaited.then(|| (Arc::clone(&self.exchange.port), self.exchange.to, self.reply))
    }

    pub(super) fn send(mut self) {
        if let Some(pending) = self.exchange.pending.take() {
            self.exchange.port.answer(self.exchange.to, pending, &self.reply);
        }
    }
}

/// What a reply needs of its request: the header, and the Proxy-States if there are any.
#[derive(Debug)]
pub(super) enum Asked {
    Plain([u8; LEN_MIN]),
    Proxied(Box<[u8]>),
}

impl Asked {
    pub(super) fn of(request: &Packet<'_>) -> Self {
        let mut header = [0; LEN_MIN];
        header.copy_from_slice(request.as_bytes().get(..LEN_MIN).unwrap_or(&[0; LEN_MIN]));
        let states = || request.attrs().filter(|attr| attr.kind == AttrType::PROXY_STATE);
        let len = LEN_MIN + states().map(|state| state.value.len() + 2).sum::<usize>();
        // It is part of a packet, whose length is 16 bits.
        let [.., high, low] = len.to_be_bytes();
        header[2] = high;
        header[3] = low;
        if len == LEN_MIN {
            return Self::Plain(header);
        }
        let mut octets = Vec::with_capacity(len);
        octets.extend_from_slice(&header);
        for state in states() {
            let [.., attr_len] = (state.value.len() + 2).to_be_bytes();
            octets.extend_from_slice(&[state.kind.0, attr_len]);
            octets.extend_from_slice(state.value);
        }
        Self::Proxied(octets.into_boxed_slice())
    }

    fn packet(&self) -> Packet<'_> {
        let octets = match self {
            Self::Plain(header) => header.as_slice(),
            Self::Proxied(octets) => octets,
        };
        Packet::decode(octets).expect("it is a header that says its length, and whole attributes")
    }

    /// A signed reply with the request's Proxy-States, RFC 2865 §5.33.
    pub(super) fn write_reply<'b>(
        &self,
        buffer: &'b mut [u8; LEN_MAX],
        code: Code,
        client: &Client,
        fill: impl FnOnce(&mut Writer<'_>),
    ) -> Result<&'b [u8], EncodeError> {
        let request = self.packet();
        let mut reply = Writer::reply(buffer, code, &request);
        fill(&mut reply);
        for state in request.attrs() {
            reply.copy(state);
        }
        reply.sign(&client.secret)
    }
}
