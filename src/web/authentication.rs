//! Who is asking: from the request's header to a [`Principal`], or 401 before GraphQL runs.

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};

use super::{
    WebState,
    accept::Media,
    answer,
    envelope::RequestId,
    token::{Standing, Unauthenticated},
};
use crate::domain::principal::Principal;

/// Why a request goes no further.
#[derive(Debug)]
pub(super) enum Refused {
    /// No token, or one that is worth nothing.
    Unauthenticated,
    /// The caller could not be admitted; the log says why.
    Internal,
}

impl Refused {
    /// The answer, the same for every token that is not right.
    pub(super) fn answer(&self, id: &RequestId, media: Media) -> Response {
        match self {
            Self::Unauthenticated => {
                let mut response = answer::refusal(
                    StatusCode::UNAUTHORIZED,
                    "UNAUTHENTICATED",
                    "Authentication is required: send a valid bearer token.",
                    media,
                );
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                response
            }
            Self::Internal => answer::internal(id, StatusCode::INTERNAL_SERVER_ERROR, media),
        }
    }
}

/// Whom a token names, and what that rests on.
#[derive(Clone)]
pub(super) struct Admitted {
    pub principal: Principal,
    pub standing: Standing,
}

/// The caller that the `Authorization` header names, taken note of.
pub(super) async fn authenticate(state: &WebState, headers: &HeaderMap) -> Result<Admitted, Refused> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => admit(state, value.to_str().map_err(|_| Refused::Unauthenticated)?).await,
        _ => Err(Refused::Unauthenticated),
    }
}

/// The caller that these credentials (`Bearer TOKEN`) name, taken note of.
pub(super) async fn admit(state: &WebState, credentials: &str) -> Result<Admitted, Refused> {
    let verified = match bearer(credentials) {
        Some(token) => state.tokens.verify(token).await,
        None => Err(Unauthenticated),
    };
    let (principal, standing) = verified.map_err(|Unauthenticated| {
        tracing::debug!("a token was refused");
        Refused::Unauthenticated
    })?;
    state.gateway.admit(&principal).await.map_err(|failure| {
        tracing::error!(?failure, site = %principal.site, "a caller could not be admitted");
        Refused::Internal
    })?;
    Ok(Admitted { principal, standing })
}

/// The token of `Bearer TOKEN` (RFC 6750, section 2.1); the scheme's name in any case (RFC 9110, section 11.1).
fn bearer(credentials: &str) -> Option<&str> {
    let (scheme, token) = credentials.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_matches(' ')).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_is_bearer_in_any_case() {
        for (credentials, expected) in [
            ("Bearer abc", Some("abc")),
            ("bearer  abc ", Some("abc")),
            ("BEARER abc", Some("abc")),
            ("Basic abc", None),
            ("Bearer", None),
            ("Bearer ", None),
            ("abc", None),
            ("", None),
        ] {
            assert_eq!(bearer(credentials), expected, "{credentials:?}");
        }
    }
}
