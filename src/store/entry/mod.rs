//! The delivery log: one row for each attempt, only ever added.

mod list;

use diesel::{
    ExpressionMethods as _, Insertable, QueryDsl as _, Queryable, Selectable, SelectableHelper as _, sql_types::Bool,
};
use diesel_async::RunQueryDsl;

pub(super) use self::list::retryable_matching;
pub use self::list::{count, list};
use crate::domain::{
    delivery::{DeliveryEntry, DeliveryFailure, DeliveryOutcome},
    id::{ConnectionId, DeliveryId, EntryId, SiteId},
};
use crate::store::{
    database::{Conn, Db},
    delivery::{Attempt, DeliveryRow},
    error::Result,
    fragment::{Condition, Fragment},
    moment::At,
    rows::{count as counted, storable_or_none, word, word_or_none},
    schema::delivery_entries,
    transaction::{both, rows},
};

#[derive(Queryable, Selectable)]
#[diesel(table_name = delivery_entries)]
struct Row {
    id: i64,
    delivery_id: i64,
    connection_id: i64,
    connection_name: String,
    connector_slug: String,
    attempt: i32,
    module: String,
    event_type: String,
    event_identifier: String,
    outcome: String,
    failure: Option<String>,
    vendor_response_code: Option<i32>,
    vendor_message: Option<String>,
    latency_ms: Option<i64>,
    attempted_at: At,
    retry_of: Option<i64>,
}

impl Row {
    fn entry(self, retryable: bool) -> Result<DeliveryEntry> {
        Ok(DeliveryEntry {
            id: EntryId(self.id),
            delivery: DeliveryId(self.delivery_id),
            connection: ConnectionId(self.connection_id),
            connection_name: self.connection_name,
            connector_slug: self.connector_slug,
            attempt: counted(i64::from(self.attempt))?,
            module: self.module,
            event_type: self.event_type,
            event_identifier: self.event_identifier,
            outcome: word(&self.outcome, DeliveryOutcome::parse)?,
            failure: word_or_none(self.failure.as_deref(), DeliveryFailure::parse)?,
            vendor_response_code: self.vendor_response_code.map(|code| counted(i64::from(code))).transpose()?,
            vendor_message: self.vendor_message,
            latency_ms: self.latency_ms.map(counted).transpose()?,
            attempted_at: self.attempted_at.0,
            retry_of: self.retry_of.map(EntryId),
            retryable,
        })
    }
}

/// Whether an operator can try an entry's delivery once more: it is the last of its delivery and failed,
/// the payload is kept, and the connection is there.
fn retryable() -> Fragment<Bool> {
    Fragment::new(RETRYABLE)
}

const RETRYABLE: &str = "(delivery_entries.outcome = 'failed' AND EXISTS (SELECT 1 FROM deliveries AS d \
         WHERE d.id = delivery_entries.delivery_id AND d.last_entry_id = delivery_entries.id AND d.status = 'failed' \
         AND d.payload IS NOT NULL AND EXISTS (SELECT 1 FROM connections AS c WHERE c.id = d.connection_id)))";

/// An attempt that is to be logged.
#[derive(Insertable)]
#[diesel(table_name = delivery_entries)]
pub(super) struct NewEntry<'a> {
    site_id: i64,
    delivery_id: i64,
    connection_id: i64,
    connection_name: &'a str,
    connector_slug: &'a str,
    attempt: i32,
    module: &'a str,
    event_type: &'a str,
    event_identifier: &'a str,
    event_identifier_folded: &'a str,
    outcome: &'a str,
    failure: Option<&'a str>,
    vendor_response_code: Option<i32>,
    vendor_message: Option<String>,
    latency_ms: Option<i64>,
    attempted_at: At,
    retry_of: Option<i64>,
    retry_key: Option<&'a str>,
}

impl<'a> NewEntry<'a> {
    /// The next attempt of a delivery.
    pub(super) fn of(row: &'a DeliveryRow, site: SiteId, attempt: &'a Attempt, outcome: DeliveryOutcome) -> Self {
        Self {
            site_id: site.get(),
            delivery_id: row.id,
            connection_id: row.connection_id,
            connection_name: &row.connection_name,
            connector_slug: &row.connector_slug,
            attempt: row.attempts + 1,
            module: &row.module,
            event_type: &row.event_type,
            event_identifier: &row.event_identifier,
            event_identifier_folded: &row.event_identifier_folded,
            outcome: outcome.as_str(),
            failure: attempt.failure.map(DeliveryFailure::as_str),
            vendor_response_code: attempt.vendor_response_code.map(i32::from),
            vendor_message: storable_or_none(attempt.vendor_message.as_deref()),
            latency_ms: attempt.latency_ms.map(i64::from),
            attempted_at: At(attempt.attempted_at),
            retry_of: row.retry_of,
            retry_key: row.retry_key.as_deref(),
        }
    }
}

/// Writes an entry in a transaction. Whether it is retryable is for the caller to say, who knows what
/// becomes of the delivery.
pub(super) async fn write(conn: &mut Conn, new: NewEntry<'_>) -> Result<DeliveryEntry> {
    let row: Row = both!(
        conn,
        diesel::insert_into(delivery_entries::table).values(new).returning(Row::as_returning()).get_result(conn).await
    )?;
    row.entry(false)
}

/// One entry of the site's log.
pub async fn find(db: &Db, site: SiteId, id: EntryId) -> Result<Option<DeliveryEntry>> {
    read(&mut db.reader().await?, site, id).await
}

/// One entry of the site's log, in a transaction.
pub(super) async fn read(conn: &mut Conn, site: SiteId, id: EntryId) -> Result<Option<DeliveryEntry>> {
    Ok(load(conn, of_site(site).and("delivery_entries.id = ").integer(id.0)).await?.pop())
}

/// The entry that a retry of `entry` with this key has made.
pub(super) async fn read_retry(
    conn: &mut Conn,
    site: SiteId,
    entry: EntryId,
    key: &str,
) -> Result<Option<DeliveryEntry>> {
    let made = of_site(site)
        .and("delivery_entries.retry_of = ")
        .integer(entry.0)
        .and("delivery_entries.retry_key = ")
        .text(key);
    Ok(load(conn, made).await?.pop())
}

/// Those of these entries that the site has, oldest first.
pub async fn list_by_ids(db: &Db, site: SiteId, ids: &[EntryId]) -> Result<Vec<DeliveryEntry>> {
    let wanted = of_site(site).and("").any_integer("delivery_entries.id", ids.iter().map(|id| id.0).collect());
    load(&mut db.reader().await?, wanted).await
}

/// The entries of these deliveries, oldest first.
pub(super) async fn list_by_deliveries(db: &Db, site: SiteId, ids: &[DeliveryId]) -> Result<Vec<DeliveryEntry>> {
    let ids = ids.iter().map(|id| id.0).collect();
    let wanted = of_site(site).and("").any_integer("delivery_entries.delivery_id", ids);
    load(&mut db.reader().await?, wanted).await
}

fn of_site(site: SiteId) -> Condition {
    Condition::new("delivery_entries.site_id = ").integer(site.get())
}

async fn load(conn: &mut Conn, wanted: Condition) -> Result<Vec<DeliveryEntry>> {
    let rows: Vec<(Row, bool)> = rows!(
        conn,
        delivery_entries::table
            .filter(wanted)
            .order(delivery_entries::id.asc())
            .select((Row::as_select(), retryable()))
    )?;
    rows.into_iter().map(|(row, retryable)| row.entry(retryable)).collect()
}
