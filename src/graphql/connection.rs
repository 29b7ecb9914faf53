//! Connection records, their tests and their history.

use async_graphql::{Context, Description, ID, Object, SimpleObject};

use super::{
    actions::ActionAvailability,
    activity::ActivityEntryConnection,
    connection_input::{self, ConnectionFilter, ConnectionOrder},
    delivery::{DeliveryEntryConnection, DeliveryFilter, DeliveryOrder},
    enums::{AuthFlow, Capability, ConnectionState},
    guard::{Guarded, guarded_some, requires},
    history::{StateHistoryConnection, StateHistoryEntry},
    ids::Named,
    library::Connector,
    page::{PageArguments, PageInfo, Rows, edge, nodes},
    plain::{List, plain},
    scalars::{DateTime, Long},
    scope::SharedScope,
    sets::{ConnectionSet, Row, rows},
    statistics::{DeliveryStatistics, ModuleUsage, span},
    test_report::TestReport,
    viewer::Operator,
};
use crate::{
    domain::{capability::Capability as Needs, connection::Connection, encoded::Encoded, page::PageRequest, query},
    service::Failure,
};

/// A connector type and a sealed credential, of one site.
#[derive(Clone, Description)]
pub struct ConnectionRecord(pub(super) Row<ConnectionSet>);

impl ConnectionRecord {
    pub(super) fn one(scope: &SharedScope, connection: Connection) -> Self {
        let mut rows = rows(ConnectionSet::new(scope, vec![connection]), 1);
        Self(rows.pop().expect("one row was put in"))
    }

    fn row(&self) -> &Connection {
        &self.0.set.rows[self.0.at]
    }

    fn scope(&self) -> &SharedScope {
        &self.0.set.scope
    }

    /// A part of the row that is read where it is asked for.
    fn read<T>(&self, part: &Encoded<T>) -> async_graphql::Result<T> {
        part.read().ok_or_else(|| {
            tracing::error!(connection = %self.row().id, "a part of a connection's row cannot be read");
            self.scope().error(Failure::Internal)
        })
    }

    /// Whether it has not been granted all the scopes that it needs of these: for the filter of a stream.
    pub(super) fn lacks(&self, scopes: &[String]) -> bool {
        self.row().lacks(scopes).next().is_some()
    }
}

#[Object(use_type_description)]
impl ConnectionRecord {
    pub(super) async fn id(&self) -> ID {
        Named::Connection(self.row().id).to_id()
    }

    /// Stable across edits; never used again once the record is gone.
    async fn database_id(&self) -> Long {
        Long(self.row().id.0)
    }

    async fn connector(&self) -> Connector {
        Connector::of_record(self.scope(), &self.row().connector_slug)
    }

    /// The connector's own name unless the operator gave another.
    async fn display_name(&self) -> &str {
        &self.row().display_name
    }

    async fn state(&self) -> ConnectionState {
        self.row().state.into()
    }

    /// Why the state is what it is, in words for an operator; null while active.
    async fn state_reason(&self) -> Option<&str> {
        self.row().state_reason.as_deref()
    }

    async fn state_changed_at(&self) -> DateTime {
        DateTime(self.row().state_changed_at)
    }

    async fn auth_flow(&self) -> AuthFlow {
        self.row().auth_flow.into()
    }

    /// The account or workspace that the vendor named. Stable for each connection.
    async fn vendor_account_id(&self) -> Option<&str> {
        self.row().vendor_account_id.as_deref()
    }

    async fn vendor_account_name(&self) -> Option<&str> {
        self.row().vendor_account_name.as_deref()
    }

    async fn scopes_granted(&self) -> &[String] {
        &self.row().scopes_granted
    }

    /// For a scope picker: what the connector offers, what is held, and held ones that the manifest does not know
    /// (title = id).
    async fn scopes(&self) -> Vec<ConnectionScope> {
        let granted = &self.row().scopes_granted;
        let connector = self.scope().gateway.library().get(&self.row().connector_slug);
        let offered = connector.map(|connector| connector.scopes.as_slice()).unwrap_or_default();
        let known = offered.iter().map(|scope| ConnectionScope {
            id: scope.id.clone(),
            title: scope.title.clone(),
            granted: granted.contains(&scope.id),
            default: scope.default,
            sensitive: scope.sensitive,
        });
        let unknown = granted.iter().filter(|id| offered.iter().all(|scope| scope.id != **id));
        let unknown = unknown.map(|id| ConnectionScope {
            id: id.clone(),
            title: id.clone(),
            granted: true,
            default: false,
            sensitive: false,
        });
        known.chain(unknown).collect()
    }

