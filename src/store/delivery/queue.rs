//! The queue: which deliveries are due, and when the next will be.
//!
//! Both questions go from connection to connection by an index, and look at a few rows of each: the
//! backlog of one that is held, slow or failing costs the others nothing.

use chrono::{DateTime, Utc};
use diesel_async::RunQueryDsl;

use crate::{
    domain::id::ConnectionId,
    store::{database::Db, error::Result, fragment::Statement, rows::Time, transaction::both},
};

/// The connections that have queued deliveries, found one after another.
pub(super) const WAITING: &str = "WITH RECURSIVE waiting (connection_id) AS (\
    SELECT min(first.connection_id) FROM deliveries AS first WHERE first.status = 'queued' \
    UNION ALL SELECT (SELECT min(more.connection_id) FROM deliveries AS more \
    WHERE more.status = 'queued' AND more.connection_id > waiting.connection_id) \
    FROM waiting WHERE waiting.connection_id IS NOT NULL)";

const ACTIVE: &str = ", c.not_before AS not_before FROM waiting CROSS JOIN connections AS c WHERE c.id = waiting.connection_id AND c.state = 'active' AND c.switched_off_at IS NULL AND NOT EXISTS \
     (SELECT 1 FROM renewals AS r WHERE r.connection_id = c.id AND r.closing_since IS NOT NULL)";

/// The ids of deliveries that may be tried now, fairest first: the sites take turns, and within a site
/// its connections. On PostgreSQL their rows are locked, and those that another worker has locked are
/// passed over.
pub(super) fn due(now: DateTime<Utc>, limit: u32, per_connection: u32, busy: &[ConnectionId]) -> Statement {
    Statement::new(WAITING)
        .sql(
            ", candidates AS (SELECT d.id, d.site_id, d.next_attempt_at, \
             CASE WHEN c.ordered_delivery THEN 1 ELSE ",
        )
        .sql(per_connection.to_string())
        .sql(" END - (SELECT count(*) FROM deliveries AS l WHERE l.connection_id = c.id AND l.lease_until > ")
        .moment(now)
        .sql(
            ") AS room, row_number() OVER (PARTITION BY d.connection_id ORDER BY d.next_attempt_at, d.id) AS place \
             FROM waiting CROSS JOIN connections AS c",
        )
        .each(
            " CROSS JOIN deliveries AS d ON d.id IN (SELECT x.id",
            " CROSS JOIN LATERAL (SELECT x.id, x.site_id, x.connection_id, x.next_attempt_at",
        )
        .sql(
            " FROM deliveries AS x WHERE x.connection_id = c.id AND x.status = 'queued' \
             AND (NOT c.ordered_delivery OR x.id = (SELECT min(o.id) FROM deliveries AS o \
             WHERE o.connection_id = c.id AND o.status = 'queued')) AND x.next_attempt_at <= ",
        )
        .moment(now)
        .sql(" AND (x.lease_until IS NULL OR x.lease_until <= ")
        .moment(now)
        .sql(format!(") ORDER BY x.next_attempt_at, x.id LIMIT {per_connection})"))
        .each("", " AS d")
        .sql(
            " WHERE c.id = waiting.connection_id AND c.state = 'active' AND c.switched_off_at IS NULL AND NOT EXISTS \
     (SELECT 1 FROM renewals AS r WHERE r.connection_id = c.id AND r.closing_since IS NOT NULL) \
     AND (c.not_before IS NULL OR c.not_before <= ",
        )
        .moment(now)
        .sql(") AND NOT (")
        .any_integer("c.id", busy.iter().map(|id| id.0).collect())
        .sql(
            ")), turns AS (SELECT candidates.id, candidates.next_attempt_at, row_number() OVER \
             (PARTITION BY candidates.site_id ORDER BY candidates.place, candidates.next_attempt_at, candidates.id) \
             AS turn FROM candidates WHERE candidates.place <= candidates.room) \
             SELECT taken.id AS number FROM turns CROSS JOIN deliveries AS taken WHERE taken.id = turns.id \
             AND taken.status = 'queued' AND (taken.lease_until IS NULL OR taken.lease_until <= ",
        )
        .moment(now)
        .sql(format!(") ORDER BY turns.turn, turns.next_attempt_at, taken.id LIMIT {limit}"))
        .each("", " FOR UPDATE OF taken SKIP LOCKED")
}

/// The earliest time at which [`super::claim`] could find something: a due time, or the end of a lease.
/// Held deliveries do not count. It knows nothing of the caller's own limits: a time that has passed
/// while a claim gives nothing means that one of the attempts in hand has to end first.
pub async fn next_due(db: &Db, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>> {
    let query = Statement::new(WAITING)
        .sql(
            " SELECT min(CASE WHEN moments.not_before > moments.at THEN moments.not_before ELSE moments.at END) AS at FROM (SELECT (SELECT x.next_attempt_at FROM deliveries AS x \
             WHERE x.connection_id = c.id AND x.status = 'queued' AND (x.lease_until IS NULL OR x.lease_until <= ",
        )
        .moment(now)
        .sql(") ORDER BY x.next_attempt_at LIMIT 1) AS at")
        .sql(ACTIVE)
        .sql(
            " AND NOT c.ordered_delivery UNION ALL SELECT (SELECT min(l.lease_until) FROM deliveries AS l \
             WHERE l.connection_id = c.id AND l.lease_until > ",
        )
        .moment(now)
        .sql(") AS at")
        .sql(ACTIVE)
        .sql(
            " AND NOT c.ordered_delivery UNION ALL SELECT coalesce((SELECT max(l.lease_until) FROM deliveries AS l \
             WHERE l.connection_id = c.id AND l.lease_until > ",
        )
        .moment(now)
        .sql(
            "), (SELECT o.next_attempt_at FROM deliveries AS o WHERE o.connection_id = c.id AND o.status = 'queued' \
             ORDER BY o.id LIMIT 1)) AS at",
        )
        .sql(ACTIVE)
        .sql(" AND c.ordered_delivery) AS moments");
    let conn = &mut db.reader().await?;
    let found: Time = both!(conn, query.get_result(conn).await)?;
    Ok(found.at.map(DateTime::from))
}
