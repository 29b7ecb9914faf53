//! The activity log.

use async_graphql::{Description, ID, InputObject, Object};

use super::{
    connection::ConnectionRecord,
    enums::{ActivityAction, ActivityOutcome, Capability, all},
    guard::{Guarded, guarded, requires},
    ids::{self, Named},
    page::{PageArguments, PageInfo, Rows, edge, nodes},
    plain::{List, plain},
    scalars::{DateTime, Long},
    scope::SharedScope,
    sets::{ActivitySet, Row, rows},
    viewer::Operator,
};
use crate::{
    domain::{self, capability::Capability as Needs, id::OperatorId, query},
    service::Failure,
};

/// A row of the activity log: who did what to which connection, and how it ended.
#[derive(Clone, Description)]
pub struct ActivityEntry(pub(super) Row<ActivitySet>);

impl ActivityEntry {
    pub(super) fn one(scope: &SharedScope, entry: domain::activity::ActivityEntry) -> Self {
        let mut rows = rows(ActivitySet::new(scope, vec![entry]), 1);
        Self(rows.pop().expect("one row was put in"))
    }

    fn row(&self) -> &domain::activity::ActivityEntry {
        &self.0.set.rows[self.0.at]
    }

    fn scope(&self) -> &SharedScope {
        &self.0.set.scope
    }
}

#[Object(use_type_description)]
impl ActivityEntry {
    pub(super) async fn id(&self) -> ID {
        Named::Activity(self.row().id).to_id()
    }

    async fn action(&self) -> ActivityAction {
        self.row().action.into()
    }

    /// Null where a module or the platform itself acted.
    async fn operator(&self) -> async_graphql::Result<Option<Operator>> {
        let Some(id) = self.row().operator else { return Ok(None) };
        let names = self.0.set.names().await.map_err(|failure| self.scope().error(failure))?;
        Ok(Some(Operator { id, name: names.get(&id).cloned().flatten() }))
    }

    async fn module(&self) -> Option<&str> {
        self.row().module.as_deref()
    }

    /// This and the next three: null where no connection is concerned; they stay when it is gone.
    async fn connection_id(&self) -> Option<ID> {
        self.row().connection.map(|id| Named::Connection(id).to_id())
    }

    async fn connection_database_id(&self) -> Option<Long> {
        self.row().connection.map(|id| Long(id.0))
    }

    async fn connection_name(&self) -> Option<&str> {
        self.row().connection_name.as_deref()
    }

    async fn connector_slug(&self) -> Option<&str> {
        self.row().connector_slug.as_deref()
    }

    #[graphql(directive = requires::apply(Capability::ListConnections))]
    async fn connection(&self) -> Guarded<ConnectionRecord> {
        guarded(self.scope(), Needs::ListConnections, async {
            let Some(id) = self.row().connection else { return Ok(None) };
            Ok(self.0.set.connections().await?.get(&id).map(ConnectionRecord))
        })
        .await
    }

    async fn outcome(&self) -> ActivityOutcome {
        self.row().outcome.into()
    }

    /// Why, for what was refused or failed.
    async fn detail(&self) -> Option<&str> {
        self.row().detail.as_deref()
    }

    async fn occurred_at(&self) -> DateTime {
        DateTime(self.row().occurred_at)
    }
}

plain!(ActivityEntry, row = ActivityEntry::row => {
    "id": Named::Activity(row.id).to_id(),
    "action": ActivityAction::from(row.action),
    "module": row.module,
    "connectionId": row.connection.map(|id| Named::Connection(id).to_id()),
    "connectionDatabaseId": row.connection.map(|id| Long(id.0)),
    "connectionName": row.connection_name,
    "connectorSlug": row.connector_slug,
    "outcome": ActivityOutcome::from(row.outcome),
    "detail": row.detail,
    "occurredAt": DateTime(row.occurred_at),
});

/// Which rows of the activity log. A field that is left out restricts nothing.
#[derive(InputObject, Default)]
pub struct ActivityFilter {
    actions: Option<Vec<ActivityAction>>,
    operator_id: Option<i32>,
    connection_ids: Option<Vec<ID>>,
    /// Inclusive.
    from: Option<DateTime>,
    /// Exclusive.
    until: Option<DateTime>,
}

impl ActivityFilter {
    /// Reads the ids.
    pub(super) fn read(self) -> Result<query::ActivityFilter, Failure> {
        Ok(query::ActivityFilter {
            actions: all(self.actions),
            operator: self.operator_id.map(|id| OperatorId(id.into())),
            connections: ids::connections("filter.connectionIds", self.connection_ids)?,
            from: self.from.map(|time| time.0),
            until: self.until.map(|time| time.0),
        })
    }
}

/// Whether an entry passes: for streams.
pub(super) fn admits(filter: &query::ActivityFilter, entry: &domain::activity::ActivityEntry) -> bool {
    filter.actions.as_ref().is_none_or(|actions| actions.contains(&entry.action))
        && filter.operator.is_none_or(|operator| entry.operator == Some(operator))
        && filter.connections.as_ref().is_none_or(|all| entry.connection.is_some_and(|id| all.contains(&id)))
        && filter.from.is_none_or(|from| entry.occurred_at >= from)
        && filter.until.is_none_or(|until| entry.occurred_at < until)
}

edge!(ActivityEntryEdge of ActivityEntry);

/// A page of the activity log, the newest first.
#[derive(Description)]
pub struct ActivityEntryConnection(Rows<ActivityEntry>);

impl ActivityEntryConnection {
    pub(super) async fn read(
        scope: &SharedScope,
        filter: &query::ActivityFilter,
        arguments: PageArguments,
    ) -> Result<Self, Failure> {
        const KIND: &str = "activity";
        let request = arguments.read(KIND)?;
        let page = scope.gateway.activity_log(scope.site(), filter, &request).await?;
        Ok(Self(Rows::new(KIND, page, |found| {
            let length = found.len();
            rows(ActivitySet::new(scope, found), length).into_iter().map(ActivityEntry).collect()
        })))
    }
}

#[Object(use_type_description)]
impl ActivityEntryConnection {
    async fn edges(&self) -> List<ActivityEntryEdge> {
        ActivityEntryEdge::all(&self.0)
    }

    async fn nodes(&self) -> List<ActivityEntry> {
        nodes(&self.0)
    }

    async fn page_info(&self) -> PageInfo {
        self.0.info()
    }
}
