//! Handing over events, and retrying by hand.

use async_graphql::{Context, Description, ID, InputObject, Object, SimpleObject, Union};

use crate::{
    domain::capability::Capability as Needs,
    graphql::{
        delivery::DeliveryEntry,
        dispatch::{DispatchEventInput, DispatchResult, read, result},
        enums::{Capability, RetryRejection},
        guard::{Guarded, guarded_some, requires},
        ids,
        retry::{RetryDeliveriesInput, RetryDeliveriesPayload},
        scope::{self, SharedScope},
    },
    service::Retry,
};

#[derive(Default)]
pub struct Deliver;

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

    /// Puts every failed delivery that matches back into the queue, for one more attempt as soon as the vendor's limits
    /// allow, and says how many; where a connection is not active, or its family is off, they are held. The failed
    /// entries stay.
    #[graphql(directive = requires::apply(Capability::RetryDelivery))]
    async fn retry_deliveries(
        &self,
        context: &Context<'_>,
        input: RetryDeliveriesInput,
    ) -> Guarded<RetryDeliveriesPayload> {
        let scope = scope::of(context);
        guarded_some(scope, Needs::RetryDelivery, async {
            let filter = input.filter.read()?.0;
            let retried = Box::pin(scope.gateway.retry_all(&scope.acting, filter, input.dry_run)).await?;
            Ok(retried.into())
        })
        .await
    }
}
