//! Reading.

use async_graphql::{Context, Description, ID, Interface, Object};

use super::{
    activity::{ActivityEntry, ActivityEntryConnection, ActivityFilter},
    authorization::Authorization,
    connection::{ConnectionRecord, ConnectionRecordConnection},
    connection_input::{ConnectionFilter, ConnectionOrder},
    delivery::{Delivery, DeliveryEntry, DeliveryEntryConnection, DeliveryFilter, DeliveryOrder},
    dispatch::{self, DispatchEventInput, DispatchPreview},
    enums::Capability,
    guard::{Guarded, guarded, guarded_some, requires},
    ids::{self, Named},
    library::{self, Connector, ConnectorConnection, ConnectorFilter},
    page::PageArguments,
    retry::RetryBatch,
    role::Role,
    scope::{self, SharedScope},
    settings::Settings,
    viewer::Viewer,
};
use crate::{
    domain::{
        capability::Capability as Needs,
        id::{ActivityId, ConnectionId, DeliveryId, EntryId},
    },
    service::Failure,
};

/// The most ids that `nodes` takes.
const NODES_MAX: usize = 100;

/// Something with an id of its own.
#[derive(Interface)]
#[graphql(field(name = "id", ty = "ID"))]
pub enum Node {
    Connector(Connector),
    ConnectionRecord(ConnectionRecord),
    Delivery(Delivery),
    DeliveryEntry(DeliveryEntry),
    ActivityEntry(ActivityEntry),
    RetryBatch(RetryBatch),
    Authorization(Authorization),
}

/// What can be read.
#[derive(Description)]
pub struct Query;

#[Object(use_type_description)]
impl Query {
    /// Who is asking: an operator of a site, or a dependent module.
    async fn viewer(&self, context: &Context<'_>) -> Viewer {
        Viewer(SharedScope::clone(scope::of(context)))
    }

    /// Whatever has this id in this site; null where nothing has it. A thing that the caller may not read is null
    /// with FORBIDDEN.
    async fn node(&self, context: &Context<'_>, id: ID) -> Guarded<Node> {
        let scope = scope::of(context);
        node(scope, &id).await.map_err(|failure| scope.error(failure)).transpose()
    }

    /// As `node`, for up to 100 ids, in the order given.
    async fn nodes(&self, context: &Context<'_>, ids: Vec<ID>) -> async_graphql::Result<Vec<Guarded<Node>>> {
        let scope = scope::of(context);
        if ids.len() > NODES_MAX {
            let message = format!("ids has {} ids; at most {NODES_MAX} are taken", ids.len());
            return Err(scope.error(Failure::LimitExceeded(message)));
        }
        Ok(nodes(scope, &ids).await)
    }

    /// What would be sent for this event, without sending it, storing it or opening a credential. Rejected as a dispatch
    /// would be; CONFLICT where the event would be taken and no request could be made of it.
    #[graphql(directive = requires::apply(Capability::DispatchEvents))]
    async fn preview_dispatch(&self, context: &Context<'_>, input: DispatchEventInput) -> Guarded<DispatchPreview> {
        let scope = scope::of(context);
        guarded_some(scope, Needs::DispatchEvents, async {
            let preview = Box::pin(scope.gateway.preview(&scope.acting, dispatch::read(input)?)).await?;
            dispatch::previewed(scope, preview)
        })
        .await
    }

