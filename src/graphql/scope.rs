//! What every resolver needs: who asks, what the role allows, and the gateway.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_graphql::{Context, Error};

use super::error::api_error;
use crate::{
    domain::{capability::Capability, id::SiteId},
    service::{Acting, Failure, Gateway},
};

/// One operation's surroundings; in a subscription, one event's.
pub(super) struct Scope {
    pub gateway: Gateway,
    pub acting: Acting,
    /// Whether a subscription has begun.
    begun: AtomicBool,
}

/// Shared by everything that one operation returns.
pub(super) type SharedScope = Arc<Scope>;

impl Scope {
    pub const fn new(gateway: Gateway, acting: Acting) -> Self {
        Self { gateway, acting, begun: AtomicBool::new(false) }
    }

    /// A subscription has begun: what fails from now on is a fault of one event.
    pub fn begin(&self) {
        self.begun.store(true, Ordering::Relaxed);
    }

    pub fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }

    /// The site of the caller.
    pub fn site(&self) -> SiteId {
        self.acting.site()
    }

    /// Refuses a caller whose role lacks a capability.
    pub fn require(&self, capability: Capability) -> Result<(), Failure> {
        if self.acting.capabilities.has(capability) { Ok(()) } else { Err(Failure::Forbidden(capability)) }
    }

    /// A failure as an error of the API.
    pub fn error(&self, failure: Failure) -> Error {
        api_error(failure, &self.acting.caller.request_id)
    }
}

/// The scope of the operation that a resolver runs in.
pub(super) fn of<'a>(context: &Context<'a>) -> &'a SharedScope {
    context.data_unchecked::<SharedScope>()
}
