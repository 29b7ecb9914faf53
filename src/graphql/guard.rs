//! Guards: what a field requires, said in the schema and checked in its resolver.
//!
//! A guarded field returns `Option<Result<T>>`: a failure then makes the field null, with an error at its
//! path, and leaves its siblings alone. (The library's own `guard` attribute, and a resolver that
//! returns `Result<Option<T>>`, make the parent null.)

use std::future::Future;

use async_graphql::{Error, TypeDirective};

use super::{
    enums,
    scope::{Scope, SharedScope},
};
use crate::{domain::capability::Capability, service::Failure};

/// What a guarded field returns.
pub(super) type Guarded<T> = Option<Result<T, Error>>;

/// The caller must hold `capability`, or the field fails with code FORBIDDEN and names it. Guarded fields are
/// nullable (subscription roots aside), so that what the caller may see survives beside what it may not. Every
/// path to a ConnectionRecord, DeliveryEntry or ActivityEntry passes that type's read capability, and so does
/// every path to a Delivery but the one that its own dispatch opens; `node` and `nodes` answer null with
/// FORBIDDEN where it is missing.
#[TypeDirective(location = "FieldDefinition")]
pub fn requires(capability: enums::Capability) {}

/// Runs a resolver's body if the caller holds the capability.
pub(super) async fn guarded<T>(
    scope: &Scope,
    capability: Capability,
    body: impl Future<Output = Result<Option<T>, Failure>> + Send,
) -> Guarded<T> {
    let outcome = match scope.require(capability) {
        // On the heap: bodies nest as deeply as documents do, and the stack is bounded.
        Ok(()) => Box::pin(body).await,
        Err(failure) => Err(failure),
    };
    outcome.map_err(|failure| scope.error(failure)).transpose()
}

/// As [`guarded`], for a body that always has a value.
pub(super) async fn guarded_some<T>(
    scope: &SharedScope,
    capability: Capability,
    body: impl Future<Output = Result<T, Failure>> + Send,
) -> Guarded<T> {
    guarded(scope, capability, async { body.await.map(Some) }).await
}
