//! Handing over events, and retrying by hand.

use async_graphql::{Context, Description, ID, InputObject, Object, SimpleObject, Union};

use crate::{
    domain::capability::Capability as Needs,
    graphql::{
        delivery::{Delivery, DeliveryEntry},
        enums::{Capability, ConnectionState, DispatchRejection, RetryRejection, WhenNotActive},
        guard::{Guarded, guarded_some, requires},
        ids,
        scalars::Json,
        scope::{self, SharedScope},
    },
    service::{self, DispatchEvent, Failure, Retry},
};

#[derive(Default)]
pub struct Deliver;

/// One outbound event.
#[derive(InputObject)]
pub struct DispatchEventInput {
    connection_id: ID,
    /// Letters, digits, `_` and `.`, such as submission.created.
    event_type: String,
    /// The module's own identifier of what happened: a submission's, a notification's, a post's id.
    event_identifier: String,
    /// A second dispatch of this module to this connection with the same key returns the first delivery.
    /// `eventType:eventIdentifier` unless given.
    idempotency_key: Option<String>,
    payload: Json,
    /// What to do where the connection is paused, in error or without a valid grant.
    #[graphql(default_with = "WhenNotActive::Reject")]
    when_not_active: WhenNotActive,
    /// Scopes that the caller insists on, besides the operation's own.
    required_scopes: Option<Vec<String>>,
    /// Which module this comes from; a module's own token decides it, an operator must say.
    originating_module: Option<String>,
}

/// The event was taken, or why not.
#[derive(Union)]
pub enum DispatchResult {
    DispatchAccepted(DispatchAccepted),
    DispatchRejected(DispatchRejected),
}

/// Stored: it outlives a crash.
#[derive(SimpleObject)]
pub struct DispatchAccepted {
    delivery: Delivery,
    /// True where this event had been handed over before.
    duplicate: bool,
}

/// Nothing was stored.
#[derive(SimpleObject)]
pub struct DispatchRejected {
    reason: DispatchRejection,
    message: String,
    /// The connection's state, where that or its scopes stand in the way.
    state: Option<ConnectionState>,
    missing_scopes: Vec<String>,
    /// JSON pointers into the payload, with what is wrong there.
    violations: Vec<PayloadViolation>,
}

/// What is wrong in a payload, and where (RFC 6901).
#[derive(SimpleObject)]
pub struct PayloadViolation {
    pointer: String,
    message: String,
}

/// Which failed entry is to be sent once more.
#[derive(InputObject)]
pub struct RetryDeliveryInput {
    delivery_entry_id: ID,
    /// A client that repeats its own call with the same key gets the first answer.
    idempotency_key: Option<String>,
}

/// The new entry, or why there is none.
#[derive(Union)]
pub enum RetryDeliveryResult {
    DeliveryRetried(DeliveryRetried),
    RetryRejected(RetryRejected),
}

/// The vendor was called once more.
#[derive(Description)]
pub struct DeliveryRetried {
    entry: DeliveryEntry,
    scope: SharedScope,
}

#[Object(use_type_description)]
impl DeliveryRetried {
    #[graphql(directive = requires::apply(Capability::BrowseDeliveryLog))]
    async fn entry(&self) -> Guarded<DeliveryEntry> {
        guarded_some(&self.scope, Needs::BrowseDeliveryLog, async { Ok(self.entry.clone()) }).await
    }
}

/// The vendor was not called.
#[derive(SimpleObject)]
pub struct RetryRejected {
    reason: RetryRejection,
    message: String,
}

fn result(scope: &SharedScope, dispatch: service::Dispatch) -> DispatchResult {
    match dispatch {
        service::Dispatch::Accepted { delivery, duplicate } => {
            DispatchResult::DispatchAccepted(DispatchAccepted { delivery: Delivery::one(scope, delivery), duplicate })
        }
        service::Dispatch::Rejected { reason, message, state, missing_scopes, violations } => {
            DispatchResult::DispatchRejected(DispatchRejected {
                reason: reason.into(),
                message,
                state: state.map(ConnectionState::from),
                missing_scopes,
                violations: violations
                    .into_iter()
                    .map(|violation| PayloadViolation { pointer: violation.pointer, message: violation.message })
                    .collect(),
            })
        }
    }
}

fn read(input: DispatchEventInput) -> Result<DispatchEvent, Failure> {
    Ok(DispatchEvent {
        connection: ids::connection("connectionId", &input.connection_id)?,
        event_type: input.event_type,
        event_identifier: input.event_identifier,
        idempotency_key: input.idempotency_key,
        payload: input.payload.0,
        when_not_active: input.when_not_active.into(),
        required_scopes: input.required_scopes.unwrap_or_default(),
        originating_module: input.originating_module,
    })
}

#[Object]
impl Deliver {
    /// For dependent modules: hand over one outbound event. Accepted means stored: it outlives a crash.
    #[graphql(directive = requires::apply(Capability::DispatchEvents))]
    async fn dispatch_event(&self, context: &Context<'_>, input: DispatchEventInput) -> Guarded<DispatchResult> {
        let scope = scope::of(context);
        guarded_some(scope, Needs::DispatchEvents, async {
            let dispatch = Box::pin(scope.gateway.dispatch(&scope.acting, read(input)?)).await?;
            Ok(result(scope, dispatch))
        })
        .await
    }

    /// Up to 500 events in one round trip and one commit; results in the order given. Where one is malformed, none is
    /// taken.
    #[graphql(directive = requires::apply(Capability::DispatchEvents))]
    async fn dispatch_events(
        &self,
        context: &Context<'_>,
        input: Vec<DispatchEventInput>,
    ) -> Guarded<Vec<DispatchResult>> {
        let scope = scope::of(context);
        guarded_some(scope, Needs::DispatchEvents, async {
            let events = input.into_iter().enumerate();
            let events = events.map(|(at, event)| read(event).map_err(|failure| failure.in_item("input", at)));
            let events = events.collect::<Result<Vec<_>, _>>()?;
            let dispatched = Box::pin(scope.gateway.dispatch_all(&scope.acting, events)).await?;
            Ok(dispatched.into_iter().map(|dispatch| result(scope, dispatch)).collect())
        })
        .await
    }

    /// Sends a failed delivery once more, now; the failed entry stays.
    #[graphql(directive = requires::apply(Capability::RetryDelivery))]
    async fn retry_delivery(&self, context: &Context<'_>, input: RetryDeliveryInput) -> Guarded<RetryDeliveryResult> {
        let scope = scope::of(context);
        guarded_some(scope, Needs::RetryDelivery, async {
            let entry = ids::entry("deliveryEntryId", &input.delivery_entry_id)?;
            Ok(match scope.gateway.retry(&scope.acting, entry, input.idempotency_key).await? {
                Retry::Retried(entry) => RetryDeliveryResult::DeliveryRetried(DeliveryRetried {
                    entry: DeliveryEntry::one(scope, *entry),
                    scope: SharedScope::clone(scope),
                }),
                Retry::Rejected { reason, message } => {
                    RetryDeliveryResult::RetryRejected(RetryRejected { reason: reason.into(), message })
                }
            })
        })
        .await
    }
}
