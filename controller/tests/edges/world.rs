//! A controller without its binary: database, broker, office, API; and the rows it starts from.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use axum::extract::FromRef as _;
use controller::{
    app::App,
    broker::{self, Broker},
    clock,
    db::Db,
    edges::{LookAgain, link::Target, office::Office, presence::Secrets, secret::SecretHash},
    seal::{Place, Seal},
    settings::{Flags, Settings},
    token,
};
use shared::{
    daemon::Life,
    id::{EdgeId, NasId, SubscriberId, SubscriptionId, TenantId},
    secret::Secret,
};
use sqlx::{AssertSqlSafe, PgPool, postgres::PgPoolOptions};
use uuid::Uuid;

use crate::{broker::Mosquitto, cluster::Shared};

/// Everything stops when it is dropped.
pub(crate) struct World {
    pub(crate) app: App,
    pub(crate) office: Office,
    /// Superuser: what row level security hides is there.
    pub(crate) admin: PgPool,
    pub(crate) broker: Running,
    pub(crate) tenant: TenantId,
    pub(crate) edge: EdgeId,
    pub(crate) secret: Secret,
    life: Life,
    seal: Seal,
    /// After everything that uses it.
    _cluster: Arc<Shared>,
    folder: PathBuf,
}

impl Drop for World {
    fn drop(&mut self) {
        self.life.ask_to_stop();
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Embedded,
    Mosquitto,
}

pub(crate) enum Running {
    Embedded(Broker, Life),
    Mosquitto(Mosquitto),
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Self::Embedded(broker, life) = self {
            // While it runs it writes into a folder that is about to be removed.
            let stop = || tokio::runtime::Handle::current().block_on(broker.stop());
            tokio::task::block_in_place(stop);
            life.ask_to_stop();
        }
    }
}

impl Running {
    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            Self::Embedded(broker, _) => broker.address(),
            Self::Mosquitto(mosquitto) => mosquitto.address,
        }
    }

    fn open(&self, office: &Office, life: &Life) {
        let opened = match self {
            Self::Embedded(broker, _) => office.start_with(life, broker),
            Self::Mosquitto(_) => office.start(life, self.target()),
        };
        opened.expect("an office");
    }

    pub(crate) fn target(&self) -> Target {
        match self {
            Self::Embedded(broker, _) => Target::at(broker.address(), Some(broker.own_login())),
            Self::Mosquitto(mosquitto) => {
                Target::at(mosquitto.address, Some(("controller", mosquitto.password.clone())))
            }
        }
    }
}

impl World {
    pub(crate) async fn new(kind: Kind) -> Self {
        Self::with(kind, |_| {}).await
    }

    pub(crate) async fn with(kind: Kind, change: impl FnOnce(&mut Flags)) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let cluster = tokio::task::spawn_blocking(Shared::get).await.expect("it does not panic");
        let folder = cluster.make_folder();
        let options = cluster.make_database().await;
        let admin = PgPoolOptions::new()
            .max_connections(4)
            .after_connect(|conn, _| {
                Box::pin(async move {
                    sqlx::query("SET search_path = kennet").execute(conn).await.map(drop)
                })
            })
            .connect_with(options.clone())
            .await
            .expect("a superuser's connection");
        let db = Db::open(&options);

