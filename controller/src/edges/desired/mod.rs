//! What every edge should have, computed from the rows, and its revisions.
//!
//! It is not a list of changes: each time the complete state is computed and compared, so that a
//! lost signal, a restart and a change are one path ([`Desk::run`]). A revision grows only when the
//! state is another; the edge is told by a pointer, after the commit, and fetches the state itself
//! ([`http`]). [`compile`] decides what is in it, [`pool`] what somebody may use.

use std::{
    io,
    time::{Duration, Instant},
};

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use shared::{
    daemon::Chain,
    id::{EdgeId, TenantId},
    rate::Shape,
    wire::latest::desired::{Desired, Garden, Nas, Pointer, Subscriber},
};

use self::store::Wishes;
use super::{LookAgain, link::Link};
use crate::{
    clock,
    db::{self, AsStoreError, Db, StoreError},
    seal::{self, Seal},
    token,
};

pub mod http;
mod pool;
mod store;

/// Computes what edges should have, and tells them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Desk {
    pub db: Db,
    pub seal: Seal,
    pub link: Link,
    pub look_again: LookAgain,
}

#[derive(Debug, thiserror::Error)]
pub enum DesiredError {
    #[error("the desired state cannot be read")]
    Store(#[from] StoreError),
    /// With another master key nobody's password opens: edges keep what they have.
    #[error("a secret of the desired state does not open")]
    Seal(#[from] seal::OpenError),
}

impl AsStoreError for DesiredError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            Self::Seal(_) => None,
        }
    }
}

/// An edge's row, as far as its desired state goes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Have {
    edge: EdgeId,
    revision: u64,
    hash: Option<String>,
    applied_revision: u64,
    uplink: Option<Shape>,
}

/// Drops what an edge would refuse, with everything beside it: NASes without a secret, and
/// subscribers whom nothing could log in. Sorts, so that equal states are equal bytes. Pure.
pub fn compile(
    mut nas: Vec<Nas>,
    mut subscribers: Vec<Subscriber>,
    realms: Vec<String>,
    garden: Garden,
) -> Desired {
    nas.retain(|nas| !nas.secret.expose().is_empty());
    nas.sort_by_key(|nas| nas.address);
    subscribers
        .retain(|one| one.password.is_some() || one.nt_hash.is_some() || !one.macs.is_empty());
    for subscriber in &mut subscribers {
        subscriber.macs.sort_unstable();
    }
    subscribers.sort_by(|one, other| one.username.cmp(&other.username));
    Desired { revision: 0, nas, subscribers, site: None, garden, realms }
}

/// SHA-256 of the state's JSON with revision 0, in hexadecimal. Pure.
pub fn hash(nas: &[Nas], site: Option<Shape>, of_all: &Desired) -> String {
    /// [`Desired`] in pieces: all but the NASes and the site is the same for all edges of a tenant.
    #[derive(Serialize)]
    struct View<'a> {
        revision: u64,
        nas: &'a [Nas],
        subscriber: &'a [Subscriber],
        #[serde(skip_serializing_if = "Option::is_none")]
        site: Option<Shape>,
        #[serde(skip_serializing_if = "Garden::is_default")]
        garden: &'a Garden,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        realms: &'a [String],
    }
    struct Sink(Sha256);
    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut sink = Sink(Sha256::new());
    let Desired { revision: _, nas: _, subscribers, site: _, garden, realms } = of_all;
    let view = View { revision: 0, nas, subscriber: subscribers, site, garden, realms };
    serde_json::to_writer(io::BufWriter::new(&mut sink), &view)
        .expect("the state has text keys, and the sink takes everything");
    token::hex(sink.0.finalize().as_slice())
}

/// A round computes everything, so a flood of changes must not keep it running: it takes a fifth of
/// the time at most. A change that comes alone does not wait. Pure.
fn rest_after(round: Duration) -> Duration {
    (round * 4).min(ROUND)
}

impl Desk {
    /// Runs when told, and every minute in case nobody told.
    pub async fn run(self) {
        let mut wait = Duration::ZERO;
        loop {
            // Rung or not: the same is done.
            let _ = tokio::time::timeout(wait, self.look_again.heard()).await;
            let began = Instant::now();
            wait = match self.round().await {
                Ok(()) => ROUND,
                Err(error) => {
                    tracing::error!(
                        error = %Chain(&error),
                        "edges are not told what they should have"
                    );
                    RETRY
                }
            };
            tokio::time::sleep(rest_after(began.elapsed())).await;
        }
    }

