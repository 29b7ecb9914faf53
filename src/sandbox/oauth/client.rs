//! How the client proves itself (RFC 6749, section 2.3.1): by HTTP Basic, or in the body.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use percent_encoding::percent_decode_str;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::super::{answer::Refusal, parameters::Parameters, vendor::Vendor};

/// Refuses whoever is not the client.
pub(super) fn check(vendor: &Vendor, headers: &HeaderMap, form: &Parameters) -> Result<(), Refusal> {
    let invalid = |problem: String| Refusal::new(StatusCode::BAD_REQUEST, "invalid_request", problem);
    let id = form.one("client_id").map_err(invalid)?;
    let secret = form.one("client_secret").map_err(invalid)?;
    let known = match headers.get(header::AUTHORIZATION) {
        Some(_) if secret.is_some() => return Err(invalid("the client proves itself twice".to_owned())),
        Some(value) => basic(value).is_some_and(|(user, password)| {
            is_client(vendor, &user, &password) && id.is_none_or(|id| id == user.as_str())
        }),
        None => id.zip(secret).is_some_and(|(id, secret)| is_client(vendor, id, secret)),
    };
    let wrong = || Refusal::new(StatusCode::UNAUTHORIZED, "invalid_client", "the client id or secret is wrong");
    if known { Ok(()) } else { Err(wrong().challenging("Basic realm=\"sandbox\"")) }
}

fn is_client(vendor: &Vendor, id: &str, secret: &str) -> bool {
    let app = vendor.app();
    let same = secret.as_bytes().ct_eq(app.secret.expose().as_bytes());
    id == app.id && bool::from(same)
}

/// User and password, each of which is written as in a form before it goes into Basic.
fn basic(value: &HeaderValue) -> Option<(Zeroizing<String>, Zeroizing<String>)> {
    let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = Zeroizing::new(String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?);
    let (user, password) = pair.split_once(':')?;
    let plain = |text: &str| {
        let text = Zeroizing::new(text.replace('+', " "));
        Some(Zeroizing::new(percent_decode_str(&text).decode_utf8().ok()?.into_owned()))
    };
    Some((plain(user)?, plain(password)?))
}
