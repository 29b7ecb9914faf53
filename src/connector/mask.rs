//! Keeping credentials out of vendors' texts before anybody sees or stores them.

use std::{collections::BTreeSet, fmt::Write as _, sync::LazyLock};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD},
};
use regex::Regex;
use url::Url;
use zeroize::Zeroizing;

use super::{
    grant::Grant,
    request::{CallContext, percent_encode},
    sign::SigningKeys,
    values::Values,
};
use crate::domain::secret::{SEALED, Secret};

/// What looks like a credential whoever it belongs to: tokens in an `Authorization` header, signed web
/// tokens, and keys that begin with a word that says so.
static TOKENS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?i:bearer|basic)[ +]+[A-Za-z0-9._~+/=*-]{8,}",
        r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
        r"|\b(?:sk|rk|whsec|whsk|xkeysib|xsmtpsib|xox[a-z]|gh[a-z]|glpat|phx|shpat|ya29|SG)[_.-][A-Za-z0-9_./+=*-]{8,}",
    ))
    .expect("a regex")
});

/// The shortest end of a text that is taken for a secret that was cut.
const CUT_MIN: usize = 4;

/// Puts `[sealed]` in the place of every secret of the connection, as it is and as it looks in Base64, in
/// an address or in JSON, and of whatever else looks like a token. A secret that the text's end cuts is
/// masked too.
#[must_use]
pub fn mask(text: &str, context: &CallContext<'_>) -> String {
    mask_with(text, context.values, context.signing, context.grant, &[])
}

/// The same, of more secrets.
pub(super) fn mask_with(
    text: &str,
    values: &Values,
    signing: &SigningKeys,
    grant: Option<&Grant>,
    more: &[&str],
) -> String {
    let mut secrets: Vec<&str> = signing.0.iter().map(Secret::expose).chain(more.iter().copied()).collect();
    if let Some(grant) = grant {
        secrets.push(grant.access.expose());
        secrets.extend(grant.refresh.as_ref().map(Secret::expose));
    }
    let needles = needles(values, secrets);
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(needle) = needles.iter().find(|needle| rest.starts_with(needle.as_str())) {
            masked.push_str(SEALED);
            rest = &rest[needle.len()..];
        } else if rest.len() >= CUT_MIN && needles.iter().any(|needle| needle.starts_with(rest)) {
            masked.push_str(SEALED);
            rest = "";
        } else {
            masked.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    TOKENS.replace_all(&masked, SEALED).into_owned()
}

/// Every form of every secret, the longest first.
fn needles<'a>(values: &'a Values, mut secrets: Vec<&'a str>) -> Vec<Zeroizing<String>> {
    let mut forms = BTreeSet::new();
    for (value, secret) in values.iter() {
        if secret {
            secrets.push(value);
            // As the password of Basic credentials, the user's name being any other value.
            for (user, _) in values.iter() {
                forms.insert(STANDARD.encode(format!("{user}:{value}")));
            }
            forms.insert(STANDARD.encode(format!("{value}:")));
            forms.insert(STANDARD.encode(format!(":{value}")));
        } else if let Some(query) = Url::parse(value).ok().as_ref().and_then(Url::query) {
            // An address may carry a token in its query.
            forms.insert(query.to_owned());
        }
    }
    for secret in secrets {
        forms.insert(secret.to_owned());
        for engine in [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD] {
            forms.insert(engine.encode(secret));
        }
        let encoded = percent_encode(secret);
        forms.insert(encoded.to_lowercase());
        forms.insert(encoded.replace("%20", "+"));
        forms.insert(encoded);
        forms.insert(url::form_urlencoded::byte_serialize(secret.as_bytes()).collect());
        let quoted = serde_json::Value::from(secret).to_string();
        let json = quoted[1..quoted.len() - 1].to_owned();
        forms.insert(json.replace('/', "\\/"));
        forms.insert(ascii_json(&json));
        forms.insert(json);
    }
    forms.remove("");
    let mut forms: Vec<Zeroizing<String>> = forms.into_iter().map(Zeroizing::new).collect();
    forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
    forms
}

/// JSON text with every character beyond ASCII escaped (RFC 8259, 7).
fn ascii_json(json: &str) -> String {
    json.encode_utf16().fold(String::new(), |mut text, unit| {
        match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii() => text.push(char::from(byte)),
            _ => {
                // Writing to a text does not fail.
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
        text
    })
}
