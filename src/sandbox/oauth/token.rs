//! The endpoints for the client: tokens, revocation, introspection.

use axum::{body::Body, extract::State, response::Response};
use http::{HeaderMap, StatusCode};
use serde_json::json;

use super::{
    super::{
        answer::{self, Refusal},
        grants::{Issued, Refused},
        parameters::Parameters,
        terms::Scope,
        vendor::Vendor,
    },
    client,
};

/// A verifier's length (RFC 7636, section 4.1).
const VERIFIER: std::ops::RangeInclusive<usize> = 43..=128;

fn refusal(code: &'static str, description: &str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, code, description)
}

fn invalid(description: impl AsRef<str>) -> Refusal {
    refusal("invalid_request", description.as_ref())
}

/// The form of a client that has proved itself.
async fn form(vendor: &Vendor, headers: &HeaderMap, body: Body) -> Result<Parameters, Refusal> {
    let form = Parameters::from_form(headers, body).await.map_err(invalid)?;
    client::check(vendor, headers, &form)?;
    Ok(form)
}

/// Gives tokens for a code, or for a refresh token.
pub(in crate::sandbox) async fn token(
    State(vendor): State<Vendor>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let form = form(&vendor, &headers, body).await?;
    let issued = give(&vendor, &form)?;
    let tokens = json!({
        "access_token": issued.access.expose(),
        "token_type": "Bearer",
        "expires_in": issued.lifetime,
        "refresh_token": issued.refresh.expose(),
        "scope": Scope::join(&issued.scopes),
    });
    Ok(answer::json(StatusCode::OK, &tokens))
}

fn give(vendor: &Vendor, form: &Parameters) -> Result<Issued, Refusal> {
    let now = vendor.clock().now();
    let issued = match form.need("grant_type").map_err(invalid)? {
        "authorization_code" => {
            let code = form.need("code").map_err(invalid)?;
            let redirect_uri = form.need("redirect_uri").map_err(invalid)?;
            let verifier = form.need("code_verifier").map_err(invalid)?;
            let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
            if !VERIFIER.contains(&verifier.len()) || !verifier.chars().all(allowed) {
                return Err(invalid("code_verifier: 43 to 128 letters, digits and -._~"));
            }
            if redirect_uri != vendor.redirect_uri() {
                return Err(refusal("invalid_grant", "redirect_uri: not the one that the code was sent to"));
            }
            vendor.state().grants.exchange(code, verifier, now)
        }
        "refresh_token" => {
            let token = form.need("refresh_token").map_err(invalid)?;
            if form.one("scope").map_err(invalid)?.is_some() {
                return Err(refusal("invalid_scope", "scope: a refresh gives what was consented to; leave it out"));
            }
            vendor.state().grants.refresh(token, now)
        }
        _ => return Err(refusal("unsupported_grant_type", "grant_type: authorization_code or refresh_token")),
    };
    issued.map_err(|refused| {
        let description = match refused {
            Refused::Unknown => "the code or token is not known",
            Refused::Expired => "the code has expired",
            Refused::Revoked => "the grant was revoked",
            Refused::Reused => "the code or token was used already: the grant is revoked",
            Refused::Verifier => "code_verifier: does not fit the challenge",
        };
        refusal("invalid_grant", description)
    })
}

/// Revokes the grant of a token, whichever token it is. One that is not known is no error (RFC 7009, section 2.2).
pub(in crate::sandbox) async fn revoke(
    State(vendor): State<Vendor>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let form = form(&vendor, &headers, body).await?;
    vendor.state().grants.give_back(form.need("token").map_err(invalid)?);
    Ok(answer::json(StatusCode::OK, &json!({})))
}

/// Says what a token is good for.
pub(in crate::sandbox) async fn introspect(
    State(vendor): State<Vendor>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let form = form(&vendor, &headers, body).await?;
    let token = form.need("token").map_err(invalid)?;
    let now = vendor.clock().now();
    let state = vendor.state();
    let Some(found) = state.grants.find(token, now) else {
        return Ok(answer::json(StatusCode::OK, &json!({"active": false})));
    };
    let mut said = json!({
        "active": true,
        "scope": Scope::join(&found.grant.scopes),
        "client_id": vendor.app().id,
        "sub": found.grant.account.id,
        "iss": vendor.issuer(),
    });
    // RFC 7662 gives an access token's type here, and leaves that of a refresh token open.
    if let Some(expires_at) = found.expires_at {
        said["token_type"] = json!("Bearer");
        said["exp"] = json!(expires_at);
    }
    Ok(answer::json(StatusCode::OK, &said))
}
