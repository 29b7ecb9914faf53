//! A delivery's row.

use chrono::DateTime;
use diesel::{
    Queryable, Selectable,
    sql_types::{Nullable, Text},
};

use crate::{
    domain::{
        connection::ConnectionState,
        delivery::{Delivery, DeliveryStatus, DeliveryWait},
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

/// The state of a delivery's connection, or that its family is switched off; null where it is gone.
pub(super) fn connection_state() -> Fragment<Nullable<Text>> {
    Fragment::new(
        "(SELECT CASE WHEN owner.switched_off_at IS NULL THEN owner.state ELSE 'switched_off' END \
         FROM connections AS owner WHERE owner.id = deliveries.connection_id)",
    )
}

impl DeliveryRow {
    /// The delivery, given what [`connection_state`] says: queued and not active means held.
    pub(super) fn delivery(&self, connection_state: Option<&str>) -> Result<Delivery> {
        let stored = word(&self.status, DeliveryStatus::parse)?;
        let waits = word_or_none(self.waiting_for.as_deref(), DeliveryWait::parse)?;
        let held = stored == DeliveryStatus::Queued
            && connection_state.is_some_and(|state| state != ConnectionState::Active.as_str());
        let (status, waiting_for) =
            if held { (DeliveryStatus::Held, Some(DeliveryWait::Connection)) } else { (stored, waits) };
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