    /// The connector library, shared by all sites, by name.
    #[graphql(directive = requires::apply(Capability::BrowseLibrary))]
    async fn connectors(
        &self,
        context: &Context<'_>,
        filter: Option<ConnectorFilter>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Guarded<ConnectorConnection> {
        let scope = scope::of(context);
        let page = async { library::page(scope, filter, PageArguments { first, after, last, before }) };
        guarded_some(scope, Needs::BrowseLibrary, page).await
    }

    /// The connector of this slug; null where there is none.
    #[graphql(directive = requires::apply(Capability::BrowseLibrary))]
    async fn connector(&self, context: &Context<'_>, slug: String) -> Guarded<Connector> {
        let scope = scope::of(context);
        let found = async { Ok(scope.gateway.library().get(&slug).map(|found| Connector::new(scope, found))) };
        guarded(scope, Needs::BrowseLibrary, found).await
    }

    /// The site's connection records; by creation, the newest first, unless ordered otherwise.
    #[graphql(directive = requires::apply(Capability::ListConnections))]
    #[expect(clippy::too_many_arguments, reason = "the arguments of a Relay page, and a filter and an order")]
    async fn connections(
        &self,
        context: &Context<'_>,
        filter: Option<ConnectionFilter>,
        order_by: Option<ConnectionOrder>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Guarded<ConnectionRecordConnection> {
        let scope = scope::of(context);
        let arguments = PageArguments { first, after, last, before };
        let page = ConnectionRecordConnection::read(scope, filter, order_by, arguments);
        guarded_some(scope, Needs::ListConnections, page).await
    }

    /// The connection of this id; null where the site has none.
    #[graphql(directive = requires::apply(Capability::ListConnections))]
    async fn connection(&self, context: &Context<'_>, id: ID) -> Guarded<ConnectionRecord> {
        let scope = scope::of(context);
        guarded(scope, Needs::ListConnections, async { connection(scope, ids::connection("id", &id)?).await }).await
    }

    /// The site's delivery log, including the entries of connections since disconnected; the newest first, unless
    /// ordered otherwise.
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
        let scope = scope::of(context);
        guarded_some(scope, Needs::BrowseDeliveryLog, async {
            let filter = filter.unwrap_or_default().read()?;
            let arguments = PageArguments { first, after, last, before };
            DeliveryEntryConnection::read(context, scope, filter.0, order_by, arguments).await
        })
        .await
    }

    /// One outbound event and all its attempts; null where the site has none of this id.
    #[graphql(directive = requires::apply(Capability::BrowseDeliveryLog))]
    async fn delivery(&self, context: &Context<'_>, id: ID) -> Guarded<Delivery> {
        let scope = scope::of(context);
        guarded(scope, Needs::BrowseDeliveryLog, async { delivery(scope, ids::delivery("id", &id)?).await }).await
    }

    /// A browser authorization, for the operator who began it; `NOT_FOUND` to all others.
    async fn authorization(&self, context: &Context<'_>, id: ID) -> Guarded<Authorization> {
        let scope = scope::of(context);
        let found = async { Authorization::read(scope, &ids::authorization("id", &id)?).await };
        Some(found.await.map_err(|failure| scope.error(failure)))
    }

    /// The site's activity log, the newest first.
    #[graphql(directive = requires::apply(Capability::BrowseActivityLog))]
    async fn activity_log(
        &self,
        context: &Context<'_>,
        filter: Option<ActivityFilter>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Guarded<ActivityEntryConnection> {
        let scope = scope::of(context);
        guarded_some(scope, Needs::BrowseActivityLog, async {
            let filter = filter.unwrap_or_default().read()?;
            ActivityEntryConnection::read(scope, &filter, PageArguments { first, after, last, before }).await
        })
        .await
    }

    /// The site's roles: the ones that ship with the product, then its own by name.
    #[graphql(directive = requires::apply(Capability::ManageRoles))]
    async fn roles(&self, context: &Context<'_>) -> Guarded<Vec<Role>> {
        let scope = scope::of(context);
        let roles = async { Ok(scope.gateway.roles(scope.site()).await?.into_iter().map(Role::from).collect()) };
        guarded_some(scope, Needs::ManageRoles, roles).await
    }

    /// What the site can tune.
    #[graphql(directive = requires::apply(Capability::ManageSettings))]
    async fn settings(&self, context: &Context<'_>) -> Guarded<Settings> {
        let scope = scope::of(context);
        let settings = async {
            Ok(Settings { scope: SharedScope::clone(scope), settings: scope.acting.settings.as_ref().clone() })
        };
        guarded_some(scope, Needs::ManageSettings, settings).await
    }
}

async fn connection(scope: &SharedScope, id: ConnectionId) -> Result<Option<ConnectionRecord>, Failure> {
    let found = scope.gateway.connections(scope.site(), &[id]).await?.pop();
    Ok(found.map(|row| ConnectionRecord::one(scope, row)))
}

async fn delivery(scope: &SharedScope, id: DeliveryId) -> Result<Option<Delivery>, Failure> {
    let found = scope.gateway.deliveries(scope.site(), &[id]).await?.pop();
    Ok(found.map(|row| Delivery::one(scope, row)))
}

async fn entry(scope: &SharedScope, id: EntryId) -> Result<Option<DeliveryEntry>, Failure> {
    let found = scope.gateway.entries(scope.site(), &[id]).await?.pop();
    Ok(found.map(|row| DeliveryEntry::one(scope, row)))
}

async fn activity(scope: &SharedScope, id: ActivityId) -> Result<Option<ActivityEntry>, Failure> {
    let found = scope.gateway.activity_entries(scope.site(), &[id]).await?.pop();
    Ok(found.map(|row| ActivityEntry::one(scope, row)))
}

/// The read capability of what an id names.
fn needs(named: &Named) -> Option<Needs> {
    match named {
        Named::Connector(_) => Some(Needs::BrowseLibrary),
        Named::Connection(_) => Some(Needs::ListConnections),
        Named::Delivery(_) | Named::Entry(_) => Some(Needs::BrowseDeliveryLog),
        Named::Activity(_) => Some(Needs::BrowseActivityLog),
        Named::RetryBatch(_) => Some(Needs::RetryDelivery),
        // An offer is no node: it is shown once, and completed. An authorization is its operator's own.
        Named::Offer(_) | Named::Authorization(_) => None,
    }
}

async fn node(scope: &SharedScope, id: &ID) -> Result<Option<Node>, Failure> {
    let Some(named) = Named::parse(id) else { return Ok(None) };
    if let Named::Authorization(token) = &named {
        return own_authorization(scope, token).await;
    }
    let Some(needs) = needs(&named) else { return Ok(None) };
    scope.require(needs)?;
    Ok(match named {
        Named::Connector(slug) => {
            scope.gateway.library().get(&slug).map(|found| Node::Connector(Connector::new(scope, found)))
        }
        Named::Connection(id) => connection(scope, id).await?.map(Node::ConnectionRecord),
        Named::Delivery(id) => delivery(scope, id).await?.map(Node::Delivery),
        Named::Entry(id) => entry(scope, id).await?.map(Node::DeliveryEntry),
        Named::Activity(id) => activity(scope, id).await?.map(Node::ActivityEntry),
        Named::RetryBatch(id) => {
            let found = scope.gateway.retry_batches(scope.site(), &[id]).await?.pop();
            found.map(RetryBatch::from).map(Node::RetryBatch)
        }
        Named::Offer(_) | Named::Authorization(_) => None,
    })
}

async fn own_authorization(scope: &SharedScope, token: &str) -> Result<Option<Node>, Failure> {
    match Authorization::read(scope, token).await {
        Ok(found) => Ok(Some(Node::Authorization(found))),
        Err(Failure::NotFound(_)) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Reads each kind in one query.
async fn nodes(scope: &SharedScope, ids: &[ID]) -> Vec<Guarded<Node>> {
    let named: Vec<Option<Named>> = ids.iter().map(Named::parse).collect();
    let loaded = super::node_sets::load(scope, named.iter().flatten()).await;
    let one = async |named: Option<Named>| -> Result<Option<Node>, Failure> {
        let Some(named) = named else { return Ok(None) };
        if let Named::Authorization(token) = &named {
            return own_authorization(scope, token).await;
        }
        let Some(needs) = needs(&named) else { return Ok(None) };
        scope.require(needs)?;
        loaded.as_ref().map_err(Clone::clone).map(|sets| sets.get(scope, &named))
    };
    let mut found = Vec::with_capacity(named.len());
    for named in named {
        found.push(one(named).await.map_err(|failure| scope.error(failure)).transpose());
    }
    found
}
