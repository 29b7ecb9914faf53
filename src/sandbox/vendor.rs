//! The vendor itself: who its client is, what time it is, and all that it remembers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use url::Url;

use super::{faults::Faults, grants::Grants, submissions::Submissions};
use crate::domain::{
    clock::{Clock, Entropy, SharedClock, random},
    secret::Secret,
};

/// The id of the one client.
const CLIENT_ID: &str = "sandbox";

/// The gateway as a client of the sandbox.
#[derive(Clone, Debug)]
pub struct SandboxApp {
    pub id: String,
    /// Random, and another one after each start.
    pub secret: Secret,
}

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Vendor(Arc<Shared>);

struct Shared {
    /// Where browsers reach the gateway, without a slash at its end.
    public_url: String,
    /// The path of the sandbox there.
    path: String,
    app: SandboxApp,
    clock: SharedClock,
    state: Mutex<State>,
}

/// All that it remembers.
pub(super) struct State {
    pub(super) grants: Grants,
    pub(super) faults: Faults,
    pub(super) submissions: Submissions,
}

impl Vendor {
    pub(super) fn new(public_url: &Url, clock: SharedClock, entropy: &dyn Entropy) -> Self {
        let secret = Secret::new(URL_SAFE_NO_PAD.encode(random::<32>(entropy)));
        let state = State {
            grants: Grants::new(random(entropy)),
            faults: Faults::default(),
            submissions: Submissions::default(),
        };
        Self(Arc::new(Shared {
            public_url: public_url.as_str().trim_end_matches('/').to_owned(),
            path: format!("{}/sandbox", public_url.path().trim_end_matches('/')),
            app: SandboxApp { id: CLIENT_ID.to_owned(), secret },
            clock,
            state: Mutex::new(state),
        }))
    }

    pub(super) fn app(&self) -> &SandboxApp {
        &self.0.app
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.0.clock
    }

    pub(super) fn public_url(&self) -> &str {
        &self.0.public_url
    }

    /// The path of the sandbox, as browsers know it.
    pub(super) fn path(&self) -> &str {
        &self.0.path
    }

    /// The issuer of RFC 8414 and RFC 9207.
    pub(super) fn issuer(&self) -> String {
        format!("{}/sandbox", self.0.public_url)
    }

    /// The only address that codes are sent to: the gateway's own callback.
    pub(super) fn redirect_uri(&self) -> String {
        format!("{}/oauth/callback", self.0.public_url)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // No change of it can panic half-way, so a poisoned lock guards nothing half-done.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
