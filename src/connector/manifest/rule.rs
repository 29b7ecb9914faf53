//! Rules: how an answer is told by its signs, and what it means.

use std::ops::RangeInclusive;

use regex::Regex;
use toml::{Spanned, de::DeValue};

use super::{
    super::{
        ecma,
        fault::{Faults, suggestion},
        model::{Account, Class, Condition, Matcher, MissingScopes, Rule, Source, Then},
        reader::{self, Table, Text, table, text, wrong_type},
        shape::{MATCHER, SOURCE},
    },
    call, flow,
    names::{self, Names},
    words,
};
use crate::domain::test_report::TestProof;

const CLASSES: [(&str, Class); 11] = [
    ("success", Class::Success),
    ("expired", Class::Expired),
    ("revoked", Class::Revoked),
    ("invalid", Class::Invalid),
    ("insufficient_scope", Class::InsufficientScope),
    ("rate_limited", Class::RateLimited),
    ("plan", Class::Plan),
    ("config_error", Class::ConfigError),
    ("gone", Class::Gone),
    ("retryable", Class::Retryable),
    ("rejected", Class::Rejected),
];

/// Where rules stand.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) names: &'a Names<'a>,
    /// The steps to which a rule of a test may lead; `None` elsewhere.
    pub(super) later_steps: Option<&'a [String]>,
}

pub(super) fn read_all(
    parent: &mut Table<'_, '_>,
    faults: &mut Faults<'_>,
    key: &'static str,
    place: Place<'_>,
) -> Vec<Rule> {
    let mut rules = Vec::new();
    for mut table in parent.tables(faults, key) {
        let rule = read(&mut table, faults, place);
        table.finish(faults);
        rules.extend(rule);
    }
    rules
}

fn read(table: &mut Table<'_, '_>, faults: &mut Faults<'_>, place: Place<'_>) -> Option<Rule> {
    let flows = flow::named(table, faults, place.names.flows).unwrap_or_default();
    let when = condition(table, faults);
    let detail = table.text(faults, "detail").map(|text| text.value);
    let missing_scopes = missing_scopes(table, faults);
    let wait = table.number(faults, "wait_seconds");
    let class = table.word(faults, "then", &CLASSES);
    if wait.is_some() && class.is_some_and(|class| !matches!(class, Class::RateLimited | Class::Retryable)) {
        faults.add(&table.span, "`wait_seconds` is for rate_limited and retryable only");
    }
    let mut rule = Rule {
        flows,
        when,
        then: Then::Class(Class::Rejected),
        detail,
        missing_scopes,
        wait,
        account: Account::default(),
        proof: None,
    };
    let (has_then, has_next) = (table.has("then"), table.any("next"));
    if let Some(steps) = place.later_steps {
        rule.account = account(table, faults, place.names);
        rule.proof = table.word(faults, "proof", &words(TestProof::ALL, TestProof::as_str));
        if let Some(next) = table.text(faults, "next") {
            if !steps.contains(&next.value) {
                let hint = suggestion(&next.value, steps.iter().map(String::as_str));
                faults.add(
                    &next.span,
                    format!("`next` must be a later step of the same flows; `{}` is none{hint}", next.value),
                );
            }
            rule.then = Then::Next(next.value);
        }
    } else if let Some(next) = has_next {
        faults.add(&next.span(), "`next` is for the rules of a test's step only");
    }
    match (has_then, has_next.is_some()) {
        (true, true) => faults.add(&table.span, "give either `then` or `next`"),
        (false, false) => faults.add(&table.span, "`then` is missing: what does such an answer mean?"),
        (true, false) => rule.then = Then::Class(class?),
        (false, true) => {}
    }
    Some(rule)
}

fn condition(table: &mut Table<'_, '_>, faults: &mut Faults<'_>) -> Condition {
    let status = statuses(table, faults);
    let json = matchers(table, faults, "json").into_iter();
    let json = json.filter_map(|(key, matcher)| Some((pointer(faults, key)?, matcher))).collect();
    let headers = matchers(table, faults, "headers").into_iter();
    let headers = headers.filter_map(|(key, matcher)| Some((call::header_name(faults, &key)?, matcher))).collect();
    let body = table.text(faults, "body").and_then(|text| pattern(faults, &text, "`body`"));
    let content_type = table.text(faults, "content_type").map(|text| text.value);
    if !["status", "json", "headers", "body", "content_type"].into_iter().any(|key| table.has(key)) {
        faults.add(&table.span, "a rule needs a condition: `status`, `json`, `headers`, `body` or `content_type`");
    }
    Condition { status, json, headers, body, content_type }
}

/// `404`, `"5xx"`, or a list of such.
fn statuses(table: &mut Table<'_, '_>, faults: &mut Faults<'_>) -> Vec<RangeInclusive<u16>> {
    let Some(found) = table.any("status") else { return Vec::new() };
    match found.get_ref() {
        DeValue::Array(items) => items.iter().filter_map(|item| status(faults, item)).collect(),
        _ => status(faults, found).into_iter().collect(),
    }
}