    /// The settings that are no secret: an address, a region, a list. The query of an address stays sealed.
    fn configuration(&self) -> async_graphql::Result<Vec<ConfigurationValue>> {
        let connector = self.scope().gateway.library().get(&self.row().connector_slug);
        let fields = connector.and_then(|connector| connector.flow(self.row().auth_flow)).map(|flow| &flow.fields);
        let label = |name: &str| {
            let field = fields.and_then(|fields| fields.iter().find(|field| field.name == name));
            field.map_or_else(|| name.to_owned(), |field| field.label.clone())
        };
        let values = self.read(&self.row().configuration)?.into_iter();
        Ok(values.map(|(name, value)| ConfigurationValue { label: label(&name), name, value }).collect())
    }

    /// Where it delivers, for a list: `POST /events`. Never credentials, a query or a secret part of a path.
    async fn destination_label(&self) -> Option<&str> {
        self.row().destination_label.as_deref()
    }

    /// One at a time, in the order of acceptance.
    async fn ordered_delivery(&self) -> bool {
        self.row().ordered_delivery
    }

    /// When the access record runs out; null for credentials that do not.
    async fn expires_at(&self) -> Option<DateTime> {
        self.row().expires_at.map(DateTime)
    }

    fn last_test(&self) -> async_graphql::Result<Option<TestReport>> {
        self.row().last_test.as_ref().map(|test| self.read(test).map(TestReport)).transpose()
    }

    async fn last_delivery_at(&self) -> Option<DateTime> {
        self.row().last_delivery_at.map(DateTime)
    }

