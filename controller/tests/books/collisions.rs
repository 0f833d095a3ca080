//! Transactions that only collided with others are run again, and no others.

use std::cell::Cell;

use controller::db::{self, StoreError};
use sqlx::AssertSqlSafe;

use crate::world::Template;

#[tokio::test]
async fn what_only_collided_is_run_again() {
    let books = Template::make().await.copy("").await;
    let cases = [
        ("40001", "could not serialize access", true),
        ("40P01", "deadlock detected", true),
        // Postgres 15, of a row whose other change is just being undone.
        ("XX000", "new multixact has more than one updating member: 0 5 (nokeyupd)", true),
        ("XX000", "another internal error", false),
        ("23514", "new multixact has more than one updating member", false),
    ];
    for (state, said, again) in cases {
        let sql = format!("DO $$ BEGIN RAISE EXCEPTION '{said}' USING ERRCODE = '{state}'; END $$");
        let tries = Cell::new(0);
        let attempt = || async {
            tries.set(tries.get() + 1);
            if tries.get() > 2 {
                return Ok(());
            }
            let done = sqlx::query(AssertSqlSafe(sql.as_str())).execute(&books.admin).await;
            done.map(drop).map_err(StoreError::from)
        };
        let done = db::retry(attempt).await;
        assert_eq!((done.is_ok(), tries.get() > 1), (again, again), "{state} {said}: {done:?}");
    }
    books.close().await;
}
