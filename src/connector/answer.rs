//! Reading a vendor's answer: whether a rule fits it, and what can be taken from it.

use std::{borrow::Cow, cell::OnceCell};

use regex::Regex;
use serde_json::Value;

use super::{
    model::{Class, Condition, Matcher, MissingScopes, Rule, Source},
    placeholders::{Placeholders, scalar},
};
use crate::domain::exchange::Answer;

/// The longest account id, name or error code that is kept, in bytes.
pub(super) const NAME_MAX: usize = 200;
/// How much of a body patterns look at, in bytes.
const BODY_MAX: usize = 64 * 1_024;
/// More missing scopes than any vendor names at once.
const SCOPES_MAX: usize = 20;
/// More items of a list than any answer that is looked at has.
const TEXTS_MAX: usize = 500;

/// An answer that is being read; its JSON is parsed once, where somebody asks for it.
pub(super) struct Read<'a> {
    answer: &'a Answer,
    json: OnceCell<Option<Value>>,
}

impl<'a> Read<'a> {
    pub(super) const fn new(answer: &'a Answer) -> Self {
        Self { answer, json: OnceCell::new() }
    }

    pub(super) const fn status(&self) -> u16 {
        self.answer.status
    }

    /// Whether its end was not read.
    pub(super) const fn truncated(&self) -> bool {
        self.answer.truncated
    }

    pub(super) fn header(&self, name: &str) -> Option<Cow<'a, str>> {
        self.answer.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()))
    }

    pub(super) fn json(&self) -> Option<&Value> {
        self.json.get_or_init(|| serde_json::from_slice(&self.answer.body).ok()).as_ref()
    }

    fn body(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(&self.answer.body[..self.answer.body.len().min(BODY_MAX)])
    }

    /// Whether everything that the condition asks for holds.
    pub(super) fn fits(&self, when: &Condition) -> bool {
        (when.status.is_empty() || when.status.iter().any(|range| range.contains(&self.answer.status)))
            && when.content_type.as_ref().is_none_or(|wanted| self.content_type().eq_ignore_ascii_case(wanted))
            && when.headers.iter().all(|(name, matcher)| {
                matcher.fits(self.header(name.as_str()).map(|text| Value::String(text.into_owned())).as_ref())
            })
            && when.json.iter().all(|(pointer, matcher)| {
                matcher.fits(self.json().and_then(|json| json.pointer(pointer)).filter(|value| !value.is_null()))
            })
            && when.body.as_ref().is_none_or(|pattern| pattern.is_match(&self.body()))
    }

    fn content_type(&self) -> String {
        let text = self.header("content-type").unwrap_or_default();
        text.split(';').next().unwrap_or_default().trim().to_owned()
    }

    /// The first of the sources that has something.
    pub(super) fn first(&self, sources: &[Source], names: &Placeholders<'_>) -> Option<String> {
        sources.iter().find_map(|source| {
            let found = match source {
                Source::Template(template) => names.render(template).ok()?.map(|text| text.to_string())?,
                Source::Json { pointer, pattern } => {
                    let text = self.text_at(pointer)?;
                    match pattern {
                        None => text.into_owned(),
                        Some(pattern) => captured(pattern, &text)?.to_owned(),
                    }
                }
            };
            let found = clean(&found, NAME_MAX);
            (!found.is_empty()).then_some(found)
        })
    }

    /// The single value that the first of these pointers leads to.
    pub(super) fn first_at(&self, pointers: &[String], max: usize) -> Option<String> {
        let texts = pointers.iter().filter_map(|pointer| self.text_at(pointer));
        texts.map(|text| clean(&text, max)).find(|text| !text.is_empty())
    }

    pub(super) fn text_at(&self, pointer: &str) -> Option<Cow<'_, str>> {
        self.json()?.pointer(pointer).and_then(scalar)
    }

    /// The permissions that the texts there name, each once.
    pub(super) fn scopes(&self, missing: &MissingScopes) -> Vec<String> {
        let mut scopes = Vec::new();
        let mut add = |found: &str| {
            let name = clean(found, NAME_MAX);
            if !name.is_empty() && !scopes.contains(&name) && scopes.len() < SCOPES_MAX {
                scopes.push(name);
            }
        };
        for text in missing.pointers.iter().flat_map(|pointer| self.texts_at(pointer)) {
            match &missing.pattern {
                None => add(&text),
                Some(pattern) => {
                    let groups = pattern.captures_iter(&text);
                    groups
                        .filter_map(|groups| groups.get(1).or_else(|| groups.get(0)))
                        .for_each(|found| add(found.as_str()));
                }
            }
        }
        scopes
    }

    /// The single value there, or those of a list.
    pub(super) fn texts_at(&self, pointer: &str) -> Vec<Cow<'_, str>> {
        match self.json().and_then(|json| json.pointer(pointer)) {
            Some(Value::Array(items)) => items.iter().take(TEXTS_MAX).filter_map(scalar).collect(),
            Some(value) => scalar(value).into_iter().collect(),
            None => Vec::new(),
        }
    }

    /// The first rule that fits.
    pub(super) fn rule<'r>(&self, rules: impl IntoIterator<Item = &'r Rule>) -> Option<&'r Rule> {
        rules.into_iter().find(|rule| self.fits(&rule.when))
    }

    /// The start of the body, if it is text.
    pub(super) fn beginning(&self, max: usize) -> Option<String> {
        // Enough for `max` bytes once cut characters at the end have gone.
        let start = &self.answer.body[..self.answer.body.len().min(4 * max)];
        let text = match std::str::from_utf8(start) {
            Ok(text) => text,
            Err(error) if error.error_len().is_none() => std::str::from_utf8(&start[..error.valid_up_to()]).ok()?,
            Err(_) => return None,
        };
        let text = clean(text, max);
        (!text.is_empty()).then_some(text)
    }
}

