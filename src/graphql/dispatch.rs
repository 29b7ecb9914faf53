//! Events that are handed over, what becomes of them, and what would be sent.

use async_graphql::{ID, InputObject, SimpleObject, Union};

use super::{
    delivery::Delivery,
    enums::{ConnectionState, DispatchRejection, WhenNotActive},
    ids,
    scalars::Json,
    scope::SharedScope,
};
use crate::{
    connector::Preview,
    service::{self, DispatchEvent, Failure, Previewed},
};

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

/// What would be sent, or why nothing would be.
#[derive(Union)]
pub enum DispatchPreview {
    DispatchPrepared(DispatchPrepared),
    DispatchRejected(DispatchRejected),
}

/// The request that would be sent. `[sealed]` stands for every secret, for what the vendor gave with a grant, and for
/// whatever is made of one, signatures among them; an optional secret counts as given.
#[derive(SimpleObject)]
pub struct DispatchPrepared {
    method: String,
    url: String,
    headers: Vec<HeaderPreview>,
    body: Option<String>,
}

/// A header of a request.
#[derive(SimpleObject)]
pub struct HeaderPreview {
    name: String,
    /// With `[sealed]` where it carries a credential.
    value: String,
}

impl From<Preview> for DispatchPrepared {
    fn from(preview: Preview) -> Self {
        let headers = preview.headers.into_iter().map(|(name, value)| HeaderPreview { name, value });
        Self { method: preview.method, url: preview.url, headers: headers.collect(), body: preview.body }
    }
}

pub(super) fn previewed(scope: &SharedScope, previewed: Previewed) -> Result<DispatchPreview, Failure> {
    match previewed {
        Previewed::Prepared(preview) => Ok(DispatchPreview::DispatchPrepared(preview.into())),
        Previewed::Rejected(dispatch) => match result(scope, dispatch) {
            DispatchResult::DispatchRejected(rejected) => Ok(DispatchPreview::DispatchRejected(rejected)),
            DispatchResult::DispatchAccepted(_) => Err(Failure::Internal),
        },
    }
}

pub(super) fn result(scope: &SharedScope, dispatch: service::Dispatch) -> DispatchResult {
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

pub(super) fn read(input: DispatchEventInput) -> Result<DispatchEvent, Failure> {
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
