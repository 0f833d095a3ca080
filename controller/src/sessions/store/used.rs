//! The function `use_entitlements`.

use jiff_sqlx::ToSqlx as _;

use super::{Books, number};
use crate::{db::StoreError, sessions::used::Lasted};

impl Books<'_> {
    /// Takes it out of what the subscribers have. Says whether edges are to be told.
    #[tracing::instrument(name = "db.entitlement.use", skip_all, fields(edge.id = %self.edge), err)]
    pub(in crate::sessions) async fn use_up(
        &mut self,
        lasted: &[Lasted],
    ) -> Result<bool, StoreError> {
        if lasted.is_empty() {
            return Ok(false);
        }
        let row = sqlx::query!(
            r#"SELECT use_entitlements($1, $2, $3, $4) AS "used_up!""#,
            self.edge.as_uuid(),
            &lasted.iter().map(|one| *one.session.as_uuid()).collect::<Vec<_>>(),
            &lasted.iter().map(|one| number(one.bytes)).collect::<Vec<_>>(),
            lasted.iter().map(|one| one.at.to_sqlx()).collect::<Vec<_>>() as _
        )
        .fetch_one(&mut *self.conn)
        .await?;
        Ok(row.used_up)
    }
}
