//! A vendor to play with, in `--dev` only: an authorization server with an interface behind it, and a receiver of
//! webhooks.
//!
//! It stands on the other side of the wire, and so shares nothing with the gateway: what it knows of OAuth and of
//! signatures it knows by code of its own. Operators need no account here; `--dev` listens on loopback only. What it
//! remembers is bounded, and gone when the process stops. `app` makes the [`Sandbox`] and adds its connector to the
//! library; `web` mounts the [`router`] and [`metadata_router`].
//!
//! | request | does |
//! | --- | --- |
//! | `GET /sandbox` | a page with the newest grants, and switches for faults |
//! | `GET /sandbox/oauth/authorize` | asks the operator for consent; `POST` takes the answer of that page |
//! | `POST /sandbox/oauth/token` | tokens for a code, or for a refresh token, which is used up |
//! | `POST /sandbox/oauth/revoke`, `.../introspect` | ends a grant; says what a token is good for |
//! | `GET /sandbox/api/account` | whose account it is (`account.read`) |
//! | `POST /sandbox/api/submissions` | takes a submission (`submissions.write`); `GET` lists them (`submissions.read`) |
//! | `POST /sandbox/switches` | `{"grant": 1, "do": "expire"}`, `"revoke"`, or `"drop_scope"` with `"scope"`; or `{"next": 2, "answer": 429}`, `500`, `"slow"` or `"cut"`, with `"at"` and `"seconds"` |
//! | `GET /sandbox/switches` | which faults are still to come |
//! | `GET /sandbox/grants` | every grant, with how often its tokens were used |
//! | `POST /sandbox/inbox` | takes any request, checks its signature, keeps it; `?answer=503` answers with that status |
//! | `GET /sandbox/inbox` | shows the last 50 requests, the newest first |
//! | `DELETE /sandbox/inbox` | forgets them |
//! | `PUT /sandbox/inbox/secret` | registers the signing secret (`whsec_...`, as the text of the body) |
//! | `DELETE /sandbox/inbox/secret` | forgets all secrets |

mod answer;
mod api;
mod faults;
mod grants;
mod inbox;
mod oauth;
mod parameters;
mod receiver;
mod signature;
mod submissions;
mod switches;
mod terms;
mod vendor;

use std::sync::Arc;

use axum::{
    Router,
    http::{HeaderValue, header},
    middleware::from_fn_with_state,
    routing::get,
};
use url::Url;

pub use self::vendor::SandboxApp;
use self::{faults::Endpoint, inbox::Inbox, vendor::Vendor};
use crate::domain::clock::{Entropy, SharedClock};

/// Stands for the gateway as it calls itself, in the text of the manifest.
const CALLED: &str = "https://gateway.invalid";
/// Stands for the gateway as browsers reach it.
const BROWSED: &str = "https://browser.invalid";

/// The sandbox, and all that it remembers. Cheap to clone.
#[derive(Clone)]
pub struct Sandbox {
    inbox: Inbox,
    vendor: Vendor,
}

/// The manifest of the sandbox's connector, for one gateway.
#[derive(Clone, Debug)]
pub struct SandboxManifest {
    pub text: String,
    /// The origins of its calls, which may have no domain and be called by http.
    pub origins: Vec<String>,
}

impl Sandbox {
    /// A sandbox that knows nothing yet. `public_url` is where browsers reach the gateway, base path included.
    #[must_use]
    pub fn new(public_url: &Url, clock: SharedClock, entropy: &dyn Entropy) -> Self {
        Self { inbox: Inbox::new(Arc::clone(&clock)), vendor: Vendor::new(public_url, clock, entropy) }
    }

    /// The gateway as the sandbox knows it.
    #[must_use]
    pub fn app(&self) -> SandboxApp {
        self.vendor.app().clone()
    }

    /// The connector's manifest. `called` is where the gateway reaches itself, base path included.
    #[must_use]
    pub fn manifest(&self, called: &Url) -> SandboxManifest {
        let text = include_str!("sandbox.toml")
            .replace(CALLED, called.as_str().trim_end_matches('/'))
            .replace(BROWSED, self.vendor.public_url());
        let public = Url::parse(self.vendor.public_url()).map(|url| url.origin().ascii_serialization());
        let origins = public.into_iter().chain([called.origin().ascii_serialization()]).collect();
        SandboxManifest { text, origins }
    }
}

/// The sandbox's routes, to be nested below `/sandbox`.
pub fn router<S: Clone + Send + Sync + 'static>(sandbox: Sandbox) -> Router<S> {
    let Sandbox { inbox, vendor } = sandbox;
    let api = Router::new()
        .route("/account", get(api::account))
        .route("/submissions", get(api::list).post(api::submit))
        .layer(from_fn_with_state((vendor.clone(), Endpoint::Api), faults::befall));
    Router::new()
        .route("/", get(switches::page))
        .route("/style.css", get(style))
        .route("/switches", get(switches::planned).post(switches::turn))
        .route("/grants", get(switches::grants))
        .nest("/oauth", oauth::router(&vendor))
        .nest("/api", api)
        .with_state(vendor)
        .merge(receiver::router(inbox))
}

/// Where RFC 8414 (section 3.1) puts the metadata of an issuer with a path: at the root, whatever the base path is.
pub fn metadata_router<S: Clone + Send + Sync + 'static>(sandbox: Sandbox) -> Router<S> {
    let path = format!("/.well-known/oauth-authorization-server{}", sandbox.vendor.path());
    Router::new().route(&path, get(oauth::metadata)).with_state(sandbox.vendor)
}

async fn style() -> ([(header::HeaderName, HeaderValue); 1], &'static str) {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8"))], include_str!("style.css"))
}
