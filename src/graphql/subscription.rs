//! Following: what changes, as it happens.

use std::future::Future;

use async_graphql::{Context, Description, Error, ID, InputObject, Interface, Object, Subscription};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::{Stream, StreamExt as _, stream::BoxStream};

use super::{
    activity::{self, ActivityEntry, ActivityFilter},
    authorization::Authorization,
    connection::ConnectionRecord,
    connection_input::{accepting, slugs},
    delivery::{DeliveryEntry, DeliveryFilter},
    enums::{Capability, ConnectionChange, ConnectionState, ConnectorFamily, StateChangeCause},
    guard::{Guarded, guarded, requires},
    ids::{self, Named},
    scalars::{DateTime, Long},
    scope::{self, Scope, SharedScope},
};
use crate::{
    domain::{
        self,
        capability::Capability as Needs,
        event::{EventBody, StreamEvent as Event},
        id::ConnectionId,
        query::Accepting,
    },
    service::Failure,
};

/// An event of the site's stream, at its place.
#[derive(Interface)]
#[graphql(field(name = "cursor", ty = "String"), field(name = "occurred_at", ty = "DateTime"))]
pub enum StreamEvent {
    ConnectionStateChange(ConnectionStateChange),
    DeliveryLogged(DeliveryLogged),
    ActivityLogged(ActivityLogged),
}

/// The place of an event in its site's stream, with the mark of its row.
fn cursor(event: &Event) -> String {
    let json = serde_json::to_vec(&("s", event.number, event.check)).expect("numbers are JSON");
    URL_SAFE_NO_PAD.encode(json)
}

/// Which connections to follow. A field that is left out restricts nothing.
#[derive(InputObject, Default)]
pub struct ConnectionStreamFilter {
    connection_ids: Option<Vec<ID>>,
    families: Option<Vec<ConnectorFamily>>,
    connector_slugs: Option<Vec<String>>,
    /// Only connections that can take it.
    accepts_event_type: Option<String>,
}

/// A filter whose ids have been read.
struct Followed {
    connections: Option<Vec<ConnectionId>>,
    slugs: Option<Vec<String>>,
    accepting: Option<Vec<Accepting>>,
}

/// A connection was created, changed its state, was changed, or was removed.
#[derive(Description)]
pub struct ConnectionStateChange {
    event: Event,
    scope: SharedScope,
    /// As it is when the event is read.
    connection: Option<ConnectionRecord>,
    id: ConnectionId,
    change: domain::connection::ConnectionChange,
    previous_state: Option<domain::connection::ConnectionState>,
    state: Option<domain::connection::ConnectionState>,
    cause: domain::connection::StateChangeCause,
    reason: Option<String>,
}

#[Object(use_type_description)]
impl ConnectionStateChange {
    pub(super) async fn cursor(&self) -> String {
        cursor(&self.event)
    }

    pub(super) async fn occurred_at(&self) -> DateTime {
        DateTime(self.event.occurred_at)
    }

    async fn change(&self) -> ConnectionChange {
        self.change.into()
    }

    async fn connection_id(&self) -> ID {
        Named::Connection(self.id).to_id()
    }

    async fn connection_database_id(&self) -> Long {
        Long(self.id.0)
    }

    /// The record as it is when the event is read; null once disconnected.
    #[graphql(directive = requires::apply(Capability::ListConnections))]
    async fn connection(&self) -> Guarded<ConnectionRecord> {
        guarded(&self.scope, Needs::ListConnections, async { Ok(self.connection.clone()) }).await
    }

    /// Null for the creation.
    async fn previous_state(&self) -> Option<ConnectionState> {
        self.previous_state.map(ConnectionState::from)
    }

    /// Null for the removal.
    async fn state(&self) -> Option<ConnectionState> {
        self.state.map(ConnectionState::from)
    }

    async fn cause(&self) -> StateChangeCause {
        self.cause.into()
    }

    async fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }
}

/// A row came to the delivery log.
#[derive(Description)]
pub struct DeliveryLogged {
    event: Event,
    entry: DeliveryEntry,
}

#[Object(use_type_description)]
impl DeliveryLogged {
    pub(super) async fn cursor(&self) -> String {
        cursor(&self.event)
    }

    pub(super) async fn occurred_at(&self) -> DateTime {
        DateTime(self.event.occurred_at)
    }