impl Matcher {
    fn fits(&self, found: Option<&Value>) -> bool {
        match self {
            Self::Present(wanted) => found.is_some() == *wanted,
            Self::OneOf(values) => found.is_some_and(|found| values.contains(found)),
            Self::Matches(pattern) => found.and_then(scalar).is_some_and(|text| pattern.is_match(&text)),
        }
    }
}

/// The first group of the pattern, or its whole match where it has none.
pub(super) fn captured<'t>(pattern: &Regex, text: &'t str) -> Option<&'t str> {
    let groups = pattern.captures(text)?;
    groups.get(1).or_else(|| groups.get(0)).map(|found| found.as_str())
}

/// What an answer means where no rule fits.
pub(super) const fn usual_class(status: u16) -> Class {
    match status {
        200..=299 => Class::Success,
        401 => Class::Invalid,
        429 => Class::RateLimited,
        408 | 425 | 500..=599 => Class::Retryable,
        _ => Class::Rejected,
    }
}

/// A text of at most `max` bytes without control characters, cut between characters.
pub(super) fn clean(text: &str, max: usize) -> String {
    let mut cleaned = String::with_capacity(text.len().min(max));
    for c in text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if cleaned.len() + c.len_utf8() > max {
            break;
        }
        cleaned.push(c);
    }
    cleaned.truncate(cleaned.trim_end().len());
    cleaned
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderMap, HeaderName, HeaderValue};
    use serde_json::json;

    use super::*;

    fn answer(status: u16, content_type: &'static str, body: &[u8]) -> Answer {
        let headers =
            HeaderMap::from_iter([(HeaderName::from_static("content-type"), HeaderValue::from_static(content_type))]);
        Answer { status, headers, body: body.to_vec(), truncated: false, latency: Duration::ZERO }
    }

    #[test]
    fn a_condition_holds_as_a_whole() {
        let answer = answer(403, "Application/JSON; charset=utf-8", br#"{"error": {"code": 7, "gone": null}}"#);
        let read = Read::new(&answer);
        let json = |pointer: &str, matcher| vec![(pointer.to_owned(), matcher)];
        let fits = |when: Condition| read.fits(&when);
        assert!(fits(Condition::default()));
        assert!(fits(Condition { status: vec![400..=403], ..Condition::default() }));
        assert!(!fits(Condition { status: vec![500..=599, 404..=404], ..Condition::default() }));
        assert!(fits(Condition { content_type: Some("application/json".into()), ..Condition::default() }));
        assert!(!fits(Condition { content_type: Some("text/html".into()), ..Condition::default() }));
        assert!(fits(Condition { json: json("/error/code", Matcher::OneOf(vec![json!(7)])), ..Condition::default() }));
        assert!(!fits(Condition {
            json: json("/error/code", Matcher::OneOf(vec![json!("7")])),
            ..Condition::default()
        }));
        assert!(fits(Condition { json: json("/error/gone", Matcher::Present(false)), ..Condition::default() }));
        assert!(fits(Condition { body: Some(Regex::new("\"code\": 7").unwrap()), ..Condition::default() }));
        let both = Condition {
            status: vec![403..=403],
            json: json("/error/code", Matcher::Matches(Regex::new("^8").unwrap())),
            ..Condition::default()
        };
        assert!(!fits(both));
    }

    #[test]
    fn a_body_shows_as_text_or_not_at_all() {
        let beginning = |body: &[u8], max| Read::new(&answer(200, "text/plain", body)).beginning(max);
        assert_eq!(beginning(b" a\r\nb\0", 9), Some("a  b".to_owned()));
        assert_eq!(beginning("äöü".as_bytes(), 5), Some("äö".to_owned()));
        assert_eq!(beginning(&"ä".repeat(9).as_bytes()[..9], 2), Some("ä".to_owned()));
        assert_eq!(beginning(b"GIF89a\xff\xfe", 9), None);
        assert_eq!(beginning(b"  ", 9), None);
    }

    #[test]
    fn scopes_are_named_once() {
        let answer = answer(403, "application/json", br#"{"m": "needs 'a_b' and 'c', or 'a_b'"}"#);
        let pattern = Some(Regex::new("'([a-z_]+)'").unwrap());
        let missing = MissingScopes { pointers: vec!["/m".to_owned()], pattern };
        assert_eq!(Read::new(&answer).scopes(&missing), ["a_b", "c"]);
    }

    #[test]
    fn scopes_may_be_a_list() {
        let answer = answer(403, "application/json", br#"{"a": ["x.read", 7, null, "x.read"], "b": "y"}"#);
        let missing =
            MissingScopes { pointers: vec!["/a".to_owned(), "/b".to_owned(), "/c".to_owned()], pattern: None };
        assert_eq!(Read::new(&answer).scopes(&missing), ["x.read", "7", "y"]);
    }
}
