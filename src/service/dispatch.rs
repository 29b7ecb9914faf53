//! Taking an outbound event: checked, stored, and from then on ours.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{
    gateway::Gateway,
    types::{
        Acting, Dispatch, DispatchEvent, DispatchRejection, Failure, OrInternal as _, PayloadViolation, WhenNotActive,
    },
    validate,
};
use crate::{
    connector,
    domain::{
        action,
        connection::Connection,
        delivery::Delivery,
        id::{ConnectionId, SiteId},
        principal::Actor,
    },
    store::{
        self,
        delivery::{Inserted, NewDelivery},
    },
    vault::Keyring,
};

/// The most events that are taken in one call.
pub const BATCH_MAX: usize = 500;

/// An event whose arguments are well-formed.
pub(super) struct Prepared {
    pub input: DispatchEvent,
    pub module: String,
    key: String,
    payload: Vec<u8>,
    digest: Vec<u8>,
}

/// What is known of an event before anything is stored.
enum Decided {
    Ended(Dispatch),
    New(NewDelivery),
}

impl Gateway {
    /// Hands over one event. Accepted means stored: it outlives a crash.
    ///
    /// # Errors
    /// [`Failure::BadInput`] for a malformed argument and [`Failure::LimitExceeded`] for too large a
    /// payload. What a module must branch on is no error: see [`Dispatch::Rejected`].
    pub async fn dispatch(&self, acting: &Acting, input: DispatchEvent) -> Result<Dispatch, Failure> {
        let prepared = self.prepare(acting, input)?;
        self.hand_over(acting, vec![prepared]).await?.pop().ok_or(Failure::Internal)
    }

    /// Hands over up to [`BATCH_MAX`] events in one commit, and gives what became of each, in their order.
    ///
    /// # Errors
    /// As [`Self::dispatch`], with the field `input.N.FIELD`; nothing is stored then.
    pub async fn dispatch_all(&self, acting: &Acting, inputs: Vec<DispatchEvent>) -> Result<Vec<Dispatch>, Failure> {
        if inputs.len() > BATCH_MAX {
            return Err(Failure::LimitExceeded(format!(
                "input has {} events; at most {BATCH_MAX} are taken",
                inputs.len()
            )));
        }
        let prepared = inputs
            .into_iter()
            .enumerate()
            .map(|(at, input)| self.prepare(acting, input).map_err(|failure| failure.in_item("input", at)));
        let prepared = prepared.collect::<Result<Vec<_>, _>>()?;
        self.hand_over(acting, prepared).await
    }

    pub(super) fn prepare(&self, acting: &Acting, input: DispatchEvent) -> Result<Prepared, Failure> {
        let module = originating_module(acting, input.originating_module.as_deref())?;
        validate::event_type("eventType", &input.event_type)?;
        validate::text("eventIdentifier", &input.event_identifier, validate::EVENT_IDENTIFIER_MAX)?;
        let key = match &input.idempotency_key {
            Some(key) => key.clone(),
            None => format!("{}:{}", input.event_type, input.event_identifier),
        };
        validate::text("idempotencyKey", &key, validate::IDEMPOTENCY_KEY_MAX)?;
        let payload = canonical(&input.payload);
        if payload.len() > self.limits.max_payload {
            return Err(Failure::LimitExceeded(format!(
                "the payload has {} bytes of JSON; at most {} are taken",
                payload.len(),
                self.limits.max_payload
            )));
        }
        let digest = digest(&input.event_type, &payload);
        Ok(Prepared { input, module, key, payload, digest })
    }

    async fn hand_over(&self, acting: &Acting, events: Vec<Prepared>) -> Result<Vec<Dispatch>, Failure> {
        let site = acting.site();
        let ids: BTreeSet<ConnectionId> = events.iter().map(|event| event.input.connection).collect();
        let found = self.connections(site, &ids.into_iter().collect::<Vec<_>>()).await?;
        let connections: BTreeMap<ConnectionId, Connection> = found.into_iter().map(|row| (row.id, row)).collect();
        let mut earlier = self.earlier(site, &connections, &events).await?;
        let keyring = self.keyring(site).await?;
        let (mut decided, mut new) = (Vec::with_capacity(events.len()), Vec::new());
        for event in events {
            let connection = connections.get(&event.input.connection);
            let known = earlier.remove(&(event.input.connection, event.module.clone(), event.key.clone()));
            match self.decide(acting, connection, known, event, &keyring)? {
                Decided::Ended(dispatch) => decided.push(Some(dispatch)),
                Decided::New(delivery) => {
                    decided.push(None);
                    new.push(delivery);
                }
            }
        }
        self.leave_out_what_has_no_place(site, &mut decided, &mut new).await?;
        let stored = if new.is_empty() {
            Vec::new()
        } else {
            Box::pin(store::delivery::insert(&self.db, site, new)).await.or_internal("storing the delivery")?
        };
        if stored.iter().any(|inserted| matches!(inserted, Inserted::Accepted(_))) {
            self.bus.wake_deliveries();
        }
        let mut stored = stored.into_iter().map(|inserted| match inserted {
            Inserted::Accepted(delivery) => Dispatch::Accepted { delivery, duplicate: false },
            Inserted::Duplicate { delivery, same_request } => repeated(delivery, same_request),
            Inserted::ConnectionGone => no_connection(),
        });
        decided.into_iter().map(|ended| ended.or_else(|| stored.next()).ok_or(Failure::Internal)).collect()
    }