fn status(faults: &mut Faults<'_>, found: &Spanned<DeValue<'_>>) -> Option<RangeInclusive<u16>> {
    let range = match found.get_ref() {
        DeValue::Integer(number) => {
            number.to_string().parse().ok().filter(|code| (100..=599).contains(code)).map(|code| code..=code)
        }
        DeValue::String(text) => {
            let hundred = text.strip_suffix("xx").and_then(|digit| digit.parse::<u16>().ok());
            hundred.filter(|digit| (1..=5).contains(digit)).map(|digit| digit * 100..=digit * 100 + 99)
        }
        _ => None,
    };
    if range.is_none() {
        faults.add(&found.span(), "a status is a number from 100 to 599, or a text such as \"5xx\"");
    }
    range
}

fn matchers(parent: &mut Table<'_, '_>, faults: &mut Faults<'_>, key: &'static str) -> Vec<(Text, Matcher)> {
    let Some(all) = parent.table(faults, key) else { return Vec::new() };
    all.entries().filter_map(|(name, value)| Some((name, matcher(faults, value)?))).collect()
}

fn matcher(faults: &mut Faults<'_>, found: &Spanned<DeValue<'_>>) -> Option<Matcher> {
    match found.get_ref() {
        DeValue::Table(_) => {
            let mut table = table(faults, found, "a condition", Some(&MATCHER))?;
            let matches = table.text(faults, "matches");
            let present = table.any("present");
            table.finish(faults);
            match (matches, present) {
                (Some(text), None) => pattern(faults, &text, "`matches`").map(Matcher::Matches),
                (None, Some(value)) => {
                    let wanted = value.get_ref().as_bool();
                    if wanted.is_none() {
                        wrong_type(faults, value, "`present`", "true or false");
                    }
                    wanted.map(Matcher::Present)
                }
                _ => {
                    faults.add(&found.span(), "give either `matches` or `present`");
                    None
                }
            }
        }
        DeValue::Array(items) => {
            let values: Vec<_> = items.iter().filter_map(|item| reader::json(faults, item)).collect();
            Some(Matcher::OneOf(values))
        }
        _ => reader::json(faults, found).map(|value| Matcher::OneOf(vec![value])),
    }
}

/// A JSON pointer (RFC 6901) to something within an answer.
pub(super) fn pointer(faults: &mut Faults<'_>, text: Text) -> Option<String> {
    if text.value.starts_with('/') {
        return Some(text.value);
    }
    faults.add(&text.span, "a JSON pointer begins with `/`, such as /error/code");
    None
}

pub(super) fn pattern(faults: &mut Faults<'_>, text: &Text, what: &str) -> Option<Regex> {
    ecma::compile(&text.value).map_err(|problem| faults.add(&text.span, format!("{what} {problem}"))).ok()
}

fn missing_scopes(parent: &mut Table<'_, '_>, faults: &mut Faults<'_>) -> Option<MissingScopes> {
    let mut table = parent.table(faults, "missing_scopes")?;
    let texts = table.texts(faults, "json");
    if texts.is_empty() {
        table.missing("json", "`json` is missing: where are they named?".to_owned());
    }
    let pointers = texts.into_iter().filter_map(|text| pointer(faults, text)).collect();
    let pattern = table.text(faults, "pattern").and_then(|text| pattern(faults, &text, "`pattern`"));
    table.finish(faults);
    Some(MissingScopes { pointers, pattern })
}

/// Where the account's id and name are taken from.
pub(super) fn account(parent: &mut Table<'_, '_>, faults: &mut Faults<'_>, names: &Names<'_>) -> Account {
    let Some(mut table) = parent.table(faults, "account") else { return Account::default() };
    let account =
        Account { id: sources(&mut table, faults, "id", names), name: sources(&mut table, faults, "name", names) };
    table.finish(faults);
    account
}

fn sources(parent: &mut Table<'_, '_>, faults: &mut Faults<'_>, key: &'static str, names: &Names<'_>) -> Vec<Source> {
    let Some(found) = parent.any(key) else { return Vec::new() };
    match found.get_ref() {
        DeValue::Array(items) => items.iter().filter_map(|item| source(faults, item, names)).collect(),
        _ => source(faults, found, names).into_iter().collect(),
    }
}

fn source(faults: &mut Faults<'_>, found: &Spanned<DeValue<'_>>, names: &Names<'_>) -> Option<Source> {
    if found.get_ref().is_table() {
        let mut table = table(faults, found, "a source", Some(&SOURCE))?;
        let json = table.need_text(faults, "json").and_then(|text| pointer(faults, text));
        let regex = table.need_text(faults, "pattern").and_then(|text| pattern(faults, &text, "`pattern`"));
        table.finish(faults);
        return Some(Source::Json { pointer: json?, pattern: Some(regex?) });
    }
    let text = text(faults, found, "a source")?;
    if text.value.starts_with('/') {
        return Some(Source::Json { pointer: text.value, pattern: None });
    }
    let place = names::Place { optional: true, ..names::Place::PLAIN };
    names.template(faults, &text, place).map(Source::Template)
}
