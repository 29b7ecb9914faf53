//! Outbound events and the log of their attempts.

use async_graphql::{Context, Description, ID, InputObject, Object};

use super::{
    connection::ConnectionRecord,
    enums::{
        Capability, DeliveryFailure, DeliveryOrderField, DeliveryOutcome, DeliveryStatus, DeliveryWait, OrderDirection,
        all,
    },
    guard::{Guarded, guarded, guarded_some, requires},
    ids::{self, Named},
    page::{PageArguments, PageInfo, Rows, cursor, edge, nodes},
    scalars::{DateTime, Long},
    scope::SharedScope,
    sets::{DeliverySet, EntrySet, Row, rows},
};
use crate::{
    domain::{self, capability::Capability as Needs, id::ConnectionId, query},
    service::Failure,
};

/// One outbound event on its way through one connection.
#[derive(Clone, Description)]
pub struct Delivery(pub(super) Row<DeliverySet>);

impl Delivery {
    pub(super) fn one(scope: &SharedScope, delivery: domain::delivery::Delivery) -> Self {
        let mut rows = rows(DeliverySet::new(scope, vec![delivery]), 1);
        Self(rows.pop().expect("one row was put in"))
    }

    fn row(&self) -> &domain::delivery::Delivery {
        &self.0.set.rows[self.0.at]
    }

    fn scope(&self) -> &SharedScope {
        &self.0.set.scope
    }
}

#[Object(use_type_description)]
impl Delivery {
    pub(super) async fn id(&self) -> ID {
        Named::Delivery(self.row().id).to_id()
    }

    /// This and the next two stay when the connection is gone.
    async fn connection_id(&self) -> ID {
        Named::Connection(self.row().connection).to_id()
    }

    async fn connection_name(&self) -> &str {
        &self.row().connection_name
    }

    async fn connector_slug(&self) -> &str {
        &self.row().connector_slug
    }

    #[graphql(directive = requires::apply(Capability::ListConnections))]
    async fn connection(&self) -> Guarded<ConnectionRecord> {
        guarded(self.scope(), Needs::ListConnections, async {
            Ok(self.0.set.connections().await?.get(&self.row().connection).map(ConnectionRecord))
        })
        .await
    }

    /// The module that handed the event over.
    async fn originating_module(&self) -> &str {
        &self.row().module
    }

    async fn event_type(&self) -> &str {
        &self.row().event_type
    }

    async fn event_identifier(&self) -> &str {
        &self.row().event_identifier
    }

    async fn status(&self) -> DeliveryStatus {
        self.row().status.into()
    }

    async fn accepted_at(&self) -> DateTime {
        DateTime(self.row().accepted_at)
    }

    /// When the next attempt is due; null once it has ended.
    async fn next_attempt_at(&self) -> Option<DateTime> {
        self.row().next_attempt_at.map(DateTime)
    }

    /// What it waits for; null while nothing holds it back, and once it has ended.
    async fn waiting_for(&self) -> Option<DeliveryWait> {
        self.row().waiting_for.map(DeliveryWait::from)
    }

    /// All its attempts, the oldest first.
    #[graphql(directive = requires::apply(Capability::BrowseDeliveryLog))]
    async fn entries(&self) -> Guarded<Vec<DeliveryEntry>> {
        guarded_some(self.scope(), Needs::BrowseDeliveryLog, async {
            let entries = self.0.set.entries().await?.get(&self.row().id).cloned().unwrap_or_default();
            Ok(entries.into_iter().map(DeliveryEntry).collect())
        })
        .await
    }
}

/// One attempt: a row of the append-only delivery log.
#[derive(Clone, Description)]
pub struct DeliveryEntry(pub(super) Row<EntrySet>);

impl DeliveryEntry {
    pub(super) fn one(scope: &SharedScope, entry: domain::delivery::DeliveryEntry) -> Self {
        let mut rows = rows(EntrySet::new(scope, vec![entry]), 1);
        Self(rows.pop().expect("one row was put in"))
    }

    fn row(&self) -> &domain::delivery::DeliveryEntry {
        &self.0.set.rows[self.0.at]
    }

    fn scope(&self) -> &SharedScope {
        &self.0.set.scope
    }
}

#[Object(use_type_description)]
impl DeliveryEntry {
    pub(super) async fn id(&self) -> ID {
        Named::Entry(self.row().id).to_id()
    }