    /// Who initiated the connection.
    async fn operator_of_record(&self) -> async_graphql::Result<Operator> {
        let id = self.row().operator_of_record;
        let names = self.0.set.names().await.map_err(|failure| self.scope().error(failure))?;
        Ok(Operator { id, name: names.get(&id).cloned().flatten() })
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.row().created_at)
    }

    /// Moves on credential refresh, scope change, pause, resume, rename and configure.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.row().updated_at)
    }

    /// What the viewer can do with this connection now, and what stands in the way of the rest.
    async fn actions(&self) -> async_graphql::Result<Vec<ActionAvailability>> {
        let scope = self.scope();
        let closing = self.0.set.closing().await.map_err(|failure| scope.error(failure))?;
        let actions = scope.gateway.actions(&scope.acting, self.row(), closing.contains(&self.row().id));
        Ok(actions.into_iter().map(ActionAvailability::from).collect())
    }

    /// Its states, the newest first.
    async fn state_history(
        &self,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> async_graphql::Result<StateHistoryConnection> {
        let read = async {
            let kind = format!("history:{}", self.row().id);
            let request = PageArguments { first, after, last, before }.read(&kind)?;
            let page = self.scope().gateway.state_history(self.scope().site(), self.row().id, &request).await?;
            let steps = |found: Vec<_>| found.into_iter().map(StateHistoryEntry).collect();
            Ok(StateHistoryConnection(Rows::new(kind, page, steps)))
        };
        read.await.map_err(|failure| self.scope().error(failure))
    }

    /// Events accepted and not yet delivered or failed.
    #[graphql(directive = requires::apply(Capability::BrowseDeliveryLog))]
    async fn pending_deliveries(&self) -> Guarded<i32> {
        guarded_some(self.scope(), Needs::BrowseDeliveryLog, async {
            let count = self.0.set.pending().await?.get(&self.row().id).copied().unwrap_or_default();
            Ok(i32::try_from(count).unwrap_or(i32::MAX))
        })
        .await
    }

    /// Which modules have sent events through it that were first attempted in the last 30 days, to whole hours: what a
    /// pause or a disconnect would stop.
    #[graphql(directive = requires::apply(Capability::BrowseDeliveryLog))]
    async fn used_by(&self) -> Guarded<Vec<ModuleUsage>> {
        guarded_some(self.scope(), Needs::BrowseDeliveryLog, async {
            let usage = self.0.set.usage().await?.get(&self.row().id);
            Ok(usage.into_iter().flatten().cloned().map(ModuleUsage::from).collect())
        })
        .await
    }

    /// Its attempts from `since` to `until`, by default now, widened to whole hours, in all and in up to `buckets` parts
    /// of the time, of at least an hour each. They are counted as long as the log is kept.
    #[graphql(directive = requires::apply(Capability::BrowseDeliveryLog))]
    async fn delivery_statistics(
        &self,
        since: DateTime,
        until: Option<DateTime>,
        #[graphql(default = 24)] buckets: Option<i32>,
    ) -> Guarded<DeliveryStatistics> {
        guarded_some(self.scope(), Needs::BrowseDeliveryLog, async {
            // What is of this very moment belongs to it.
            let now = || self.scope().gateway.time() + chrono::TimeDelta::milliseconds(1);
            let span = span(since.0, until.map_or_else(now, |until| until.0), buckets)?;
            let cells = self.0.set.statistics(span).await?;
            Ok(DeliveryStatistics::of(span, cells.get(&self.row().id).map_or(&[][..], Vec::as_slice)))
        })
        .await
    }

    /// The rows of the delivery log that belong to it.
    #[graphql(directive = requires::apply(Capability::BrowseDeliveryLog))]
    #[expect(clippy::too_many_arguments, reason = "the arguments of a Relay page, and a filter and an order")]
    async fn delivery_log(
        &self,
        context: &Context<'_>,
        filter: Option<DeliveryFilter>,
        order_by: Option<DeliveryOrder>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Guarded<DeliveryEntryConnection> {
        guarded_some(self.scope(), Needs::BrowseDeliveryLog, async {
            let mut filter = filter.unwrap_or_default().read()?;
            filter.only(self.row().id);
            let arguments = PageArguments { first, after, last, before };
            DeliveryEntryConnection::read(context, self.scope(), filter.0, order_by, arguments).await
        })
        .await
    }

    /// The rows of the activity log that concern it, the newest first.
    #[graphql(directive = requires::apply(Capability::BrowseActivityLog))]
    async fn activity_log(
        &self,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Guarded<ActivityEntryConnection> {
        guarded_some(self.scope(), Needs::BrowseActivityLog, async {
            let filter =
                query::ActivityFilter { connections: Some(vec![self.row().id]), ..query::ActivityFilter::default() };
            ActivityEntryConnection::read(self.scope(), &filter, PageArguments { first, after, last, before }).await
        })
        .await
    }
}

plain!(ConnectionRecord, row = ConnectionRecord::row => {
    "id": Named::Connection(row.id).to_id(),
    "databaseId": Long(row.id.0),
    "displayName": row.display_name,
    "state": ConnectionState::from(row.state),
    "stateReason": row.state_reason,
    "stateChangedAt": DateTime(row.state_changed_at),
    "authFlow": AuthFlow::from(row.auth_flow),
    "vendorAccountId": row.vendor_account_id,
    "vendorAccountName": row.vendor_account_name,
    "scopesGranted": row.scopes_granted,
    "destinationLabel": row.destination_label,
    "orderedDelivery": row.ordered_delivery,
    "expiresAt": row.expires_at.map(DateTime),
    "lastDeliveryAt": row.last_delivery_at.map(DateTime),
    "createdAt": DateTime(row.created_at),
    "updatedAt": DateTime(row.updated_at),
});

/// A scope in a picker.
#[derive(SimpleObject)]
pub struct ConnectionScope {
    id: String,
    title: String,
    granted: bool,
    default: bool,
    sensitive: bool,
}

/// A setting that is no secret.
#[derive(SimpleObject)]
pub struct ConfigurationValue {
    name: String,
    label: String,
    value: String,
}

edge!(ConnectionRecordEdge of ConnectionRecord);

/// A page of the site's connections.
#[derive(Description)]
pub struct ConnectionRecordConnection {
    rows: Rows<ConnectionRecord>,
    scope: SharedScope,
    filter: query::ConnectionFilter,
}

impl ConnectionRecordConnection {
    pub(super) async fn read(
        scope: &SharedScope,
        filter: Option<ConnectionFilter>,
        order_by: Option<ConnectionOrder>,
        arguments: PageArguments,
    ) -> Result<Self, Failure> {
        let filter = connection_input::filter(scope, filter.unwrap_or_default());
        let order = connection_input::order(order_by);
        let kind = format!("connections:{}:{}", order.field, order.direction);
        let request: PageRequest<_> = arguments.read(&kind)?;
        let page = scope.gateway.list_connections(scope.site(), &filter, order, &request).await?;
        let rows = Rows::new(kind, page, |found| {
            let length = found.len();
            rows(ConnectionSet::new(scope, found), length).into_iter().map(ConnectionRecord).collect()
        });
        Ok(Self { rows, scope: SharedScope::clone(scope), filter })
    }
}

#[Object(use_type_description)]
impl ConnectionRecordConnection {
    async fn edges(&self) -> List<ConnectionRecordEdge> {
        ConnectionRecordEdge::all(&self.rows)
    }

    async fn nodes(&self) -> List<ConnectionRecord> {
        nodes(&self.rows)
    }

    async fn page_info(&self) -> PageInfo {
        self.rows.info()
    }

    /// How many connections the filter finds in all; counted only where it is asked for.
    async fn total_count(&self) -> async_graphql::Result<i32> {
        let counted = self.scope.gateway.count_connections(self.scope.site(), &self.filter).await;
        let count = counted.map_err(|failure| self.scope.error(failure))?;
        Ok(i32::try_from(count).unwrap_or(i32::MAX))
    }
}
