//! HTTP: the only place that knows what a request looks like.
//!
//! A request passes [`envelope`] (its id, panics, headers for safety), is authenticated here, and only
//! then reaches GraphQL, as a [`Caller`](crate::service::Caller). `app` puts the [`WebState`] together,
//! makes the [`router`] and [`serve`]s it; nobody else calls in here.

mod accept;
mod address;
mod answer;
mod authentication;
mod connections;
mod envelope;
mod graphql;
mod health;
mod jwks;
mod oauth;
mod origin;
mod parameters;
mod playground;
mod server;
#[cfg(test)]
mod set_clock;
mod socket;
mod stream;
mod throttle;
mod token;

use std::sync::Arc;

use axum::{
    Router,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{any, get},
};
use ipnet::IpNet;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_http::compression::{
    CompressionLayer,
    predicate::{NotForContentType, Predicate as _, SizeAbove},
};
use url::Url;

pub use self::{
    connections::Connections,
    jwks::FetchKeys,
    server::{Accepting, Stop, Timeouts, serve},
    throttle::{Rate, Throttle},
    token::{Holder, MODULE_MAX, NUMBER_MAX, TEXT_MAX, TokenSettings, TokenVerifier, is_module_name, mint},
};
use crate::{
    domain::clock::{SharedClock, SharedEntropy},
    graphql::Api,
    sandbox::Sandbox,
    service::Gateway,
};

/// What the handlers need. Plain parts, put together by `app`.
#[derive(Clone)]
pub struct WebState {
    pub api: Api,
    pub gateway: Gateway,
    pub tokens: TokenVerifier,
    pub clock: SharedClock,
    pub entropy: SharedEntropy,
    pub settings: WebSettings,
    pub throttle: Throttle,
    /// The vendor to play with; in `--dev` only.
    pub sandbox: Option<Sandbox>,
    /// Cancelled when the process is to stop: sockets are then closed with 1001.
    pub shutdown: CancellationToken,
    /// Connections and sockets, so that the stop can wait for them. The same as in [`Stop`].
    pub tasks: TaskTracker,
}

/// What the handlers must know of the settings.
#[derive(Clone, Debug)]
pub struct WebSettings {
    /// Where browsers reach the gateway, base path included, without a slash at its end.
    pub public_url: Url,
    /// The prefix of every path: empty, or `/a/b` without a slash at its end.
    pub base_path: String,
    /// The largest body of a request and the largest message on a socket, in bytes.
    pub max_body: usize,
    /// How many operations may run on one socket at a time.
    pub max_subscriptions: usize,
    /// Further origins that may call from a browser, as browsers spell them (RFC 6454, section 6.2).
    pub return_origins: Vec<String>,
    /// Proxies that say truly for whom they ask.
    pub trusted_proxies: Vec<IpNet>,
    /// The same as in [`Accepting`].
    pub timeouts: Timeouts,
}

type Shared = Arc<WebState>;

/// The smallest answer that is worth compressing, in bytes: about what fits into one packet.
const COMPRESSED_MIN: u64 = 1_200;

/// Every route of the gateway, below its base path; `/healthz` and `/readyz` at the root too, for those who
/// ask past the proxy.
pub fn router(state: WebState) -> Router {
    let base_path = state.settings.base_path.clone();
    let entropy = Arc::clone(&state.entropy);
    let sandbox = state.sandbox.clone();
    let shared: Shared = Arc::new(state);
    let mut routes = Router::new()
        .route("/", get(playground::redirect))
        .route("/graphql", any(graphql::handle))
        .route("/oauth/start/{ticket}", get(oauth::start))
        .route("/oauth/callback", get(oauth::callback))
        .route("/playground", get(playground::redirect))
        .route("/playground/", get(playground::index))
        .route("/playground/{*path}", get(playground::asset));
    let mut beside = Router::new();
    if let Some(sandbox) = sandbox {
        routes = routes.nest("/sandbox", crate::sandbox::router(sandbox.clone()));
        beside = crate::sandbox::metadata_router(sandbox);
    }
    let health = Router::new().route("/healthz", get(health::alive)).route("/readyz", get(health::ready));
    let routes = if base_path.is_empty() {
        routes.merge(health)
    } else {
        Router::new()
            .nest(&base_path, routes.merge(health.clone()))
            // `nest` takes the prefix with and without a slash at its end for different paths.
            .route(&format!("{base_path}/"), get(playground::redirect))
            .merge(health)
    };
    routes
        .merge(beside)
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(
            CompressionLayer::new().compress_when(
                SizeAbove::new(COMPRESSED_MIN)
                    // A stream's events must not wait for more of them.
                    .and(NotForContentType::SSE)
                    .and(NotForContentType::const_new("multipart/mixed"))
                    .and(NotForContentType::IMAGES),
            ),
        )
        .layer(axum::middleware::from_fn_with_state(entropy, envelope::wrap))
        .with_state(shared)
}

async fn not_found() -> Response {
    text(StatusCode::NOT_FOUND, "there is nothing here\n")
}

async fn method_not_allowed() -> Response {
    text(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this method\n")
}

fn text(status: StatusCode, body: impl Into<axum::body::Body>) -> Response {
    let plain = (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    (status, [plain], body.into()).into_response()
}