    /// Rejects those of the new events for which their connections' queues have no place.
    async fn leave_out_what_has_no_place(
        &self,
        site: SiteId,
        decided: &mut [Option<Dispatch>],
        new: &mut Vec<NewDelivery>,
    ) -> Result<(), Failure> {
        let mut wanted: BTreeMap<ConnectionId, u64> = BTreeMap::new();
        for delivery in &*new {
            *wanted.entry(delivery.connection).or_default() += 1;
        }
        let mut places = self.take_places(site, &wanted).await?;
        let mut open = decided.iter_mut().filter(|ended| ended.is_none());
        new.retain(|delivery| {
            let ended = open.next();
            if let Some(left @ 1..) = places.get_mut(&delivery.connection) {
                *left -= 1;
                return true;
            }
            if let Some(ended) = ended {
                *ended = Some(self.queue_full());
            }
            false
        });
        Ok(())
    }

    fn queue_full(&self) -> Dispatch {
        let bound = self.limits.max_queued;
        rejected(
            DispatchRejection::QueueFull,
            format!("{bound} events wait for this connection, and no more may (GATEWAY_MAX_QUEUED)"),
        )
    }

    /// What came before with the keys of these events.
    pub(super) async fn earlier(
        &self,
        site: SiteId,
        connections: &BTreeMap<ConnectionId, Connection>,
        events: &[Prepared],
    ) -> Result<BTreeMap<(ConnectionId, String, String), (Delivery, Vec<u8>)>, Failure> {
        let mut keys: BTreeMap<(ConnectionId, &str), Vec<String>> = BTreeMap::new();
        for event in events.iter().filter(|event| connections.contains_key(&event.input.connection)) {
            keys.entry((event.input.connection, &event.module)).or_default().push(event.key.clone());
        }
        let mut earlier = BTreeMap::new();
        for ((connection, module), keys) in keys {
            let found = store::delivery::find_by_keys(&self.db, site, connection, module, &keys).await;
            for (key, delivery, digest) in found.or_internal("looking for an earlier delivery")? {
                earlier.insert((connection, module.to_owned(), key), (delivery, digest));
            }
        }
        Ok(earlier)
    }

    fn decide(
        &self,
        acting: &Acting,
        connection: Option<&Connection>,
        earlier: Option<(Delivery, Vec<u8>)>,
        event: Prepared,
        keyring: &Keyring,
    ) -> Result<Decided, Failure> {
        let connection = match self.examine(acting, connection, earlier, &event) {
            Ok(connection) => connection,
            Err(ended) => return Ok(Decided::Ended(*ended)),
        };
        let now = self.now();
        let message_id = self.new_message_id();
        let payload = keyring
            .seal_payload(now.date_naive(), self.replica, &message_id, &event.payload)
            .or_internal("sealing the payload")?;
        Ok(Decided::New(NewDelivery {
            connection: connection.id,
            connection_name: connection.display_name.clone(),
            connector_slug: connection.connector_slug.clone(),
            module: event.module,
            event_type: event.input.event_type,
            event_identifier: event.input.event_identifier,
            idempotency_key: event.key,
            request_digest: event.digest,
            message_id,
            payload,
            accepted_at: now,
            next_attempt_at: now,
        }))
    }

