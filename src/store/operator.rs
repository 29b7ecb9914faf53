//! Operators, as their tokens last named them.

use chrono::{DateTime, Utc};
use diesel::{ExpressionMethods as _, OptionalExtension as _, QueryDsl as _};
use diesel_async::RunQueryDsl;

use super::{
    database::Db,
    error::Result,
    fragment::Condition,
    moment::At,
    rows::storable_or_none,
    schema::operators,
    transaction::{both, rows},
};
use crate::domain::id::{OperatorId, SiteId};

/// Keeps an operator's name. Writes only where it is new or another one.
pub async fn note(db: &Db, site: SiteId, operator: OperatorId, name: Option<&str>, now: DateTime<Utc>) -> Result<()> {
    let name = storable_or_none(name);
    let name = name.as_deref();
    let conn = &mut db.reader().await?;
    let stored: Option<Option<String>> = both!(
        conn,
        operators::table.find((site.get(), operator.0)).select(operators::name).get_result(conn).await.optional()
    )?;
    if stored.is_some_and(|stored| stored.as_deref() == name) {
        return Ok(());
    }
    let conn = &mut db.writer().await?;
    both!(
        conn,
        diesel::insert_into(operators::table)
            .values((
                operators::site_id.eq(site.get()),
                operators::operator_id.eq(operator.0),
                operators::name.eq(name),
                operators::noted_at.eq(At(now)),
            ))
            .on_conflict((operators::site_id, operators::operator_id))
            .do_update()
            .set((operators::name.eq(name), operators::noted_at.eq(At(now))))
            .execute(conn)
            .await
    )?;
    Ok(())
}

/// Those of these operators that the site knows, with their names, in no order.
pub async fn list_by_ids(db: &Db, site: SiteId, ids: &[OperatorId]) -> Result<Vec<(OperatorId, Option<String>)>> {
    let wanted = Condition::new("operators.site_id = ")
        .integer(site.get())
        .and("")
        .any_integer("operators.operator_id", ids.iter().map(|id| id.0).collect());
    let conn = &mut db.reader().await?;
    let rows: Vec<(i64, Option<String>)> =
        rows!(conn, operators::table.filter(wanted).select((operators::operator_id, operators::name)))?;
    Ok(rows.into_iter().map(|(id, name)| (OperatorId(id), name)).collect())
}
