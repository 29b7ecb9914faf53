//! Readings: what the lists, pages and loaders of the API are made of. Each is a fixed number of queries.

use chrono::TimeDelta;

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
        statistics::{Cell, ModuleUsage, Span, hour_of},
    },
    store::{self, StoreError},
};

/// How far back the use of a connection by modules is told.
const USAGE_OF: TimeDelta = TimeDelta::days(30);
/// The delivery log is counted up to here.
pub const LOG_COUNT_CAP: u32 = 10_000;

/// A page as the store gave it. A cursor of this list that was tampered with is the caller's fault.
fn listed<T>(page: store::Result<T>, doing: &'static str) -> Result<T, Failure> {
    match page {
        Err(StoreError::PlaceMismatch) => {
            Err(Failure::bad_input("after", "or before is not a cursor of this list in this order"))
        }
        other => other.or_internal(doing),
    }
}

impl Gateway {
    /// One page of the site's connections.
    pub async fn list_connections(
        &self,
        site: SiteId,
        filter: &ConnectionFilter,
        order: Order<ConnectionOrderField>,
        page: &PageRequest<Place>,
    ) -> Result<Page<Placed<Connection>>, Failure> {
        listed(Box::pin(store::connection::list(&self.db, site, filter, order, page)).await, "listing connections")
    }

    /// How many connections a filter finds.
    pub async fn count_connections(&self, site: SiteId, filter: &ConnectionFilter) -> Result<i64, Failure> {
        store::connection::count(&self.db, site, filter).await.or_internal("counting connections")
    }

    /// The connections of these ids, in any order; those that are not of this site are missing.
    pub async fn connections(&self, site: SiteId, ids: &[ConnectionId]) -> Result<Vec<Connection>, Failure> {
        Box::pin(store::connection::list_by_ids(&self.db, site, ids)).await.or_internal("reading connections")
    }

    /// One page of a connection's state history, newest first.
    pub async fn state_history(
        &self,
        site: SiteId,
        id: ConnectionId,
        page: &PageRequest<Place>,
    ) -> Result<Page<Placed<StateHistoryEntry>>, Failure> {
        listed(Box::pin(store::history::list(&self.db, site, id, page)).await, "reading the state history")
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
        Box::pin(store::delivery::list_by_ids(&self.db, site, ids)).await.or_internal("reading deliveries")
    }

    /// All attempts of these deliveries, oldest first.
    pub async fn entries_of(&self, site: SiteId, ids: &[DeliveryId]) -> Result<Vec<DeliveryEntry>, Failure> {
        Box::pin(store::delivery::entries_of(&self.db, site, ids))
            .await
            .or_internal("reading the attempts of deliveries")
    }

    /// The log's rows of these ids, in any order.
    pub async fn entries(&self, site: SiteId, ids: &[EntryId]) -> Result<Vec<DeliveryEntry>, Failure> {
        Box::pin(store::entry::list_by_ids(&self.db, site, ids)).await.or_internal("reading the delivery log")
    }

    /// How many events these connections have accepted and neither delivered nor failed; none is missing.
    pub async fn pending_counts(
        &self,
        site: SiteId,
        ids: &[ConnectionId],
    ) -> Result<Vec<(ConnectionId, i64)>, Failure> {
        Box::pin(store::delivery::pending_counts(&self.db, site, ids)).await.or_internal("counting pending deliveries")
    }

    /// The attempts of these connections in these hours, counted; a connection without any is missing.
    pub async fn statistics(
        &self,
        site: SiteId,
        ids: &[ConnectionId],
        span: Span,
    ) -> Result<Vec<(ConnectionId, Cell)>, Failure> {
        Box::pin(store::rollup::cells(&self.db, site, ids, span)).await.or_internal("reading the statistics")
    }

    /// Which modules have sent events through these connections in the last 30 days, by name.
    pub async fn usage(&self, site: SiteId, ids: &[ConnectionId]) -> Result<Vec<(ConnectionId, ModuleUsage)>, Failure> {
        let from = hour_of(self.now() - USAGE_OF);
        Box::pin(store::rollup::usage(&self.db, site, ids, from)).await.or_internal("reading the modules' usage")
    }

    /// One page of the site's delivery log.
    pub async fn delivery_log(
        &self,
        site: SiteId,
        filter: &DeliveryFilter,
        order: Order<DeliveryOrderField>,
        page: &PageRequest<Place>,
    ) -> Result<Page<Placed<DeliveryEntry>>, Failure> {
        listed(Box::pin(store::entry::list(&self.db, site, filter, order, page)).await, "listing the delivery log")
    }

    /// How many rows of the log a filter finds, up to [`LOG_COUNT_CAP`]; true where there are more.
    pub async fn count_delivery_log(&self, site: SiteId, filter: &DeliveryFilter) -> Result<(u32, bool), Failure> {
        Box::pin(store::entry::count(&self.db, site, filter, LOG_COUNT_CAP))
            .await
            .or_internal("counting the delivery log")
    }

    /// One page of the site's activity log, newest first.
    pub async fn activity_log(
        &self,
        site: SiteId,
        filter: &ActivityFilter,
        page: &PageRequest<Place>,
    ) -> Result<Page<Placed<ActivityEntry>>, Failure> {
        listed(Box::pin(store::activity::list(&self.db, site, filter, page)).await, "listing the activity log")
    }

    /// The activity log's rows of these ids, in any order.
    pub async fn activity_entries(&self, site: SiteId, ids: &[ActivityId]) -> Result<Vec<ActivityEntry>, Failure> {
        store::activity::list_by_ids(&self.db, site, ids).await.or_internal("reading the activity log")
    }
}