    /// The connection that the event can be sent through, or how the dispatch ends without it.
    pub(super) fn examine<'c>(
        &self,
        acting: &Acting,
        connection: Option<&'c Connection>,
        earlier: Option<(Delivery, Vec<u8>)>,
        event: &Prepared,
    ) -> Result<&'c Connection, Box<Dispatch>> {
        let Some(connection) = connection else { return Err(Box::new(no_connection())) };
        if let Some((delivery, earlier_digest)) = earlier {
            return Err(Box::new(repeated(delivery, earlier_digest == event.digest)));
        }
        self.refusal(acting, connection, &event.input).map_or(Ok(connection), |rejection| Err(Box::new(rejection)))
    }

    /// What stands in the way of an event on this connection, checked in the order that callers rely on:
    /// family, operation, payload, scopes, state.
    fn refusal(&self, acting: &Acting, connection: &Connection, input: &DispatchEvent) -> Option<Dispatch> {
        let connector = self.library().get(&connection.connector_slug);
        let off = connector
            .and_then(|connector| action::family_off(&connector.display_name, connector.family, &acting.settings));
        if let Some(why) = off {
            return Some(rejected(DispatchRejection::FamilyDisabled, why));
        }
        let Some(operation) = connector.and_then(|connector| connector.operation(&input.event_type)) else {
            return Some(rejected(
                DispatchRejection::OperationUnknown,
                format!("{} takes no event of this type", connection.connector_slug),
            ));
        };
        let violations = connector::check_payload(operation, &input.payload);
        if !violations.is_empty() {
            let violations =
                violations.into_iter().map(|v| PayloadViolation { pointer: v.pointer, message: v.message }).collect();
            return Some(Dispatch::Rejected {
                reason: DispatchRejection::PayloadInvalid,
                message: "the payload does not fit the operation's schema".to_owned(),
                state: None,
                missing_scopes: Vec::new(),
                violations,
            });
        }
        let asked = input.required_scopes.iter().filter(|scope| !connection.scopes_granted.contains(scope));
        let mut missing: Vec<String> = connection.lacks(&operation.required_scopes).chain(asked).cloned().collect();
        missing.sort();
        missing.dedup();
        if !missing.is_empty() {
            return Some(Dispatch::Rejected {
                reason: DispatchRejection::ScopeInsufficient,
                message: "the connection has not been granted every scope that this event needs".to_owned(),
                state: Some(connection.state),
                missing_scopes: missing,
                violations: Vec::new(),
            });
        }
        let why = action::not_active(connection.state).filter(|_| input.when_not_active == WhenNotActive::Reject)?;
        Some(Dispatch::Rejected {
            reason: DispatchRejection::ConnectionNotActive,
            message: why,
            state: Some(connection.state),
            missing_scopes: Vec::new(),
            violations: Vec::new(),
        })
    }
}

/// A module's own token decides which module an event comes from; an operator must say.
fn originating_module(acting: &Acting, given: Option<&str>) -> Result<String, Failure> {
    const FIELD: &str = "originatingModule";
    match (&acting.caller.principal.actor, given) {
        (Actor::Module { name }, None) => Ok(name.clone()),
        (Actor::Module { name }, Some(given)) if given == name => Ok(name.clone()),
        (Actor::Module { name }, Some(_)) => {
            Err(Failure::bad_input(FIELD, format!("this token belongs to the module {name}; leave the field out")))
        }
        (Actor::Operator { .. }, Some(given)) => {
            validate::module(FIELD, given)?;
            Ok(given.to_owned())
        }
        (Actor::Operator { .. }, None) => {
            Err(Failure::bad_input(FIELD, "an operator must say which module the event comes from, such as forms"))
        }
    }
}

/// The payload as bytes that are equal for equal values, whatever the order of its keys.
fn canonical(payload: &Value) -> Vec<u8> {
    let mut sorted = payload.clone();
    sorted.sort_all_objects();
    sorted.to_string().into_bytes()
}

/// Tells a repeated request from another one under the same key.
fn digest(event_type: &str, payload: &[u8]) -> Vec<u8> {
    Sha256::new().chain_update(event_type.as_bytes()).chain_update([0]).chain_update(payload).finalize().to_vec()
}

fn repeated(delivery: Delivery, same_request: bool) -> Dispatch {
    if same_request {
        Dispatch::Accepted { delivery, duplicate: true }
    } else {
        rejected(
            DispatchRejection::IdempotencyMismatch,
            "another event was handed over under this idempotency key".to_owned(),
        )
    }
}

fn no_connection() -> Dispatch {
    rejected(DispatchRejection::ConnectionNotFound, "there is no such connection".to_owned())
}

fn rejected(reason: DispatchRejection, message: String) -> Dispatch {
    Dispatch::Rejected { reason, message, state: None, missing_scopes: Vec::new(), violations: Vec::new() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_order_of_keys_does_not_make_another_request() {
        let (a, b) = (json!({"x": {"b": 1, "a": [2, 1]}, "y": 1}), json!({"y": 1, "x": {"a": [2, 1], "b": 1}}));
        assert_eq!(digest("t", &canonical(&a)), digest("t", &canonical(&b)));
        assert_ne!(digest("t", &canonical(&a)), digest("u", &canonical(&a)));
        assert_ne!(digest("t", &canonical(&json!([1, 2]))), digest("t", &canonical(&json!([2, 1]))));
    }
}