    async fn entry(&self) -> DeliveryEntry {
        self.entry.clone()
    }
}

/// A row came to the activity log.
#[derive(Description)]
pub struct ActivityLogged {
    event: Event,
    entry: ActivityEntry,
}

#[Object(use_type_description)]
impl ActivityLogged {
    pub(super) async fn cursor(&self) -> String {
        cursor(&self.event)
    }

    pub(super) async fn occurred_at(&self) -> DateTime {
        DateTime(self.event.occurred_at)
    }

    async fn entry(&self) -> ActivityEntry {
        self.entry.clone()
    }
}

/// What can be followed: from the moment of subscribing, in order. Every event carries the cursor of its place in
/// the site's stream.
#[derive(Description)]
pub struct SubscriptionRoot;

#[Subscription(name = "Subscription", use_type_description)]
impl SubscriptionRoot {
    /// Connections created, changing state, changed, or removed.
    #[graphql(directive = requires::apply(Capability::ListConnections))]
    async fn connection_state_changed(
        &self,
        context: &Context<'_>,
        filter: Option<ConnectionStreamFilter>,
    ) -> Result<impl Stream<Item = Result<ConnectionStateChange, Error>>, Error> {
        let scope = scope::of(context);
        let filter = filter.unwrap_or_default();
        let followed = ids::connections("filter.connectionIds", filter.connection_ids).map(|connections| Followed {
            connections,
            slugs: slugs(scope, filter.families, filter.connector_slugs),
            accepting: filter.accepts_event_type.map(|event_type| accepting(scope, &event_type)),
        });
        let followed = std::sync::Arc::new(followed.map_err(|failure| scope.error(failure))?);
        follow(scope, Needs::ListConnections, move |scope, event| {
            let followed = std::sync::Arc::clone(&followed);
            async move { connection_change(scope, event, &followed).await }
        })
        .await
    }

    /// Each new row of the delivery log.
    #[graphql(directive = requires::apply(Capability::BrowseDeliveryLog))]
    async fn delivery_logged(
        &self,
        context: &Context<'_>,
        filter: Option<DeliveryFilter>,
    ) -> Result<impl Stream<Item = Result<DeliveryLogged, Error>>, Error> {
        let scope = scope::of(context);
        let filter = filter.unwrap_or_default().read().map_err(|failure| scope.error(failure))?;
        let filter = std::sync::Arc::new(filter);
        follow(scope, Needs::BrowseDeliveryLog, move |scope, event| {
            let filter = std::sync::Arc::clone(&filter);
            async move {
                let EventBody::DeliveryLogged { entry } = event.body else { return Ok(None) };
                let found = scope.gateway.entries(scope.site(), &[entry]).await?.pop();
                let found = found.filter(|entry| filter.admits(entry));
                Ok(found.map(|row| DeliveryLogged { event, entry: DeliveryEntry::one(&scope, row) }))
            }
        })
        .await
    }

    /// Each new row of the activity log.
    #[graphql(directive = requires::apply(Capability::BrowseActivityLog))]
    async fn activity_logged(
        &self,
        context: &Context<'_>,
        filter: Option<ActivityFilter>,
    ) -> Result<impl Stream<Item = Result<ActivityLogged, Error>>, Error> {
        let scope = scope::of(context);
        let filter = filter.unwrap_or_default().read().map_err(|failure| scope.error(failure))?;
        let filter = std::sync::Arc::new(filter);
        follow(scope, Needs::BrowseActivityLog, move |scope, event| {
            let filter = std::sync::Arc::clone(&filter);
            async move {
                let EventBody::ActivityLogged { entry } = event.body else { return Ok(None) };
                let found = scope.gateway.activity_entries(scope.site(), &[entry]).await?.pop();
                let found = found.filter(|entry| activity::admits(&filter, entry));
                Ok(found.map(|row| ActivityLogged { event, entry: ActivityEntry::one(&scope, row) }))
            }
        })
        .await
    }

    /// One authorization, now and at each change, until it ends; for the operator who began it.
    async fn authorization_updated(
        &self,
        context: &Context<'_>,
        id: ID,
    ) -> Result<impl Stream<Item = Result<Authorization, Error>>, Error> {
        let scope = scope::of(context);
        let token = ids::authorization("id", &id).map_err(|failure| scope.error(failure))?;
        let followed = scope.gateway.follow_authorization(&scope.acting, &token).await;
        let followed = followed.map_err(|failure| scope.error(failure))?;
        scope.begin();
        Ok(authorizations(scope, followed))
    }
}

