//! Logging in and out: the same decision as for a NAS, the same way into the sessions.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use radius::Password;
use shared::{
    id::SessionId,
    net::Mac,
    wire::latest::{command::Effect, desired::Subscriber},
};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{Portal, Visitor, form::Form, standing::Standing, tries::Who, words::Notice};
use crate::{
    desired::Snapshot,
    radius::{Refusal, decide_typed},
    sessions::{
        Device,
        desk::now_ms,
        event::{AuthFailure, Event, NasRef, Open, Place, Ticket},
    },
};

impl Portal {
    /// When this returns, the session is durable and in the kernel.
    pub(super) async fn login(&self, visitor: &Visitor, form: &Form) -> Result<(), Notice> {
        let done = self.log_in(visitor, form).await;
        let result = if done.is_ok() { "accepted" } else { "refused" };
        metrics::counter!("kennet_portal_logins_total", "result" => result).increment(1);
        done
    }

    async fn log_in(&self, visitor: &Visitor, form: &Form) -> Result<(), Notice> {
        self.check_token(visitor, form)?;
        if matches!(visitor.standing, Standing::OnLine(_)) {
            // The form was sent twice.
            return Ok(());
        }
        let mac = visitor.mac.ok_or(Notice::DeviceUnknown)?;
        let snapshot = self.current.load_full();
        let subscriber = self.decide(&snapshot, mac, form)?;
        self.open(visitor, mac, subscriber, snapshot.revision).await
    }

    pub(super) async fn logout(&self, visitor: &Visitor, form: &Form) -> Result<(), Notice> {
        self.check_token(visitor, form)?;
        let Standing::OnLine(line) = &visitor.standing else { return Ok(()) };
        let (answer, effect) = oneshot::channel();
        let event = Event::Disconnect(line.session, answer);
        self.events.try_send(event).map_err(|_| Notice::Busy)?;
        let effect = tokio::time::timeout(PATIENCE, effect).await;
        self.asker.forget().await;
        match effect {
            Ok(Ok(Effect::Done | Effect::Nothing)) => Ok(()),
            Ok(Ok(Effect::Failed { .. } | Effect::Expired) | Err(_)) | Err(_) => Err(Notice::Busy),
        }
    }

    fn check_token(&self, visitor: &Visitor, form: &Form) -> Result<(), Notice> {
        let genuine = self.tokens.is_of(&form.token, visitor.address, now_ms());
        if genuine { Ok(()) } else { Err(Notice::Expired) }
    }

    /// Who is it, and may they come in?
    fn decide(
        &self,
        snapshot: &Snapshot,
        mac: Mac,
        form: &Form,
    ) -> Result<Arc<Subscriber>, Notice> {
        let Form { username, password, .. } = form;
        // First of all: what is refused is written down, and nobody is to fill the journal.
        if !self.may_try(Who::Device(mac)) {
            return Err(Notice::TooManyTries);
        }
        let refuse = |refusal: Refusal| {
            // For people, in sums, as refusals at a NAS are.
            let username = username.chars().take(USERNAME_MAX).collect();
            let (nas, reason) = (Arc::clone(&self.nas), refusal.as_str());
            let _ = self.events.try_send(Event::AuthFailure(AuthFailure { nas, username, reason }));
            Notice::from(refusal)
        };
        if username.len() > USERNAME_MAX {
            return Err(refuse(Refusal::UnknownSubscriber));
        }
        if !self.may_try(Who::Username(username.clone())) {
            return Err(Notice::TooManyTries);
        }
        let password = Password::typed(password.as_bytes()).ok_or(Refusal::WrongPassword);
        let decided = password.and_then(|password| {
            let subscriber = decide_typed(snapshot, username, password)?;
            self.has_room(&subscriber, mac).then_some(subscriber).ok_or(Refusal::TooManyDevices)
        });
        decided.map_err(refuse)
    }

    fn may_try(&self, who: Who) -> bool {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        tries.take(who, Instant::now())
    }

    /// Simultaneous use, as at a NAS: if there is room for this device, its place is taken.
    fn has_room(&self, subscriber: &Subscriber, mac: Mac) -> bool {
        let Some(allowed) = subscriber.max_sessions else { return true };
        let device = Some(Device::Mac(mac));
        self.leases.take(&subscriber.username, device, allowed, Instant::now()).is_ok()
    }

    async fn open(
        &self,
        visitor: &Visitor,
        mac: Mac,
        subscriber: Arc<Subscriber>,
        revision: u64,
    ) -> Result<(), Notice> {
        let (opened, is_open) = oneshot::channel();
        let open = Open {
            session: SessionId::from_uuid(Uuid::now_v7()),
            mac: Some(mac),
            subscriber,
            nas: NasRef { id: None, name: Arc::clone(&self.nas) },
            ip: Some(visitor.address),
            revision,
            place: Place { calling: mac.to_string(), ..Place::default() },
            acct_session_id: String::new(),
        };
        let ticket = Ticket::new(move || {
            // Who waits may have gone.
            let _ = opened.send(());
        });
        self.events.try_send(Event::Open(Box::new(open), ticket)).map_err(|_| Notice::Busy)?;
        let opened = tokio::time::timeout(PATIENCE, is_open).await;
        self.asker.forget().await;
        opened.map_err(|_| Notice::Busy)?.map_err(|_| Notice::Busy)
    }
}

impl From<Refusal> for Notice {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Blocked => Self::Blocked,
            Refusal::UsedUp => Self::UsedUp,
            Refusal::TooManyDevices => Self::TooManyDevices,
            Refusal::NoUsername
            | Refusal::Malformed
            | Refusal::Unusable
            | Refusal::UnknownSubscriber
            | Refusal::UnknownDevice
            | Refusal::WrongPassword
            | Refusal::Stale
            | Refusal::Unfinished
            | Refusal::NoCommonMethod
            | Refusal::Tls
            | Refusal::Certificate
            | Refusal::UnknownCertificate
            | Refusal::Endless => Self::WrongPassword,
        }
    }
}

/// What a User-Name can carry.
const USERNAME_MAX: usize = radius::attr::VALUE_LEN_MAX;

/// For how long somebody looks at a page that does not come.
const PATIENCE: Duration = Duration::from_secs(5);
