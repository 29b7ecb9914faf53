//! Reading a manifest: TOML in, a checked [`Connector`] out, or every fault at once.

mod body;
mod call;
mod credential;
mod derive;
mod flow;
mod names;
mod oauth;
mod operation;
mod provider;
mod rule;
mod scope;
mod test;
mod url_template;

use std::collections::BTreeMap;

use toml::de::DeTable;

pub(super) use self::provider::{Provider, read as read_provider};
use self::{call::BaseUrl, names::Names};
use super::{
    fault::{Fault, Faults, suggestion},
    hosts::Hosts,
    library::{Allowed, Source},
    model::{Base, Call, Connector, Credential, Flow, HintPlace, HintUnit, RetryHint, Step},
    reader::{Table, Text},
    shape::{MANIFEST, Shape},
};
use crate::domain::connector::{AuthFlow, ConnectorFamily};

/// The version of the format that this program reads.
const VERSION: i64 = 1;

/// Reads one manifest.
///
/// # Errors
/// Everything that is wrong with it, in the order of the text.
pub(super) fn read(
    source: &Source,
    allowed: Allowed<'_>,
    providers: &BTreeMap<String, Option<Provider>>,
) -> Result<Connector, Vec<Fault>> {
    parse(source, &MANIFEST, |root, faults| connector(root, faults, allowed, providers))
}

/// Parses a file and hands its tables to `read`; what it notes, and what it never asked for, are faults.
fn parse<T>(
    source: &Source,
    shape: &'static Shape,
    read: impl FnOnce(&mut Table<'_, '_>, &mut Faults<'_>) -> Option<T>,
) -> Result<T, Vec<Fault>> {
    let mut faults = Faults::new(&source.file, &source.text);
    let (document, errors) = DeTable::parse_recoverable(&source.text);
    for error in &errors {
        faults.add(&error.span().unwrap_or_default(), format!("is no TOML: {}", error.message()));
    }
    let mut root = Table::new(document.get_ref(), 0..0, Some(shape));
    let found = read(&mut root, &mut faults);
    root.finish(&mut faults);
    match found {
        Some(found) if faults.is_empty() => Ok(found),
        _ => Err(faults.into_list()),
    }
}

fn connector(
    root: &mut Table<'_, '_>,
    faults: &mut Faults<'_>,
    allowed: Allowed<'_>,
    providers: &BTreeMap<String, Option<Provider>>,
) -> Option<Connector> {
    version(root, faults);
    let slug = identifier(root, faults, "slug");
    let display_name = root.need_text(faults, "display_name");
    let family = root.need_word(faults, "family", &words(ConnectorFamily::ALL, ConnectorFamily::as_str));
    let description = root.need_text(faults, "description");
    let documentation_url = web_address(root, faults, "documentation_url");
    let base_url = root.text(faults, "base_url");
    let (mut error_code, mut error_message) = error_pointers(root, faults);
    let mut retry_hints = retry_hints(root, faults);
    let named = root.text(faults, "provider");
    let provider = named.as_ref().and_then(|name| {
        let found = providers.get(&name.value);
        if found.is_none() {
            let hint = suggestion(&name.value, providers.keys().map(String::as_str));
            faults.add(&name.span, format!("there is no provider `{}`{hint}", name.value));
        }
        found
    });
    let broken = provider.is_some_and(Option::is_none);
    let provider = provider.and_then(Option::as_ref);
    let mut hosts = hosts(root, faults);
    let scopes = scope::read_all(root, faults, provider.map(|provider| provider.scopes.as_slice()).unwrap_or_default());
    if let Some(provider) = provider {
        hosts.extend(&provider.hosts);
        error_code.extend_from_slice(&provider.error_code);
        error_message.extend_from_slice(&provider.error_message);
        retry_hints.extend_from_slice(&provider.retry_hints);
    }

    let app = slug.as_deref().unwrap_or_default();
    let shared = flow::Shared { allowed, hosts: &hosts, scopes: &scopes, provider, broken, app };
    let (flows, steps) = flow::read_all(root, faults, shared);
    if let Some(name) = named.filter(|_| !flows.iter().any(|flow| flow.flow == AuthFlow::Oauth)) {
        faults.add(&name.span, "`provider` is for connectors with a flow oauth, and there is none");
    }
    let all: Vec<&Flow> = flows.iter().collect();
    let base = base_url.as_ref().and_then(|text| BaseUrl::read(faults, text, &all));
    let (test, mut bound) = test::read_all(root, faults, &flows, base.as_ref(), &scopes);
    check_steps(faults, &test, &steps);
    let (operations, more) = operation::read_all(root, faults, &all, base.as_ref(), &scopes);
    bound.extend(more);
    let mut rules =
        rule::read_all(root, faults, "rules", rule::Place { names: &Names::of_connection(&all), later_steps: None });
    rules.extend(provider.into_iter().flat_map(|provider| provider.rules.clone()));
    let mut sunsets = faults.take_sunsets();
    sunsets.extend(provider.into_iter().flat_map(|provider| provider.sunsets.clone()));

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
        scopes,
        operations,
        test,
        rules,
        retry_hints,
        error_code,
        error_message,
        hosts,
        sunsets,
    })
}

/// Captured values come from steps that there are.
fn check_steps(faults: &mut Faults<'_>, test: &[Step], steps: &[Text]) {
    for step in steps {
        let of_oauth = |known: &&Step| known.flows.contains(&AuthFlow::Oauth);
        if !test.iter().filter(of_oauth).any(|known| known.name == step.value) {
            let hint = suggestion(&step.value, test.iter().filter(of_oauth).map(|known| known.name.as_str()));
            faults.add(&step.span, format!("the test of the flow oauth has no step `{}`{hint}", step.value));
        }
    }
}

/// The hosts that may come from outside the manifest.
fn hosts(root: &mut Table<'_, '_>, faults: &mut Faults<'_>) -> Hosts {
    let mut hosts = Hosts::default();
    for text in root.texts(faults, "allowed_hosts") {
        if let Err(problem) = hosts.add(&text.value) {
            faults.add(&text.span, format!("`{}` {problem}", text.value));
        }
    }
    hosts
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
    const UNITS: [(&str, HintUnit); 4] = [
        ("seconds", HintUnit::Seconds),
        ("milliseconds", HintUnit::Milliseconds),
        ("unix_seconds", HintUnit::UnixSeconds),
        ("time", HintUnit::Time),
    ];
    let mut hints = Vec::new();
    for mut table in root.tables(faults, "retry_after") {
        let header = table.text(faults, "header");
        let json = table.text(faults, "json");
        let pattern = table.text(faults, "pattern").and_then(|text| rule::pattern(faults, &text, "`pattern`"));
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
        hints.extend(place.zip(unit).map(|(place, unit)| RetryHint { place, pattern, unit }));
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
