//! What a client is told of a document that does not pass: where, what, and what would be right.

use std::sync::Arc;

use apollo_compiler::{ExecutableDocument, parser::SourceSpan, validation::DiagnosticList};
use async_graphql::{Pos, ServerError, Value};

use super::{Refused, coerce::WrongVariable, rules::Broken};
use crate::graphql::introspection::Introspection;

/// The most errors that are told of one document: whoever mends the first ones asks again.
const ERRORS_MAX: usize = 20;

const INVALID: &str = "GRAPHQL_VALIDATION_FAILED";

fn error(code: &str, message: impl Into<String>, at: Option<Pos>) -> ServerError {
    let mut error = ServerError::new(message, at);
    error.extensions.get_or_insert_default().set("code", code);
    error
}

fn one(error: ServerError) -> Refused {
    Arc::new(vec![error])
}

/// An error of code `LIMIT_EXCEEDED`: what was found, the bound, and the setting that holds the bound.
pub fn limit_error(what: &str, unit: &str, found: u64, bound: u64, setting: Option<&str>) -> ServerError {
    let by = setting.map(|setting| format!(" ({setting})")).unwrap_or_default();
    let found_in_words = if found == u64::MAX { "beyond counting".to_owned() } else { found.to_string() };
    let message = format!("the {what} has {found_in_words} {unit}; at most {bound} are allowed{by}");
    let mut error = error("LIMIT_EXCEEDED", message, None);
    let extensions = error.extensions.get_or_insert_default();
    extensions.set("limit", unit);
    extensions.set("found", Value::from(found));
    extensions.set("bound", Value::from(bound));
    error
}

pub(super) fn over(what: &str, unit: &str, found: u64, bound: u64, setting: &str) -> Refused {
    one(limit_error(what, unit, found, bound, Some(setting)))
}

/// The parser stopped here, so that it is not known how much deeper it goes.
pub(super) fn nested(bound: usize) -> Refused {
    one(limit_error("document", "or more levels of nesting", bound as u64 + 1, bound as u64, None))
}

/// Fragments that name each other in a long row.
pub(super) fn chained(found: usize, bound: usize) -> Refused {
    one(limit_error("document", "fragments below each other", found as u64, bound as u64, None))
}

fn each(code: &str, errors: &DiagnosticList) -> Refused {
    let told = errors.iter().take(ERRORS_MAX).map(|diagnostic| {
        let json = diagnostic.to_json();
        let at = json.locations.first().map(|place| Pos { line: place.line, column: place.column });
        // What the validation itself is bounded by: a chain of fragments, each in the next, for one.
        let bounded = matches!(diagnostic.error.unstable_error_name(), Some("RecursionError" | "DeeplyNestedType"));
        error(if bounded { "LIMIT_EXCEEDED" } else { code }, json.message, at)
    });
    Arc::new(told.collect())
}

/// A text that is not a GraphQL document.
pub(super) fn syntax(errors: &DiagnosticList) -> Refused {
    each("GRAPHQL_PARSE_FAILED", errors)
}

/// A name that a colon and a value should follow.
pub(super) fn missing_colon(at: Pos) -> Refused {
    one(error("GRAPHQL_PARSE_FAILED", "syntax error: expected a colon and a value after the name", Some(at)))
}

/// A document that the specification's validation refuses.
pub(super) fn invalid(errors: &DiagnosticList) -> Refused {
    each(INVALID, errors)
}

/// As [`invalid`], found by our own rules.
pub(super) fn broken_rules(document: &ExecutableDocument, broken: Vec<Broken>) -> Refused {
    let told = broken.into_iter().take(ERRORS_MAX);
    Arc::new(told.map(|rule| error(INVALID, rule.message, place(document, rule.at))).collect())
}

/// Line and column of a place in the document.
pub(super) fn place(document: &ExecutableDocument, at: Option<SourceSpan>) -> Option<Pos> {
    let at = at?.line_column(&document.sources)?;
    Some(Pos { line: at.line, column: at.column })
}

/// A secret that stands in the document.
pub(super) fn secret_literal(name: &str) -> Refused {
    let message = format!("{name}: a secret stands in it as a literal; give it by a variable");
    let mut error = error("BAD_USER_INPUT", message, None);
    error.extensions.get_or_insert_default().set("field", name);
    one(error)
}

/// Whether it says what [`secret_literal`] says.
pub(super) fn is_about_secret(refused: &Refused) -> bool {
    let code = |error: &ServerError| error.extensions.as_ref().and_then(|extensions| extensions.get("code")).cloned();
    refused.iter().any(|error| code(error) == Some(Value::from("BAD_USER_INPUT")))
}

/// A variable that does not fit the operation. Names of the schema are told only where everybody is shown all of it: who
/// asks is not known yet.
pub(super) fn variable(wrong: &WrongVariable, shown: Introspection) -> Refused {
    let WrongVariable { path, problem, names } = wrong;
    let message = match names {
        Some(names) if shown == Introspection::On => format!("{path}: {problem}; {names}"),
        Some(_) => format!("{path}: {problem}; the schema says what would be right"),
        None => format!("{path}: {problem}"),
    };
    let mut error = error("BAD_USER_INPUT", message, None);
    error.extensions.get_or_insert_default().set("field", wrong.path.as_str());
    one(error)
}

/// The request does not say which operation to run, or names one that is not there.
pub(super) fn no_operation(name: Option<&str>, operations: usize) -> Refused {
    let message = match (name, operations) {
        (Some(_), _) => "the document has no operation of the name that operationName gives".to_owned(),
        (None, 0) => "the document has no operation".to_owned(),
        (None, count) => format!("the document has {count} operations: say which one to run by operationName"),
    };
    one(error("OPERATION_RESOLUTION_FAILURE", message, None))
}
