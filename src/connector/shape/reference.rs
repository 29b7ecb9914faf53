//! The tables of the manifests' reference.

use super::{
    Key, Kind, MANIFEST, Need, PROVIDER, Shape,
    call::{ACCOUNT, MISSING_SCOPES, OPERATION, PART, REQUEST, RULE, STEP},
    connect::{CREDENTIAL, DERIVED, FIELD, FLOW, MAIL, OPTION},
    oauth::{AUTHORIZE, CAPTURE, EXPIRY, GRANTED, LIMIT, OAUTH, REFRESH, REVOCATION, TOKEN},
    top::{ERROR, RETRY_AFTER, SCOPE},
};

/// Every table that the reference shows.
const SHOWN: [&Shape; 25] = [
    &MANIFEST,
    &ERROR,
    &RETRY_AFTER,
    &SCOPE,
    &FLOW,
    &FIELD,
    &OPTION,
    &DERIVED,
    &MAIL,
    &CREDENTIAL,
    &OAUTH,
    &AUTHORIZE,
    &TOKEN,
    &GRANTED,
    &EXPIRY,
    &CAPTURE,
    &REFRESH,
    &LIMIT,
    &REVOCATION,
    &PROVIDER,
    &REQUEST,
    &PART,
    &STEP,
    &ACCOUNT,
    &OPERATION,
];

/// Writes the tables of a reference anew: each stands between `<!-- keys: NAME -->` and `<!-- end -->`.
///
/// # Errors
/// Which table is not there, or is not known.
pub fn manifest_reference(text: &str) -> Result<String, String> {
    let mut written = String::with_capacity(text.len());
    let mut rest = text;
    let mut missing: Vec<&Shape> = SHOWN.into_iter().chain([&RULE, &MISSING_SCOPES]).collect();
    while let Some((before, after)) = rest.split_once("<!-- keys: ") {
        let (name, after) = after.split_once(" -->").ok_or("a `<!-- keys:` is not closed")?;
        let (_, after) = after.split_once("<!-- end -->").ok_or_else(|| format!("`{name}` has no `<!-- end -->`"))?;
        let at = missing.iter().position(|shape| shape.name.to_lowercase() == name);
        let shape = missing.remove(at.ok_or_else(|| format!("there is no table `{name}`, or it stands here twice"))?);
        written.push_str(before);
        for text in ["<!-- keys: ", name, " -->\n", &table(shape), "<!-- end -->"] {
            written.push_str(text);
        }
        rest = after;
    }
    written.push_str(rest);
    match missing.first() {
        None => Ok(written),
        Some(shape) => Err(format!("the table `{}` is missing", shape.name.to_lowercase())),
    }
}

fn table(shape: &Shape) -> String {
    let row = |key: &Key| format!("| `{}` | {} | {} |\n", key.name, kind(key), key.doc().replace('|', "\\|"));
    let rows: Vec<String> = shape.keys.iter().map(row).collect();
    format!("| key | type | meaning |\n| --- | --- | --- |\n{}", rows.concat())
}

/// The type in words; a flag is never required.
fn kind(key: &Key) -> String {
    let words = |words: &[&str]| words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    let text = match key.kind {
        Kind::Flag => return "flag".to_owned(),
        Kind::Version => "number".to_owned(),
        Kind::Text | Kind::Identifier => "text".to_owned(),
        Kind::HttpsAddress => "https address".to_owned(),
        Kind::Day => "day, such as `\"2027-02-16\"`".to_owned(),
        Kind::MediaType => "media type".to_owned(),
        Kind::Template => "template".to_owned(),
        Kind::Name => "name without braces".to_owned(),
        Kind::Pointer => "pointer".to_owned(),
        Kind::Pattern => "pattern".to_owned(),
        Kind::Whole => "whole number from 1".to_owned(),
        Kind::Word(list) => words(list),
        Kind::Words(list) => format!("one or a list of {}", words(list)),
        Kind::Texts => "text or list of texts".to_owned(),
        Kind::Templates => "template or list of templates".to_owned(),
        Kind::Pointers => "pointer or list of pointers".to_owned(),
        Kind::Table(_) => "table".to_owned(),
        Kind::Tables(_) => "list of tables".to_owned(),
        Kind::Named(_) => "table of tables, by names of your own".to_owned(),
        Kind::Values | Kind::Headers => "table of templates".to_owned(),
        Kind::Choices => "table of texts".to_owned(),
        Kind::Json => "any value, whose texts are templates".to_owned(),
        Kind::JsonText => "TOML, or JSON in a text".to_owned(),
        Kind::Statuses => "number, text, or list of them".to_owned(),
        Kind::Conditions => "table of what must be there".to_owned(),
        Kind::Sources => "source or list of sources".to_owned(),
        Kind::Groups => "list of lists of fields".to_owned(),
    };
    match key.need {
        Need::Required => text,
        Need::Optional => format!("{text}; optional"),
    }
}
