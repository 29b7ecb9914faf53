//! What a caller can do with a connection now. See [`action::availability`]: what it says is what the verbs refuse by.

use std::{collections::HashSet, sync::Arc};

use super::{
    gateway::Gateway,
    types::{Acting, Failure, OrInternal as _},
};
use crate::{
    connector::Connector,
    domain::{
        action::{self, Asker, Availability, ConnectionAction, FlowOffer, Offer, Situation},
        connection::Connection,
        connector::AuthFlow,
        id::{ConnectionId, SiteId},
        principal::Actor,
    },
    store,
};

impl Gateway {
    /// What this caller can do with a connection, and what stands in the way of the rest. `closing`: it is being
    /// disconnected, as [`Self::closing`] says.
    #[must_use]
    pub fn actions(&self, acting: &Acting, connection: &Connection, closing: bool) -> Vec<Availability> {
        let situation = self.situation(connection, closing);
        ConnectionAction::ALL.iter().map(|action| action::availability(*action, &situation, asker(acting))).collect()
    }

    /// Those of these connections that are being disconnected.
    ///
    /// # Errors
    /// [`Failure::Internal`] where the database fails.
    pub async fn closing(&self, site: SiteId, ids: &[ConnectionId]) -> Result<HashSet<ConnectionId>, Failure> {
        let found = store::closing::list(&self.db, site, ids).await.or_internal("reading the disconnects")?;
        Ok(found.into_iter().collect())
    }

    /// A connection of the caller's site with which this can be done now.
    pub(super) async fn permitted(
        &self,
        acting: &Acting,
        id: ConnectionId,
        action: ConnectionAction,
    ) -> Result<Connection, Failure> {
        let connection = self.connection(acting.site(), id).await?;
        self.permit(acting, &connection, action).await?;
        Ok(connection)
    }

    /// As [`Self::permitted`], for what needs the connector.
    pub(super) async fn permitted_with_connector(
        &self,
        acting: &Acting,
        id: ConnectionId,
        action: ConnectionAction,
    ) -> Result<(Connection, Arc<Connector>), Failure> {
        let connection = self.permitted(acting, id, action).await?;
        let connector = self.connector_of(&connection)?;
        Ok((connection, connector))
    }

    /// Refuses what cannot be done now.
    pub(super) async fn permit(
        &self,
        acting: &Acting,
        connection: &Connection,
        action: ConnectionAction,
    ) -> Result<(), Failure> {
        // Nothing else leaves a trace while it is being disconnected.
        let closing = connection.auth_flow == AuthFlow::Oauth
            && self.closing(acting.site(), &[connection.id]).await?.contains(&connection.id);
        let said = action::availability(action, &self.situation(connection, closing), asker(acting));
        if let Some(capability) = said.missing.iter().next() {
            return Err(Failure::Forbidden(capability));
        }
        said.reason.map_or(Ok(()), |why| Err(Failure::Conflict(why)))
    }

    fn situation<'a>(&'a self, connection: &'a Connection, closing: bool) -> Situation<'a> {
        let connector = self.library().get(&connection.connector_slug).map(|connector| Offer {
            name: &connector.display_name,
            family: connector.family,
            flow: connector.flow(connection.auth_flow).map(|flow| FlowOffer {
                refreshable: flow.refreshable,
                scopes_editable: flow.scopes_editable,
                missing_app: flow
                    .oauth
                    .as_ref()
                    .and_then(|oauth| oauth.app.as_deref())
                    .filter(|app| !self.oauth.apps.contains_key(*app)),
            }),
            takes_events: !connector.operations.is_empty(),
            scopes_suffice: connector
                .operations
                .iter()
                .any(|operation| connection.lacks(&operation.required_scopes).next().is_none()),
        });
        Situation {
            connector_slug: &connection.connector_slug,
            state: connection.state,
            flow: connection.auth_flow,
            refreshable: connection.refreshable,
            closing,
            connector,
        }
    }
}

fn asker(acting: &Acting) -> Asker<'_> {
    Asker {
        capabilities: acting.capabilities,
        is_operator: matches!(acting.caller.principal.actor, Actor::Operator { .. }),
        settings: &acting.settings,
    }
}