    async fn round(&self) -> Result<(), DesiredError> {
        for tenant in store::tenants_with_edges(&self.db).await? {
            if let Err(error) = self.round_of(tenant).await {
                tracing::error!(
                    tenant.id = %tenant,
                    error = %Chain(&error),
                    "the edges of {tenant} keep what they have"
                );
            }
        }
        Ok(())
    }

    /// All edges of one tenant.
    pub async fn round_of(&self, tenant: TenantId) -> Result<(), DesiredError> {
        let changed = db::retry(|| self.try_round(tenant)).await?;
        for (edge, pointer) in changed {
            self.tell(edge, &pointer).await;
        }
        Ok(())
    }

    async fn try_round(&self, tenant: TenantId) -> Result<Vec<(EdgeId, Pointer)>, DesiredError> {
        let mut tx = self.db.edge_of(tenant).await?;
        let mut wishes = Wishes { conn: &mut tx, tenant, seal: &self.seal };
        // First what waits, then the state: each statement sees what the one before it saw.
        let waiting = wishes.subscriptions_waiting().await?;
        let edges = wishes.edges(None).await?;
        let all_nas = wishes.nas(None).await?;
        let subscribers = wishes.subscribers(clock::now()).await?;
        let of_all =
            compile(Vec::new(), subscribers, wishes.realms().await?, wishes.garden().await?);

        let mut changed = Vec::new();
        let mut serving = 0_u32;
        let mut behind = 0_u32;
        for have in edges {
            let own = all_nas.iter().filter(|(edge, _)| *edge == have.edge);
            let own = own.map(|(_, nas)| nas.clone()).collect();
            let nas = compile(own, Vec::new(), Vec::new(), Garden::default()).nas;
            serving += u32::from(!nas.is_empty());
            let hash = hash(&nas, have.uplink, &of_all);
            if have.hash.as_ref() == Some(&hash) {
                let is_behind = have.applied_revision != have.revision && !nas.is_empty();
                behind += u32::from(is_behind);
            } else {
                behind += 1;
                let pointer = Pointer { revision: have.revision + 1, hash };
                wishes.write(&have, &pointer).await?;
                changed.push((have.edge, pointer));
            }
        }
        // In force means: on every edge of the tenant that serves anybody.
        if behind == 0 && serving > 0 && !waiting.is_empty() {
            wishes.subscriptions_applied(&waiting).await?;
        }
        tx.commit().await.map_err(StoreError::from)?;
        Ok(changed)
    }

    /// What one edge should have now. `None`: there is no such edge any more.
    pub async fn of(
        &self,
        tenant: TenantId,
        edge: EdgeId,
    ) -> Result<Option<(Pointer, Desired)>, DesiredError> {
        let Some((pointer, desired, is_new)) = db::retry(|| self.try_of(tenant, edge)).await?
        else {
            return Ok(None);
        };
        if is_new {
            self.tell(edge, &pointer).await;
        }
        Ok(Some((pointer, desired)))
    }

    async fn try_of(
        &self,
        tenant: TenantId,
        edge: EdgeId,
    ) -> Result<Option<(Pointer, Desired, bool)>, DesiredError> {
        let mut tx = self.db.edge_of(tenant).await?;
        let mut wishes = Wishes { conn: &mut tx, tenant, seal: &self.seal };
        let Some(have) = wishes.edges(Some(edge)).await?.pop() else { return Ok(None) };
        let nas = wishes.nas(Some(edge)).await?.into_iter().map(|(_, nas)| nas).collect();
        let subscribers = wishes.subscribers(clock::now()).await?;
        let mut desired = compile(nas, subscribers, wishes.realms().await?, wishes.garden().await?);
        desired.site = have.uplink;
        let hash = hash(&desired.nas, desired.site, &desired);
        let is_new = have.hash.as_ref() != Some(&hash);
        let pointer = Pointer { revision: have.revision + u64::from(is_new), hash };
        if is_new {
            wishes.write(&have, &pointer).await?;
        }
        tx.commit().await.map_err(StoreError::from)?;
        desired.revision = pointer.revision;
        Ok(Some((pointer, desired, is_new)))
    }

