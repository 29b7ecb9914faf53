//! The authorization server: RFC 6749 with PKCE (RFC 7636), revocation (RFC 7009), introspection (RFC 7662), metadata
//! (RFC 8414) and the issuer in the callback (RFC 9207). It has one client, and that client one callback.

mod authorize;
mod client;
mod token;

use axum::{
    Router,
    extract::State,
    middleware::from_fn_with_state,
    response::Response,
    routing::{get, post},
};
use http::StatusCode;
use serde_json::json;

use super::{
    answer,
    faults::{Endpoint, befall},
    terms::Scope,
    vendor::Vendor,
};

pub(super) fn router(vendor: &Vendor) -> Router<Vendor> {
    let failing = |endpoint| from_fn_with_state((vendor.clone(), endpoint), befall);
    Router::new()
        .route("/authorize", get(authorize::ask).post(authorize::answer))
        .route("/token", post(token::token).layer(failing(Endpoint::Token)))
        .route("/revoke", post(token::revoke).layer(failing(Endpoint::Revocation)))
        .route("/introspect", post(token::introspect))
}

/// What a client can know of the server without being told.
pub(super) async fn metadata(State(vendor): State<Vendor>) -> Response {
    let issuer = vendor.issuer();
    let at = |path: &str| format!("{issuer}/oauth/{path}");
    let client_auth = ["client_secret_basic", "client_secret_post"];
    let metadata = json!({
        "issuer": issuer,
        "authorization_endpoint": at("authorize"),
        "token_endpoint": at("token"),
        "revocation_endpoint": at("revoke"),
        "introspection_endpoint": at("introspect"),
        "scopes_supported": Scope::ALL.map(Scope::as_str),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": client_auth,
        "revocation_endpoint_auth_methods_supported": client_auth,
        "introspection_endpoint_auth_methods_supported": client_auth,
        "authorization_response_iss_parameter_supported": true,
    });
    answer::json(StatusCode::OK, &metadata)
}
