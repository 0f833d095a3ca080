//! A provider to begin with: a tenant, subscribers with subscriptions, edges with a NAS each.

use controller::{edges::secret::SecretHash, token};
use shared::{
    id::{EdgeId, NasId, SubscriberId, SubscriptionId, TenantId},
    secret::Secret,
};
use sqlx::PgPool;
use uuid::Uuid;

use crate::stand;

/// What edges and operators know of the provider.
#[derive(Clone, Debug)]
pub(crate) struct Provider {
    pub(crate) tenant: TenantId,
    pub(crate) subscribers: u32,
}

/// An edge, and how it logs in.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) edge: EdgeId,
    pub(crate) nas: NasId,
    pub(crate) secret: Secret,
}

const PLAN: Uuid = Uuid::from_u128(0x0000_0000_0000_7000_8004_0000_0000_0001);

/// Ids of generated rows: the kind, and which one.
const fn id(kind: u16, number: u32) -> Uuid {
    Uuid::from_u128(0x7000_8000_0000_0000_0000 | ((kind as u128) << 48) | number as u128)
}

const fn pattern(kind: u16) -> &'static str {
    match kind {
        SUBSCRIBER => "00000000-0000-7000-8001-",
        _ => "00000000-0000-7000-8002-",
    }
}

const SUBSCRIBER: u16 = 1;
const SUBSCRIPTION: u16 = 2;

impl Provider {
    /// Of `number`, from 0, round and round.
    pub(crate) const fn subscriber(&self, number: u32) -> SubscriberId {
        SubscriberId::from_uuid(id(SUBSCRIBER, number % self.subscribers + 1))
    }

    pub(crate) const fn subscription(&self, number: u32) -> SubscriptionId {
        SubscriptionId::from_uuid(id(SUBSCRIPTION, number % self.subscribers + 1))
    }

    /// All of them with an active subscription.
    pub(crate) async fn make(pool: &PgPool, subscribers: u32) -> anyhow::Result<Self> {
        let tenant = TenantId::from_uuid(Uuid::now_v7());
        let id = tenant.as_uuid();
        let (people, contracts) = (pattern(SUBSCRIBER), pattern(SUBSCRIPTION));
        let sql = format!(
            "INSERT INTO tenant (tenant_id, slug, name, created_at)
               VALUES ('{id}', 'bench', 'Bench', now());
             INSERT INTO plan (tenant_id, id, code, name, created_at)
               VALUES ('{id}', '{PLAN}', 'home', 'Home 10', now());
             INSERT INTO plan_version (tenant_id, id, plan_id, version, access, billing, kind,
                 price_cents, validity_months, down_kbps, up_kbps, anchor, effective_from)
               VALUES ('{id}', '{PLAN}', '{PLAN}', 1, 'pppoe', 'prepaid', 'unlimited', 100000, 1,
                 10000, 5000, 'purchase', now());
             INSERT INTO subscriber (tenant_id, id, account_no, username, full_name, created_at)
               SELECT '{id}', ('{people}' || lpad(to_hex(i), 12, '0'))::uuid,
                      (10000000 + i)::text, 's' || i, 'Subscriber ' || i, now()
                 FROM generate_series(1, {subscribers}) i;
             INSERT INTO subscription (tenant_id, id, subscriber_id, plan_version_id, state,
                                       created_at)
               SELECT '{id}', ('{contracts}' || lpad(to_hex(i), 12, '0'))::uuid,
                      ('{people}' || lpad(to_hex(i), 12, '0'))::uuid, '{PLAN}', 'active', now()
                 FROM generate_series(1, {subscribers}) i;
             ANALYZE;"
        );
        stand::run(pool, &sql).await?;
        Ok(Self { tenant, subscribers })
    }

    pub(crate) async fn add_edge(&self, pool: &PgPool) -> anyhow::Result<Account> {
        let account = Account {
            edge: EdgeId::from_uuid(Uuid::now_v7()),
            nas: NasId::from_uuid(Uuid::now_v7()),
            secret: Secret::new(token::random()),
        };
        sqlx::query(
            "INSERT INTO edge (tenant_id, id, name, secret_hash, created_at)
             VALUES ($1, $2, $3, $4, now())",
        )
        .bind(self.tenant.as_uuid())
        .bind(account.edge.as_uuid())
        .bind(account.edge.to_string())
        .bind(SecretHash::of(account.secret.expose().as_bytes()).0.as_slice())
        .execute(pool)
        .await?;
        sqlx::query(
            "INSERT INTO nas (tenant_id, id, edge_id, name, address, secret_sealed, enforce,
                              vendor, created_at)
             VALUES ($1, $2, $3, $4, '10.0.0.0/8', $5, 'edge', 'standard', now())",
        )
        .bind(self.tenant.as_uuid())
        .bind(account.nas.as_uuid())
        .bind(account.edge.as_uuid())
        .bind(account.nas.to_string())
        .bind([0_u8; 64].as_slice())
        .execute(pool)
        .await?;
        Ok(account)
    }

    /// A member of staff with this role, logged in: the token.
    pub(crate) async fn add_operator(&self, pool: &PgPool, role: &str) -> anyhow::Result<String> {
        let (id, token) = (Uuid::now_v7(), token::random());
        sqlx::query(
            "INSERT INTO operator (tenant_id, id, email, name, role, password_hash, created_at)
             VALUES ($1, $2, $3, 'Bench', $4, '$argon2id$never', now())",
        )
        .bind(self.tenant.as_uuid())
        .bind(id)
        .bind(format!("{}@example.com", id.simple()))
        .bind(role)
        .execute(pool)
        .await?;
        sqlx::query(
            "WITH l AS (INSERT INTO login (tenant_id, id, operator_id, created_at, used_at,
                                           ends_at, program)
               VALUES ($1, $3, $3, now(), now(), now() + interval '1 day', ''))
             INSERT INTO operator_session (tenant_id, token_hash, operator_id, login_id,
                                           created_at, expires_at)
             VALUES ($1, $2, $3, $3, now(), now() + interval '1 day')",
        )
        .bind(self.tenant.as_uuid())
        .bind(token::hash(&token).as_slice())
        .bind(id)
        .execute(pool)
        .await?;
        Ok(token)
    }
}
