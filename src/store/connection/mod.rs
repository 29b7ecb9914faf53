//! Connection records: made, listed, changed by what is observed, removed.

mod change;
mod create;
mod grant;
mod list;
mod observe;
mod remove;
mod row;

use diesel::{ExpressionMethods as _, OptionalExtension as _, QueryDsl as _, SelectableHelper as _};
use diesel_async::RunQueryDsl;

use self::row::ShownRow;
pub use self::{
    change::{Configured, configure, rename},
    create::{NewConnection, insert},
    grant::{Granted, Regranted, Settled, regrant, settle_renewal},
    list::{count, list},
    observe::{Observed, Report, observe},
    remove::{Removed, remove, reopen},
};
pub(super) use self::{
    observe::{Change, apply, end_failure_run},
    row::{ConnectionRow, lock, lock_for_dispatch, save},
};
use super::{
    database::Db,
    error::Result,
    fragment::Condition,
    schema::connections,
    transaction::{both, rows},
};
use crate::domain::{
    connection::Connection,
    id::{ConnectionId, SiteId},
};

/// One connection of the site.
pub async fn find(db: &Db, site: SiteId, id: ConnectionId) -> Result<Option<Connection>> {
    let conn = &mut db.reader().await?;
    let row: Option<ShownRow> = both!(
        conn,
        connections::table
            .filter(connections::id.eq(id.0))
            .filter(connections::site_id.eq(site.get()))
            .select(ShownRow::as_select())
            .get_result(conn)
            .await
            .optional()
    )?;
    row.map(Connection::try_from).transpose()
}

/// Those of these connections that the site has, in no order.
pub async fn list_by_ids(db: &Db, site: SiteId, ids: &[ConnectionId]) -> Result<Vec<Connection>> {
    let wanted = Condition::new("connections.site_id = ")
        .integer(site.get())
        .and("")
        .any_integer("connections.id", ids.iter().map(|id| id.0).collect());
    let conn = &mut db.reader().await?;
    let rows: Vec<ShownRow> = rows!(conn, connections::table.filter(wanted).select(ShownRow::as_select()))?;
    rows.into_iter().map(Connection::try_from).collect()
}

/// How many of the site's other connections by these connectors hold a grant for this account, or may hold it: one
/// whose account is not known counts.
pub async fn sharing(
    db: &Db,
    site: SiteId,
    slugs: &[String],
    account: Option<&str>,
    except: Option<ConnectionId>,
) -> Result<i64> {
    let mut wanted = Condition::new("connections.site_id = ")
        .integer(site.get())
        .and("connections.auth_flow = ")
        .text("oauth")
        .and("")
        .any_text("connections.connector_slug", slugs);
    if let Some(account) = account {
        wanted = wanted
            .and("(connections.vendor_account_id IS NULL OR connections.vendor_account_id = ")
            .text(account)
            .sql(")");
    }
    if let Some(except) = except {
        // Of several that are being given up at once the last revokes.
        wanted =
            wanted.and("connections.id <> ").integer(except.0).and("NOT (connections.id < ").integer(except.0).sql(
                " AND EXISTS (SELECT 1 FROM renewals AS r WHERE r.connection_id = connections.id \
                 AND r.closing_since IS NOT NULL))",
            );
    }
    let conn = &mut db.reader().await?;
    Ok(both!(conn, connections::table.filter(wanted).count().get_result(conn).await)?)
}
