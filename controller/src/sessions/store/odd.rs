//! The table `journal_odd`: what was not understood, as it came.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use shared::id::EpochId;

use super::{Books, number};
use crate::{db::StoreError, sessions::changes::OddRecord};

impl Books<'_> {
    #[tracing::instrument(name = "db.journal.odd", skip_all, fields(edge.id = %self.edge), err)]
    pub(in crate::sessions) async fn keep_odd(
        &mut self,
        epoch: EpochId,
        odd: Vec<OddRecord>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let seqs: Vec<i64> = odd.iter().map(|one| number(one.seq)).collect();
        let reasons: Vec<String> = odd.iter().map(|one| one.reason.to_string()).collect();
        let records: Vec<Vec<u8>> = odd.into_iter().map(|one| one.bytes).collect();
        sqlx::query!(
            "INSERT INTO journal_odd (tenant_id, edge_id, epoch, booked_at, seq, reason, record) \
             SELECT $1, $2, $3, $4, * FROM unnest($5::bigint[], $6::text[], $7::bytea[])",
            self.tenant.as_uuid(),
            self.edge.as_uuid(),
            epoch.as_uuid(),
            now.to_sqlx() as _,
            seqs as _,
            reasons as _,
            records as _
        )
        .execute(&mut *self.conn)
        .await?;
        Ok(())
    }
}