    async fn database_id(&self) -> Long {
        Long(self.row().id.0)
    }

    async fn delivery(&self) -> async_graphql::Result<Delivery> {
        let found = self.0.set.deliveries().await.map(|deliveries| deliveries.get(&self.row().delivery));
        found
            .and_then(|row| row.ok_or(Failure::NotFound("delivery")))
            .map(Delivery)
            .map_err(|failure| self.scope().error(failure))
    }

    /// This and the next three stay when the connection is gone.
    async fn connection_id(&self) -> ID {
        Named::Connection(self.row().connection).to_id()
    }

    async fn connection_database_id(&self) -> Long {
        Long(self.row().connection.0)
    }

    async fn connection_name(&self) -> &str {
        &self.row().connection_name
    }

    async fn connector_slug(&self) -> &str {
        &self.row().connector_slug
    }

    #[graphql(directive = requires::apply(Capability::ListConnections))]
    async fn connection(&self) -> Guarded<ConnectionRecord> {
        guarded(self.scope(), Needs::ListConnections, async {
            Ok(self.0.set.connections().await?.get(&self.row().connection).map(ConnectionRecord))
        })
        .await
    }

    /// Counts from 1.
    async fn attempt(&self) -> i32 {
        i32::try_from(self.row().attempt).unwrap_or(i32::MAX)
    }

    async fn originating_module(&self) -> &str {
        &self.row().module
    }

    async fn event_type(&self) -> &str {
        &self.row().event_type
    }

    async fn event_identifier(&self) -> &str {
        &self.row().event_identifier
    }

    async fn outcome(&self) -> DeliveryOutcome {
        self.row().outcome.into()
    }

    async fn failure(&self) -> Option<DeliveryFailure> {
        self.row().failure.map(DeliveryFailure::from)
    }

    /// Null where no answer came.
    async fn vendor_response_code(&self) -> Option<i32> {
        self.row().vendor_response_code.map(i32::from)
    }

    /// What the connector says of such an answer, and the start of the answer itself, secrets masked, at most 1 KiB.
    async fn vendor_message(&self) -> Option<&str> {
        self.row().vendor_message.as_deref()
    }

    /// Null where no call was made.
    async fn latency_ms(&self) -> Option<i32> {
        self.row().latency_ms.map(|ms| i32::try_from(ms).unwrap_or(i32::MAX))
    }

    async fn attempted_at(&self) -> DateTime {
        DateTime(self.row().attempted_at)
    }

    /// The failed entry that an operator retried with this one.
    async fn retry_of(&self) -> async_graphql::Result<Option<DeliveryEntry>> {
        let Some(id) = self.row().retry_of else { return Ok(None) };
        let found = self.0.set.retried().await.map_err(|failure| self.scope().error(failure))?;
        Ok(found.get(&id).map(DeliveryEntry))
    }

    /// Whether retryDelivery would take it: the last entry of its delivery, failed, its connection still there.
    async fn retryable(&self) -> bool {
        self.row().retryable
    }
}

/// Which rows of the delivery log. A field that is left out restricts nothing.
#[derive(InputObject, Default)]
pub struct DeliveryFilter {
    /// Also of connections since removed.
    connection_ids: Option<Vec<ID>>,
    outcomes: Option<Vec<DeliveryOutcome>>,
    failures: Option<Vec<DeliveryFailure>>,
    modules: Option<Vec<String>>,
    event_types: Option<Vec<String>>,
    event_identifier: Option<String>,
    /// Free text across event identifiers.
    search: Option<String>,
    /// Inclusive.
    attempted_from: Option<DateTime>,
    /// Exclusive.
    attempted_until: Option<DateTime>,
}

/// A filter whose ids have been read.
pub(super) struct ReadFilter(pub query::DeliveryFilter);

impl ReadFilter {
    /// Narrows it down to one connection.
    pub fn only(&mut self, connection: ConnectionId) {
        let asked = self.0.connections.take();
        let kept = asked.is_none_or(|ids| ids.contains(&connection)).then_some(connection);
        self.0.connections = Some(kept.into_iter().collect());
    }

