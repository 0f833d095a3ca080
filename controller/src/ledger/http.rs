//! `/api/finance/accounts` and `/api/finance/wallets`.

use axum::{
    Json,
    extract::{FromRef, State},
};
use serde::Serialize;
use shared::id::{SubscriberId, SubscriberKind};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{Balance, Ledger, Wallet};
use crate::{
    actor::Actor,
    http::{Guarded, Need, Page, PageQuery, Problem, Query},
    operators::Role,
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Ledger: FromRef<S>,
{
    Guarded::default()
        .route(Need::One(Role::BOOKKEEPERS), routes!(accounts))
        .route(Need::One(Role::READERS), routes!(wallets))
}

/// The trial balance: what was debited and credited on every account. Both sums are the same.
#[utoipa::path(get, path = "/api/finance/accounts", tag = "finance",
    responses((status = 200, body = TrialBalanceView)))]
async fn accounts(
    State(ledger): State<Ledger>,
    actor: Actor,
) -> Result<Json<TrialBalanceView>, Problem> {
    let accounts = ledger.trial_balance(&actor).await?;
    let sum = |of: fn(&Balance) -> i64| accounts.iter().map(of).sum();
    Ok(Json(TrialBalanceView {
        debit_cents: sum(|balance| balance.debits.get()),
        credit_cents: sum(|balance| balance.credits.get()),
        accounts: accounts.into_iter().map(BalanceView::from).collect(),
    }))
}

/// Lists what subscribers have in their wallets.
#[utoipa::path(get, path = "/api/finance/wallets", tag = "finance", params(PageQuery),
    responses((status = 200, body = Page<WalletView>)))]
async fn wallets(
    State(ledger): State<Ledger>,
    actor: Actor,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<WalletView>>, Problem> {
    let ask = query.check::<SubscriberKind>()?;
    let items = ledger.wallets(&actor, ask.after, ask.limit).await?;
    Ok(Json(Page::new(items, ask, |wallet| wallet.subscriber, WalletView::from)))
}

#[derive(Debug, Serialize, ToSchema)]
struct TrialBalanceView {
    debit_cents: i64,
    credit_cents: i64,
    accounts: Vec<BalanceView>,
}

#[derive(Debug, Serialize, ToSchema)]
struct BalanceView {
    /// One account, or the first word of many: `wallet` is all wallets.
    code: String,
    /// `asset`, `liability`, `equity`, `revenue` or `expense`.
    kind: String,
    debit_cents: i64,
    credit_cents: i64,
}

impl From<Balance> for BalanceView {
    fn from(balance: Balance) -> Self {
        let Balance { code, kind, debits, credits } = balance;
        Self { code, kind, debit_cents: debits.get(), credit_cents: credits.get() }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct WalletView {
    #[schema(value_type = String)]
    subscriber: SubscriberId,
    balance_cents: i64,
}

impl From<Wallet> for WalletView {
    fn from(wallet: Wallet) -> Self {
        Self { subscriber: wallet.subscriber, balance_cents: wallet.balance.get() }
    }
}
