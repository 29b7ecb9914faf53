//! What would be sent for an event, without sending it.

use std::collections::BTreeMap;

use super::{
    gateway::Gateway,
    types::{Acting, Dispatch, DispatchEvent, Failure, OrInternal as _},
};
use crate::{
    connector::{self, Event, Preview},
    domain::{connection::Connection, delivery::Delivery},
};

/// What a dispatch would come to.
#[derive(Debug)]
pub enum Previewed {
    /// This request.
    Prepared(Preview),
    /// It would not be taken: [`Dispatch::Rejected`], and no other.
    Rejected(Dispatch),
}

impl Gateway {
    /// The request that would be sent for this event, as dispatching and delivering it make it, but for its secrets:
    /// the vault stays closed, and nothing is stored or sent.
    ///
    /// # Errors
    /// As [`Self::dispatch`]; [`Failure::Conflict`] where the event would be taken, and no request could be made of it.
    pub async fn preview(&self, acting: &Acting, input: DispatchEvent) -> Result<Previewed, Failure> {
        let site = acting.site();
        let events = [self.prepare(acting, input)?];
        let [event] = &events;
        let found = self.connections(site, &[event.input.connection]).await?;
        let connections: BTreeMap<_, Connection> = found.into_iter().map(|row| (row.id, row)).collect();
        let known = self.earlier(site, &connections, &events).await?.into_values().next();
        let connection = connections.get(&event.input.connection);
        let (connection, before) = match (self.examine(acting, connection, known, event), connection) {
            (Ok(connection), _) => (connection, None),
            // What was taken before is sent as it is; this is how.
            (Err(ended), connection) => match (*ended, connection) {
                (Dispatch::Accepted { delivery, .. }, Some(connection)) => (connection, Some(delivery)),
                (rejected, _) => return Ok(Previewed::Rejected(rejected)),
            },
        };
        self.request_of(connection, &event.input, &event.module, before).map(Previewed::Prepared)
    }

    fn request_of(
        &self,
        connection: &Connection,
        input: &DispatchEvent,
        module: &str,
        before: Option<Delivery>,
    ) -> Result<Preview, Failure> {
        let gone = || Failure::Conflict("the connector takes no event of this type any more".to_owned());
        let connector = self.library().get(&connection.connector_slug).ok_or_else(gone)?;
        let operation = connector.operation(&input.event_type).ok_or_else(gone)?;
        let now = self.now();
        let (message_id, accepted_at) = match before {
            Some(delivery) => (delivery.message_id, delivery.accepted_at),
            None => (self.new_message_id(), now),
        };
        let event = Event {
            event_type: &input.event_type,
            event_identifier: &input.event_identifier,
            payload: &input.payload,
            accepted_at,
            module,
        };
        let flow = connection.auth_flow;
        let configuration =
            connection.configuration.read().ok_or("it is broken").or_internal("reading the configuration")?;
        connector::preview_delivery(connector, flow, operation, &event, &configuration, &message_id, now)
            .map_err(|error| Failure::Conflict(format!("no request can be made of this event: {}", error.message)))
    }
}