    /// A pointer that does not arrive is sent at the edge's next birth.
    async fn tell(&self, edge: EdgeId, pointer: &Pointer) {
        if let Err(error) = self.link.point(edge, pointer).await {
            tracing::debug!(edge.id = %edge, error = %Chain(&error), "no pointer sent");
        }
    }
}

const ROUND: Duration = Duration::from_mins(1);
const RETRY: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use shared::{
        rate::{Kbps, Shape},
        secret::Secret,
    };

    use super::*;

    fn nas(address: &str, secret: &str) -> Nas {
        let secret = Secret::new(secret.to_owned());
        Nas::new(address.to_owned(), address.parse().unwrap(), secret)
    }

    fn subscriber(username: &str, password: Option<&str>, macs: &[&str]) -> Subscriber {
        let shape = Shape { down_kbps: Kbps::new(1000).unwrap(), up_kbps: Kbps::new(500).unwrap() };
        Subscriber {
            password: password.map(|text| Secret::new(text.to_owned())),
            macs: macs.iter().map(|mac| mac.parse().unwrap()).collect(),
            ..Subscriber::new(username.to_owned(), shape)
        }
    }

    #[test]
    fn a_round_takes_a_fifth_of_the_time_and_nothing_waits_longer_than_for_the_next_round() {
        assert_eq!(rest_after(Duration::ZERO), Duration::ZERO);
        assert_eq!(rest_after(Duration::from_millis(250)), Duration::from_secs(1));
        assert_eq!(rest_after(ROUND), ROUND);
    }

    #[test]
    fn what_an_edge_would_refuse_is_left_out() {
        let device = "02:00:00:00:00:01";
        let desired = compile(
            vec![nas("10.0.0.2/32", ""), nas("10.0.0.1/32", "s")],
            vec![
                subscriber("nobody", None, &[]),
                subscriber("device", None, &[device]),
                subscriber("amina", Some("p"), &[]),
            ],
            Vec::new(),
            Garden::default(),
        );
        let names: Vec<_> = desired.subscribers.iter().map(|one| one.username.as_str()).collect();
        assert_eq!(names, ["amina", "device"]);
        assert_eq!(desired.nas.len(), 1);
    }

    #[test]
    fn the_order_of_rows_is_no_change_and_everything_else_is() {
        let state = |first: &str, second: &str, macs: &[&str]| {
            let rows = vec![subscriber(first, Some("p"), &[]), subscriber(second, Some("p"), macs)];
            let (nas, garden) = (vec![nas("10.0.0.1/32", "s")], Garden::default());
            let desired = compile(nas, rows, Vec::new(), garden);
            hash(&desired.nas, None, &desired)
        };
        let (one, two) = ("02:00:00:00:00:01", "02:00:00:00:00:02");
        assert_eq!(state("a", "b", &[]), state("b", "a", &[]));
        assert_eq!(state("a", "b", &[one, two]), state("a", "b", &[two, one]));
        assert_ne!(state("a", "b", &[]), state("a", "c", &[]));
        assert_ne!(state("a", "b", &[one]), state("a", "b", &[two]));
    }

    #[test]
    fn the_hash_is_that_of_the_state_as_it_is_sent_with_revision_0() {
        let desired = compile(
            vec![nas("10.0.0.1/32", "s")],
            vec![subscriber("amina", Some("p"), &["02:00:00:00:00:01"])],
            vec!["wisp.example".to_owned()],
            Garden { names: vec!["kra.go.ke".to_owned()], ..Garden::default() },
        );
        let kbps = Kbps::new(100_000).unwrap();
        let site = Some(Shape { down_kbps: kbps, up_kbps: kbps });
        let small = Desired { realms: Vec::new(), garden: Garden::default(), ..desired.clone() };
        for desired in [small, Desired { site, ..desired.clone() }, desired] {
            let json = serde_json::to_vec(&desired).unwrap();
            let want = token::hex(Sha256::digest(json).as_slice());
            assert_eq!(hash(&desired.nas, desired.site, &desired), want);
        }
    }
}
