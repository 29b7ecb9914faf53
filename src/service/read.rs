//! Readings: what the lists, pages and loaders of the API are made of. Each is a fixed number of queries.

use super::{
    gateway::Gateway,
    types::{Failure, OrInternal as _},
};
use crate::{
    domain::{
        activity::ActivityEntry,
        connection::{Connection, StateHistoryEntry},
        delivery::{Delivery, DeliveryEntry},
        id::{ActivityId, ConnectionId, DeliveryId, EntryId, OperatorId, SiteId},
        page::{Page, PageRequest, Place},
        query::{
            ActivityFilter, ConnectionFilter, ConnectionOrderField, DeliveryFilter, DeliveryOrderField, Order, Placed,
        },
    },
    store,
};

/// The delivery log is counted up to here.
pub const LOG_COUNT_CAP: u32 = 10_000;

impl Gateway {
    /// One page of the site's connections.
    pub async fn list_connections(
        &self,
        site: SiteId,
        filter: &ConnectionFilter,
        order: Order<ConnectionOrderField>,
        page: &PageRequest<Place>,
    ) -> Result<Page<Placed<Connection>>, Failure> {
        store::connection::list(&self.db, site, filter, order, page).await.or_internal("listing connections")
    }

    /// How many connections a filter finds.
    pub async fn count_connections(&self, site: SiteId, filter: &ConnectionFilter) -> Result<i64, Failure> {
        store::connection::count(&self.db, site, filter).await.or_internal("counting connections")
    }

    /// The connections of these ids, in any order; those that are not of this site are missing.
    pub async fn connections(&self, site: SiteId, ids: &[ConnectionId]) -> Result<Vec<Connection>, Failure> {
        store::connection::list_by_ids(&self.db, site, ids).await.or_internal("reading connections")
    }

    /// One page of a connection's state history, newest first.
    pub async fn state_history(
        &self,
        site: SiteId,
        id: ConnectionId,
        page: &PageRequest<Place>,
    ) -> Result<Page<Placed<StateHistoryEntry>>, Failure> {
        store::history::list(&self.db, site, id, page).await.or_internal("reading the state history")
    }

    /// The names of these operators, as their tokens last gave them.
    pub async fn operators(
        &self,
        site: SiteId,
        ids: &[OperatorId],
    ) -> Result<Vec<(OperatorId, Option<String>)>, Failure> {
        store::operator::list_by_ids(&self.db, site, ids).await.or_internal("reading operators")
    }

    /// The deliveries of these ids, in any order.
    pub async fn deliveries(&self, site: SiteId, ids: &[DeliveryId]) -> Result<Vec<Delivery>, Failure> {
        store::delivery::list_by_ids(&self.db, site, ids).await.or_internal("reading deliveries")
    }

    /// All attempts of these deliveries, oldest first.
    pub async fn entries_of(&self, site: SiteId, ids: &[DeliveryId]) -> Result<Vec<DeliveryEntry>, Failure> {
        store::delivery::entries_of(&self.db, site, ids).await.or_internal("reading the attempts of deliveries")
    }

    /// The log's rows of these ids, in any order.
    pub async fn entries(&self, site: SiteId, ids: &[EntryId]) -> Result<Vec<DeliveryEntry>, Failure> {
        store::entry::list_by_ids(&self.db, site, ids).await.or_internal("reading the delivery log")
    }

    /// How many events these connections have accepted and neither delivered nor failed; none is missing.
    pub async fn pending_counts(
        &self,
        site: SiteId,
        ids: &[ConnectionId],
    ) -> Result<Vec<(ConnectionId, i64)>, Failure> {
        store::delivery::pending_counts(&self.db, site, ids).await.or_internal("counting pending deliveries")
    }

    /// One page of the site's delivery log.
    pub async fn delivery_log(
        &self,
        site: SiteId,
        filter: &DeliveryFilter,
        order: Order<DeliveryOrderField>,
        page: &PageRequest<Place>,
    ) -> Result<Page<Placed<DeliveryEntry>>, Failure> {
        store::entry::list(&self.db, site, filter, order, page).await.or_internal("listing the delivery log")
    }

    /// How many rows of the log a filter finds, up to [`LOG_COUNT_CAP`]; true where there are more.
    pub async fn count_delivery_log(&self, site: SiteId, filter: &DeliveryFilter) -> Result<(u32, bool), Failure> {
        store::entry::count(&self.db, site, filter, LOG_COUNT_CAP).await.or_internal("counting the delivery log")
    }

    /// One page of the site's activity log, newest first.
    pub async fn activity_log(
        &self,
        site: SiteId,
        filter: &ActivityFilter,
        page: &PageRequest<Place>,
    ) -> Result<Page<Placed<ActivityEntry>>, Failure> {
        store::activity::list(&self.db, site, filter, page).await.or_internal("listing the activity log")
    }

    /// The activity log's rows of these ids, in any order.
    pub async fn activity_entries(&self, site: SiteId, ids: &[ActivityId]) -> Result<Vec<ActivityEntry>, Failure> {
        store::activity::list_by_ids(&self.db, site, ids).await.or_internal("reading the activity log")
    }
}