fn authorizations(
    scope: &SharedScope,
    followed: BoxStream<'static, Result<domain::authorization::Authorization, Failure>>,
) -> BoxStream<'static, Result<Authorization, Error>> {
    let scope = SharedScope::clone(scope);
    let told = followed.map(move |found| match found {
        Ok(row) => Ok(Authorization::new(&scope, row)),
        Err(failure) => Err(scope.error(failure)),
    });
    told.boxed()
}

async fn connection_change(
    scope: SharedScope,
    event: Event,
    followed: &Followed,
) -> Result<Option<ConnectionStateChange>, Failure> {
    let EventBody::Connection { connection: id, connector_slug, change, previous_state, state, cause, reason } =
        event.body.clone()
    else {
        return Ok(None);
    };
    let listed = followed.connections.as_ref().is_none_or(|ids| ids.contains(&id))
        && followed.slugs.as_ref().is_none_or(|slugs| slugs.contains(&connector_slug));
    let needed = match &followed.accepting {
        Some(accepting) => accepting.iter().find(|accepting| accepting.connector_slug == connector_slug).map(Some),
        None => Some(None),
    };
    let (true, Some(needed)) = (listed, needed) else { return Ok(None) };
    let found = scope.gateway.connections(scope.site(), &[id]).await?.pop();
    let connection = found.map(|row| ConnectionRecord::one(&scope, row));
    // A removed connection's scopes are not known any more; whoever followed it must hear of its end.
    if let (Some(connection), Some(needed)) = (&connection, needed)
        && connection.lacks(&needed.scopes)
    {
        return Ok(None);
    }
    Ok(Some(ConnectionStateChange { event, scope, connection, id, change, previous_state, state, cause, reason }))
}

/// Follows the site's stream with what `select` makes of its events. Capabilities are read afresh for each event
/// that is passed on, and whenever roles change: taking the one away that the subscription requires ends it.
async fn follow<T, S, F>(
    scope: &SharedScope,
    capability: Needs,
    select: S,
) -> Result<BoxStream<'static, Result<T, Error>>, Error>
where
    T: Send + 'static,
    S: Fn(SharedScope, Event) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Option<T>, Failure>> + Send,
{
    scope.require(capability).map_err(|failure| scope.error(failure))?;
    let events = scope.gateway.follow(scope.site()).await.map_err(|failure| scope.error(failure))?;
    scope.begin();
    let first = SharedScope::clone(scope);
    let state = Some((events, select));
    let stream = futures_util::stream::unfold(state, move |state| {
        let first = SharedScope::clone(&first);
        async move {
            let (mut events, select) = state?;
            loop {
                let outcome = match events.next().await? {
                    // On the heap, while it lasts: a subscription waits nearly always.
                    Ok(event) => Box::pin(one(&first, capability, &select, event)).await,
                    Err(failure) => Err(failure),
                };
                match outcome {
                    Ok(Some(item)) => return Some((Ok(item), Some((events, select)))),
                    Ok(None) => {}
                    Err(failure) => return Some((Err(first.error(failure)), None)),
                }
            }
        }
    });
    Ok(stream.boxed())
}

async fn one<T, S, F>(first: &SharedScope, capability: Needs, select: &S, event: Event) -> Result<Option<T>, Failure>
where
    S: Fn(SharedScope, Event) -> F,
    F: Future<Output = Result<Option<T>, Failure>>,
{
    let concerns = match &event.body {
        EventBody::Connection { .. } => Some(Needs::ListConnections),
        EventBody::DeliveryLogged { .. } => Some(Needs::BrowseDeliveryLog),
        EventBody::ActivityLogged { .. } => Some(Needs::BrowseActivityLog),
        // It concerns everybody.
        EventBody::RolesChanged => None,
    };
    if concerns.is_some_and(|concerned| concerned != capability) {
        return Ok(None);
    }
    let acting = first.gateway.act(first.acting.caller.clone()).await?;
    let scope = SharedScope::new(Scope::new(first.gateway.clone(), acting));
    scope.require(capability)?;
    select(scope, event).await
}