        let data_dir = folder.to_str().expect("a path in UTF-8").to_owned();
        let mut flags = Flags { data_dir: Some(data_dir), ..Flags::default() };
        change(&mut flags);
        let settings = Settings::read(&flags).expect("settings");
        let app = App::new(&settings, db.clone()).expect("an app");
        let seal = Seal::from_ref(&app);
        let edge = EdgeId::from_uuid(Uuid::now_v7());
        let secret = Secret::new("the edge's own secret".to_owned());
        let broker = match kind {
            Kind::Embedded => {
                embedded(&db, &folder, "127.0.0.1:0".parse().expect("an address")).await
            }
            Kind::Mosquitto => Running::Mosquitto(Mosquitto::start(&folder, edge, &secret)),
        };
        let life = Life::default();
        let office = Office::from_ref(&app);
        broker.open(&office, &life);
        let tenant = TenantId::from_uuid(Uuid::now_v7());
        let world = Self {
            app,
            office,
            admin,
            broker,
            tenant,
            edge,
            secret,
            life,
            seal,
            _cluster: cluster,
            folder,
        };
        world.add_tenant(tenant).await;
        world.add_edge(tenant, edge, &world.secret).await;
        soon("the link is up", world.office.link.wait_until_up()).await;
        world
    }

    /// The controller process is killed, and started again on the same database.
    pub(crate) async fn restart_office(&mut self) {
        self.life.ask_to_stop();
        self.office = Office::new(Db::from_ref(&self.app), self.seal.clone(), LookAgain::default());
        self.life = Life::default();
        self.broker.open(&self.office, &self.life);
        soon("the link is up", self.office.link.wait_until_up()).await;
    }

    /// The embedded broker stops and another takes its port and its folder.
    pub(crate) async fn restart_broker(&mut self) {
        let Running::Embedded(broker, life) = &self.broker else { panic!("an embedded broker") };
        let address = broker.address();
        broker.stop().await;
        life.ask_to_stop();
        self.broker = embedded(&Db::from_ref(&self.app), &self.folder, address).await;
    }

    pub(crate) async fn run(&self, sql: String) {
        let done = sqlx::raw_sql(AssertSqlSafe(sql.clone())).execute(&self.admin).await;
        done.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// One number, text or truth out of the database, as text.
    pub(crate) async fn ask(&self, sql: &str) -> String {
        let sql = format!("SELECT coalesce(({sql})::text, '-')");
        let row: Result<(String,), _> =
            sqlx::query_as(AssertSqlSafe(sql.clone())).fetch_one(&self.admin).await;
        row.unwrap_or_else(|error| panic!("{sql}: {error}")).0
    }

    /// Until the answer is as wanted; fails with what it was last.
    pub(crate) async fn until(&self, sql: &str, want: &str) {
        let mut last = String::new();
        for _ in 0..400 {
            last = self.ask(sql).await;
            if last == want {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("{sql} is `{last}` and should become `{want}`");
    }

    pub(crate) async fn add_tenant(&self, tenant: TenantId) {
        let (id, slug) = (tenant.as_uuid(), format!("t{}", tenant.as_uuid().simple()));
        self.run(format!(
            "INSERT INTO tenant (tenant_id, slug, name, created_at) \
             VALUES ('{id}', '{}', 'Test', now())",
            slug.split_at(30).0
        ))
        .await;
    }

    pub(crate) async fn add_edge(&self, tenant: TenantId, edge: EdgeId, secret: &Secret) {
        let hash = SecretHash::of(secret.expose().as_bytes()).0;
        self.run(format!(
            "INSERT INTO edge (tenant_id, id, name, secret_hash, created_at) \
             VALUES ('{}', '{}', '{edge}', '\\x{}', now())",
            tenant.as_uuid(),
            edge.as_uuid(),
            hash.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat(),
        ))
        .await;
    }

    pub(crate) async fn add_nas(&self, tenant: TenantId, edge: EdgeId, address: &str) -> NasId {
        let id = Uuid::now_v7();
        let place = Place { tenant, table: "nas", row: id, column: "secret_sealed" };
        let sealed = self.seal.seal(&place, &Secret::new("testing123".to_owned()));
        sqlx::query(
            "INSERT INTO nas (tenant_id, id, edge_id, name, address, secret_sealed, enforce, \
                              vendor, created_at) \
             VALUES ($1, $2, $3, $4, $4::cidr, $5, 'edge', 'standard', now())",
        )
        .bind(tenant.as_uuid())
        .bind(id)
        .bind(edge.as_uuid())
        .bind(address)
        .bind(sealed)
        .execute(&self.admin)
        .await
        .expect("a NAS");
        NasId::from_uuid(id)
    }

    /// With an active subscription to a plan of 10 and 5 Mbit/s.
    pub(crate) async fn add_subscriber(
        &self,
        tenant: TenantId,
        username: &str,
    ) -> (SubscriberId, SubscriptionId) {
        let (id, plan, version, subscription) =
            (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
        let place = Place { tenant, table: "subscriber", row: id, column: "password_sealed" };
        let sealed = self.seal.seal(&place, &Secret::new("correct horse".to_owned()));
        let tenant = tenant.as_uuid();
        sqlx::query(
            "INSERT INTO subscriber (tenant_id, id, account_no, username, password_sealed, \
                                     full_name, created_at) \
             VALUES ($1, $2, $3, $4, $5, $4, now())",
        )
        .bind(tenant)
        .bind(id)
        .bind(format!("{:08}", id.as_u128() % 100_000_000))
        .bind(username)
        .bind(sealed)
        .execute(&self.admin)
        .await
        .expect("a subscriber");
        self.run(format!(
            "INSERT INTO plan (tenant_id, id, code, name, created_at) \
               VALUES ('{tenant}', '{plan}', '{username}', 'Plan', now()); \
             INSERT INTO plan_version (tenant_id, id, plan_id, version, access, billing, kind, \
                 price_cents, validity_months, down_kbps, up_kbps, anchor, effective_from) \
               VALUES ('{tenant}', '{version}', '{plan}', 1, 'hotspot', 'prepaid', 'unlimited', \
                 100000, 1, 10000, 5000, 'purchase', now()); \
             INSERT INTO subscription (tenant_id, id, subscriber_id, plan_version_id, state, \
                 created_at) \
               VALUES ('{tenant}', '{subscription}', '{id}', '{version}', 'active', now())"
        ))
        .await;
        (SubscriberId::from_uuid(id), SubscriptionId::from_uuid(subscription))
    }

    /// Staff with this role, and a token to call the API with.
    pub(crate) async fn add_operator(&self, tenant: TenantId, role: &str) -> String {
        let (tenant, id, token) = (tenant.as_uuid(), Uuid::now_v7(), token::random());
        sqlx::query(
            "INSERT INTO operator (tenant_id, id, email, name, role, password_hash, created_at) \
             VALUES ($1, $2, $3, 'Test', $4, '$argon2id$never', now())",
        )
        .bind(tenant)
        .bind(id)
        .bind(format!("{}@example.com", id.simple()))
        .bind(role)
        .execute(&self.admin)
        .await
        .expect("an operator");
        sqlx::query(
            "WITH l AS (INSERT INTO login (tenant_id, id, operator_id, created_at, used_at, \
                                           ends_at, program) \
               VALUES ($1, $3, $3, now(), now(), now() + interval '1 hour', '')) \
             INSERT INTO operator_session (tenant_id, token_hash, operator_id, login_id, \
                                           created_at, expires_at) \
             VALUES ($1, $2, $3, $3, now(), now() + interval '1 hour')",
        )
        .bind(tenant)
        .bind(token::hash(&token).as_slice())
        .bind(id)
        .execute(&self.admin)
        .await
        .expect("a token");
        token
    }

    /// The API on a port of its own.
    pub(crate) async fn serve(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let service = self.app.clone().router().into_make_service_with_connect_info::<SocketAddr>();
        self.life.spawn_short(async move {
            let _ = axum::serve(listener, service).await;
        });
        format!("http://{address}")
    }

    pub(crate) fn now_ms() -> u64 {
        u64::try_from(clock::now().as_millisecond()).expect("after 1970")
    }
}

async fn embedded(db: &Db, folder: &std::path::Path, listen: SocketAddr) -> Running {
    let life = Life::default();
    let settings = broker::Settings { listen, folder: folder.join("mqtt") };
    let broker = Broker::start(&life, settings, Secrets::new(db.clone())).await;
    Running::Embedded(broker.expect("an embedded broker"), life)
}

/// Ten seconds are for ever here.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(Duration::from_secs(10), future).await;
    done.unwrap_or_else(|_| panic!("not in ten seconds: {what}"))
}
