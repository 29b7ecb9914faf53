//! The vendor's own interface: an account call, and submissions. Access tokens stand in `Authorization` (RFC 6750).

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse as _, Response},
};
use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderName, StatusCode, header};
use serde_json::{Value, json};

use super::{
    answer::{self, Refusal},
    grants::{Grants, Refused},
    parameters::{media_type, read},
    submissions::Added,
    terms::{Account, Scope},
    vendor::Vendor,
};

/// The largest submission, in bytes.
const SUBMISSION_MAX: usize = 512 * 1024;
/// The longest idempotency key, in bytes.
const KEY_MAX: usize = 255;
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Who has consented: its id and name.
pub(super) async fn account(State(vendor): State<Vendor>, headers: HeaderMap) -> Result<Response, Refusal> {
    let account = admit(&vendor.state().grants, &headers, Scope::AccountRead, vendor.clock().now())?;
    Ok(answer::json(StatusCode::OK, &json!({"id": account.id, "name": account.name})))
}

/// The account's submissions, the newest first.
pub(super) async fn list(State(vendor): State<Vendor>, headers: HeaderMap) -> Result<Response, Refusal> {
    let state = vendor.state();
    let account = admit(&state.grants, &headers, Scope::SubmissionsRead, vendor.clock().now())?;
    Ok(answer::json(StatusCode::OK, &json!({"submissions": state.submissions.of(account.id)})))
}

/// Takes a submission; one idempotency key adds one.
pub(super) async fn submit(State(vendor): State<Vendor>, headers: HeaderMap, body: Body) -> Result<Response, Refusal> {
    let refuse = |status, description: &str| Refusal::new(status, "invalid_request", description);
    // Who may not submit is told so before its body is looked at.
    admit(&vendor.state().grants, &headers, Scope::SubmissionsWrite, vendor.clock().now())?;
    if media_type(&headers) != "application/json" {
        return Err(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body must be application/json"));
    }
    let key = match headers.get(IDEMPOTENCY_KEY).map(|key| key.to_str()) {
        None => None,
        Some(Ok(key)) if (1..=KEY_MAX).contains(&key.len()) => Some(key.to_owned()),
        Some(_) => return Err(refuse(StatusCode::BAD_REQUEST, "Idempotency-Key: 1 to 255 visible characters")),
    };
    let body = read(body, SUBMISSION_MAX).await;
    let body = body.map_err(|problem| refuse(StatusCode::PAYLOAD_TOO_LARGE, &problem))?;
    let payload: Value =
        serde_json::from_slice(&body).map_err(|_| refuse(StatusCode::BAD_REQUEST, "the body is no JSON"))?;
    if !payload["email"].as_str().is_some_and(|email| email.contains('@')) {
        return Err(refuse(StatusCode::UNPROCESSABLE_ENTITY, "email: an address, such as ada@example.com"));
    }
    let state = &mut *vendor.state();
    let account = admit(&state.grants, &headers, Scope::SubmissionsWrite, vendor.clock().now())?;
    let (id, again) = match state.submissions.add(account.id, key, &body, payload) {
        Added::New(id) => (id, "false"),
        Added::Again(id) => (id, "true"),
        Added::Mismatch => {
            let problem = "this Idempotency-Key came with another submission before";
            return Err(refuse(StatusCode::CONFLICT, problem));
        }
    };
    Ok(([("idempotency-replayed", again)], answer::json(StatusCode::CREATED, &json!({"id": id}))).into_response())
}

/// Whose account it is, if the token serves for this scope.
fn admit(grants: &Grants, headers: &HeaderMap, scope: Scope, now: DateTime<Utc>) -> Result<&'static Account, Refusal> {
    const REALM: &str = "Bearer realm=\"sandbox\"";
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = given.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let Some((_, token)) = token else {
        let refusal = Refusal::new(StatusCode::UNAUTHORIZED, "unauthorized", "no access token was sent");
        return Err(refusal.challenging(REALM));
    };
    let grant = grants.check(token.trim(), now).map_err(|refused| {
        let description = match refused {
            Refused::Expired => "the access token has expired",
            Refused::Revoked => "the grant was revoked",
            _ => "the access token is not known",
        };
        let challenge = format!("{REALM}, error=\"invalid_token\", error_description=\"{description}\"");
        Refusal::new(StatusCode::UNAUTHORIZED, "invalid_token", description).challenging(challenge)
    })?;
    if grant.scopes.contains(&scope) {
        return Ok(grant.account);
    }
    let scope = scope.as_str();
    let challenge = format!("{REALM}, error=\"insufficient_scope\", scope=\"{scope}\"");
    let refusal = Refusal::new(StatusCode::FORBIDDEN, "insufficient_scope", "the grant lacks a scope");
    Err(refusal.challenging(challenge).wanting(scope))
}