    /// Whether an entry passes: for streams.
    pub fn admits(&self, entry: &domain::delivery::DeliveryEntry) -> bool {
        let filter = &self.0;
        let fold = domain::fold::fold;
        filter.connections.as_ref().is_none_or(|ids| ids.contains(&entry.connection))
            && filter.outcomes.as_ref().is_none_or(|outcomes| outcomes.contains(&entry.outcome))
            && filter.failures.as_ref().is_none_or(|all| entry.failure.is_some_and(|failure| all.contains(&failure)))
            && filter.modules.as_ref().is_none_or(|modules| modules.contains(&entry.module))
            && filter.event_types.as_ref().is_none_or(|types| types.contains(&entry.event_type))
            && filter.event_identifier.as_ref().is_none_or(|id| *id == entry.event_identifier)
            && filter.search.as_ref().is_none_or(|text| fold(&entry.event_identifier).contains(&fold(text)))
            && filter.attempted_from.is_none_or(|from| entry.attempted_at >= from)
            && filter.attempted_until.is_none_or(|until| entry.attempted_at < until)
    }
}

impl DeliveryFilter {
    /// Reads the ids.
    pub(super) fn read(self) -> Result<ReadFilter, Failure> {
        Ok(ReadFilter(query::DeliveryFilter {
            connections: ids::connections("filter.connectionIds", self.connection_ids)?,
            outcomes: all(self.outcomes),
            failures: all(self.failures),
            modules: self.modules,
            event_types: self.event_types,
            event_identifier: self.event_identifier,
            search: self.search,
            attempted_from: self.attempted_from.map(|time| time.0),
            attempted_until: self.attempted_until.map(|time| time.0),
        }))
    }
}

/// An order of the delivery log.
#[derive(InputObject)]
pub struct DeliveryOrder {
    field: DeliveryOrderField,
    #[graphql(default_with = "OrderDirection::Desc")]
    direction: OrderDirection,
}

edge!(DeliveryEntryEdge of DeliveryEntry);

/// A page of the delivery log.
#[derive(Description)]
pub struct DeliveryEntryConnection {
    rows: Rows<DeliveryEntry>,
    /// Counted only where it is asked for.
    count: Option<(u32, bool)>,
}

impl DeliveryEntryConnection {
    pub(super) async fn read(
        context: &Context<'_>,
        scope: &SharedScope,
        filter: query::DeliveryFilter,
        order_by: Option<DeliveryOrder>,
        arguments: PageArguments,
    ) -> Result<Self, Failure> {
        let order = match order_by {
            Some(order) => query::Order { field: order.field.into(), direction: order.direction.into() },
            None => {
                query::Order { field: query::DeliveryOrderField::AttemptedAt, direction: query::OrderDirection::Desc }
            }
        };
        let kind = format!("deliveries:{}:{}", order.field, order.direction);
        let request = arguments.read(&kind)?;
        let page = scope.gateway.delivery_log(scope.site(), &filter, order, &request).await?;
        let ahead = context.look_ahead();
        let counted = ahead.field("totalCount").exists() || ahead.field("totalCountCapped").exists();
        let count = if counted { Some(scope.gateway.count_delivery_log(scope.site(), &filter).await?) } else { None };
        let cursors: Vec<String> = page.rows.iter().map(|placed| cursor(&kind, &placed.place)).collect();
        let found: Vec<_> = page.rows.iter().map(|placed| placed.row.clone()).collect();
        let length = found.len();
        let entries = rows(EntrySet::new(scope, found), length).into_iter().map(DeliveryEntry);
        Ok(Self { rows: Rows::new(&page, entries.zip(cursors).collect()), count })
    }
}

#[Object(use_type_description)]
impl DeliveryEntryConnection {
    async fn edges(&self) -> Vec<DeliveryEntryEdge> {
        DeliveryEntryEdge::all(&self.rows)
    }

    async fn nodes(&self) -> Vec<DeliveryEntry> {
        nodes(&self.rows)
    }

    async fn page_info(&self) -> PageInfo {
        self.rows.info()
    }

    /// Counted up to 10,000; `totalCountCapped` says when there are more.
    async fn total_count(&self) -> i32 {
        self.count.map_or(0, |(count, _)| i32::try_from(count).unwrap_or(i32::MAX))
    }

    async fn total_count_capped(&self) -> bool {
        self.count.is_some_and(|(_, capped)| capped)
    }
}
