//! Reading a manifest: TOML in, a checked [`Connector`] out, or every fault at once.

mod call;
mod derive;
mod flow;
mod names;
mod operation;
mod rule;
mod test;
mod url_template;

use toml::de::DeTable;

use self::{call::BaseUrl, names::Names};
use super::{
    fault::{Fault, Faults},
    library::{LoadOptions, Source},
    model::{Base, Call, Connector, Credential, Flow, HintPlace, HintUnit, RetryHint},
    reader::{Table, Text},
};
use crate::domain::connector::{AuthFlow, ConnectorFamily};

/// The version of the format that this program reads.
const VERSION: i64 = 1;

/// Reads one manifest.
///
/// # Errors
/// Everything that is wrong with it, in the order of the text.
pub(super) fn read(source: &Source, options: LoadOptions) -> Result<Connector, Vec<Fault>> {
    let mut faults = Faults::new(&source.file, &source.text);
    let (document, errors) = DeTable::parse_recoverable(&source.text);
    for error in &errors {
        faults.add(&error.span().unwrap_or_default(), format!("is no TOML: {}", error.message()));
    }
    let mut root = Table::new(document.get_ref(), 0..0);
    let connector = connector(&mut root, &mut faults, options);
    root.finish(&mut faults);
    match connector {
        Some(connector) if faults.is_empty() => Ok(connector),
        _ => Err(faults.into_list()),
    }
}

fn connector(root: &mut Table<'_, '_>, faults: &mut Faults<'_>, options: LoadOptions) -> Option<Connector> {
    version(root, faults);
    let slug = identifier(root, faults, "slug");
    let display_name = root.need_text(faults, "display_name");
    let family = root.need_word(faults, "family", &words(ConnectorFamily::ALL, ConnectorFamily::as_str));
    let description = root.need_text(faults, "description");
    let documentation_url = web_address(root, faults, "documentation_url");
    let base_url = root.text(faults, "base_url");
    let (error_code, error_message) = error_pointers(root, faults);
    let retry_hints = retry_hints(root, faults);

    let flows = flow::read_all(root, faults, options);
    let all: Vec<&Flow> = flows.iter().collect();
    let base = base_url.as_ref().and_then(|text| BaseUrl::read(faults, text, &all));
    let (test, mut bound) = test::read_all(root, faults, &flows, base.as_ref());
    let (operations, more) = operation::read_all(root, faults, &all, base.as_ref());
    bound.extend(more);
    let rules =
        rule::read_all(root, faults, "rules", rule::Place { names: &Names::of_connection(&all), later_steps: None });

    let mut flows = flows;
    for (flow, address) in bound {
        if let Some(flow) = flows.iter_mut().find(|known| known.flow == flow)
            && !flow.bound_addresses.contains(&address)
        {
            flow.bound_addresses.push(address);
        }
    }
    Some(Connector {
        slug: slug?,
        display_name: display_name?.value,
        family: family?,
        description: description?.value,
        documentation_url,
        flows,
        scopes: Vec::new(),
        operations,
        test,
        rules,
        retry_hints,
        error_code,
        error_message,
    })
}

fn version(root: &mut Table<'_, '_>, faults: &mut Faults<'_>) {
    match root.any("version") {
        None => root.missing("version", format!("`version = {VERSION}` is missing")),
        Some(found) if found.get_ref().as_integer().is_some_and(|number| number.to_string() == VERSION.to_string()) => {
        }
        Some(found) => {
            faults.add(&found.span(), format!("`version` must be {VERSION}, the version that this program reads"));
        }
    }
}

/// A name of lower-case letters, digits and `_`, as callers store it.
fn identifier(table: &mut Table<'_, '_>, faults: &mut Faults<'_>, key: &'static str) -> Option<String> {
    let found = table.need_text(faults, key)?;
    check_identifier(faults, &found, &format!("`{key}`"));
    Some(found.value)
}

fn check_identifier(faults: &mut Faults<'_>, text: &Text, what: &str) {
    let begins = text.value.starts_with(|c: char| c.is_ascii_lowercase());
    let rest = text.value.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if !(begins && rest && text.value.len() <= 64) {
        faults.add(
            &text.span,
            format!("{what} must be lower-case letters, digits and `_`, begin with a letter, and have at most 64"),
        );
    }
}

fn web_address(table: &mut Table<'_, '_>, faults: &mut Faults<'_>, key: &'static str) -> Option<String> {
    let found = table.text(faults, key)?;
    if url::Url::parse(&found.value).is_ok_and(|url| url.scheme() == "https") {
        return Some(found.value);
    }
    faults.add(&found.span, format!("`{key}` must be an address that begins with https://"));
    None
}

fn error_pointers(root: &mut Table<'_, '_>, faults: &mut Faults<'_>) -> (Vec<String>, Vec<String>) {
    let Some(mut table) = root.table(faults, "error") else { return Default::default() };
    let mut pointers = |key| {
        let texts = table.texts(faults, key);
        texts.into_iter().filter_map(|text| rule::pointer(faults, text)).collect()
    };
    let found = (pointers("code"), pointers("message"));
    table.finish(faults);
    found
}

fn retry_hints(root: &mut Table<'_, '_>, faults: &mut Faults<'_>) -> Vec<RetryHint> {
    const UNITS: [(&str, HintUnit); 3] = [
        ("seconds", HintUnit::Seconds),
        ("milliseconds", HintUnit::Milliseconds),
        ("unix_seconds", HintUnit::UnixSeconds),
    ];
    let mut hints = Vec::new();
    for mut table in root.tables(faults, "retry_after") {
        let header = table.text(faults, "header");
        let json = table.text(faults, "json");
        let unit = table.need_word(faults, "unit", &UNITS);
        let place = match (header, json) {
            (Some(header), None) => call::header_name(faults, &header).map(HintPlace::Header),
            (None, Some(json)) => rule::pointer(faults, json).map(HintPlace::Json),
            _ => {
                faults.add(&table.span, "give either `header` or `json`");
                None
            }
        };
        table.finish(faults);
        hints.extend(place.zip(unit).map(|(place, unit)| RetryHint { place, unit }));
    }
    hints
}

/// A closed vocabulary as the words of a key.
fn words<T: Copy>(all: &[T], text: impl Fn(T) -> &'static str) -> Vec<(&'static str, T)> {
    all.iter().map(|value| (text(*value), *value)).collect()
}

/// The address fields to whose host a call takes a secret of each of these flows.
fn bound(call: &Call, flows: &[&Flow]) -> Vec<(AuthFlow, String)> {
    let Base::Field(address) = &call.url.base else { return Vec::new() };
    let carries = |flow: &&&Flow| {
        let placed = flow.credentials.iter().find(|(name, _)| Some(name) == call.credential.as_ref());
        placed.is_some_and(|(_, credential)| !matches!(credential, Credential::StandardWebhooks))
    };
    flows.iter().filter(carries).map(|flow| (flow.flow, address.clone())).collect()
}
