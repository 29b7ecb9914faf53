//! A delivery's row.

use chrono::DateTime;
use diesel::{
    Queryable, Selectable,
    sql_types::{Nullable, Text},
};

use crate::{
    domain::{
        connection::ConnectionState,
        delivery::{AT_ONCE, Delivery, DeliveryStatus, DeliveryWait},
        id::{ConnectionId, DeliveryId},
    },
    store::{
        error::Result,
        fragment::Fragment,
        moment::At,
        rows::{count, word, word_or_none},
        schema::deliveries,
    },
};

#[derive(Clone, Queryable, Selectable)]
#[diesel(table_name = deliveries)]
pub(in crate::store) struct DeliveryRow {
    pub(in crate::store) id: i64,
    pub(in crate::store) site_id: i64,
    pub(in crate::store) connection_id: i64,
    pub(in crate::store) connection_name: String,
    pub(in crate::store) connector_slug: String,
    pub(in crate::store) module: String,
    pub(in crate::store) event_type: String,
    pub(in crate::store) event_identifier: String,
    pub(in crate::store) event_identifier_folded: String,
    pub(in crate::store) message_id: String,
    pub(in crate::store) status: String,
    pub(in crate::store) attempts: i32,
    pub(in crate::store) accepted_at: At,
    pub(in crate::store) next_attempt_at: Option<At>,
    pub(in crate::store) waiting_for: Option<String>,
    pub(in crate::store) ended_at: Option<At>,
    pub(in crate::store) lease_token: Option<i64>,
    pub(in crate::store) retry_of: Option<i64>,
    pub(in crate::store) retry_key: Option<String>,
    pub(in crate::store) last_entry_id: Option<i64>,
    pub(in crate::store) retry_batch: Option<i64>,
}

/// What stands before a delivery: the state of its connection, or that its family is switched off; of a queued one of
/// an active connection, whether it waits for an older one or for a place. Null where the connection is gone.
pub(super) fn before_it() -> Fragment<Nullable<Text>> {
    Fragment::new(format!(
        "(SELECT CASE WHEN owner.switched_off_at IS NOT NULL THEN 'switched_off' \
         WHEN owner.state <> 'active' OR deliveries.status <> 'queued' OR deliveries.lease_token IS NOT NULL \
         THEN owner.state \
         WHEN owner.not_before IS NOT NULL THEN '{LATER}' \
         WHEN owner.ordered_delivery AND EXISTS (SELECT 1 FROM deliveries AS older \
         WHERE older.connection_id = owner.id AND older.status = 'queued' AND older.id < deliveries.id) \
         THEN '{BEHIND}' \
         WHEN (SELECT count(*) FROM (SELECT 1 AS one FROM deliveries AS other WHERE other.connection_id = owner.id \
         AND other.lease_until IS NOT NULL LIMIT {AT_ONCE}) AS others) >= {AT_ONCE} THEN '{NO_PLACE}' \
         ELSE owner.state END FROM connections AS owner WHERE owner.id = deliveries.connection_id)"
    ))
}

const BEHIND: &str = "behind an older one";
const LATER: &str = "asked for later";
const NO_PLACE: &str = "no place";

impl DeliveryRow {
    /// The delivery, given what [`before_it`] says, or the state of its connection alone: queued and not active means
    /// held.
    pub(super) fn delivery(&self, before: Option<&str>) -> Result<Delivery> {
        let stored = word(&self.status, DeliveryStatus::parse)?;
        let waits = word_or_none(self.waiting_for.as_deref(), DeliveryWait::parse)?;
        let (status, waiting_for) = match before {
            Some(BEHIND) => (stored, Some(DeliveryWait::Order)),
            // What waits for its time does so whatever else there is.
            Some(LATER) => (stored, waits.or(Some(DeliveryWait::RateLimit))),
            Some(NO_PLACE) => (stored, waits.or(Some(DeliveryWait::Concurrency))),
            Some(state) if stored == DeliveryStatus::Queued && state != ConnectionState::Active.as_str() => {
                (DeliveryStatus::Held, Some(DeliveryWait::Connection))
            }
            _ => (stored, waits),
        };
        Ok(Delivery {
            id: DeliveryId(self.id),
            connection: ConnectionId(self.connection_id),
            connection_name: self.connection_name.clone(),
            connector_slug: self.connector_slug.clone(),
            module: self.module.clone(),
            event_type: self.event_type.clone(),
            event_identifier: self.event_identifier.clone(),
            message_id: self.message_id.clone(),
            status,
            attempts: count(i64::from(self.attempts))?,
            accepted_at: self.accepted_at.0,
            next_attempt_at: self.next_attempt_at.map(DateTime::from),
            waiting_for,
            ended_at: self.ended_at.map(DateTime::from),
        })
    }
}
