//! Operations: what a module can send, keyed by event type.

use std::sync::OnceLock;

use serde_json::Value;

use super::{
    super::{
        fault::{Faults, Span},
        model::{ANY_EVENT, Flow, Operation, Scope, Unsure},
        payload,
        reader::{self, Table},
    },
    bound,
    call::{self, BaseUrl},
    derive,
    names::Names,
    rule, scope,
};
use crate::domain::connector::AuthFlow;

type Bound = Vec<(AuthFlow, String)>;

pub(super) fn read_all(
    root: &mut Table<'_, '_>,
    faults: &mut Faults<'_>,
    flows: &[&Flow],
    base: Option<&BaseUrl>,
    scopes: &[Scope],
) -> (Vec<Operation>, Bound) {
    let mut operations: Vec<Operation> = Vec::new();
    let mut bounds = Vec::new();
    for mut table in root.tables(faults, "operations") {
        let operation = read(&mut table, faults, flows, base, scopes);
        table.finish(faults);
        if let Some(operation) = operation {
            if operations.iter().any(|known| known.event_type == operation.event_type) {
                faults.add(&table.span, format!("there is an operation for `{}` already", operation.event_type));
            }
            bounds.extend(bound(&operation.call, flows));
            operations.push(operation);
        }
    }
    (operations, bounds)
}

fn read(
    table: &mut Table<'_, '_>,
    faults: &mut Faults<'_>,
    flows: &[&Flow],
    base: Option<&BaseUrl>,
    scopes: &[Scope],
) -> Option<Operation> {
    let event_type = event_type(table, faults);
    let title = table.need_text(faults, "title");
    let required_scopes = scope::named(table, faults, "required_scopes", scopes);
    let schema = json(table, faults, "payload_schema");
    let example = json(table, faults, "example_payload");
    let validator = schema.as_ref().and_then(|(schema, span)| {
        payload::compile(schema).map_err(|problem| faults.add(span, format!("`payload_schema` {problem}"))).ok()
    });
    if let (Some(validator), Some((example, span))) = (&validator, &example) {
        for violation in payload::violations(validator, example) {
            let place = if violation.pointer.is_empty() { "it".to_owned() } else { format!("`{}`", violation.pointer) };
            faults.add(span, format!("`example_payload` does not fit its schema: {place}: {}", violation.message));
        }
    }
    let any = Value::Object(serde_json::Map::new());
    let payload = Some(schema.as_ref().map_or(&any, |(schema, _)| schema));
    let event = Names { payload, message: true, ..Names::of_connection(flows) };
    let derived = derive::read_all(table, faults, &event);
    for name in derived.iter().map(|derived| &derived.name) {
        if flows.iter().any(|flow| flow.derived.iter().any(|known| known.name == *name)) {
            faults.add(&table.span, format!("the flow derives `{name}` already"));
        }
    }
    let names = Names { derived: &derived, ..event };
    let call = call::read(table, faults, &names, base);
    let of_connection = Names::of_connection(flows);
    let rules = rule::read_all(table, faults, "rules", rule::Place { names: &of_connection, later_steps: None });
    let unsure = table.word(faults, "when_unsure", &[("retry", Unsure::Retry), ("fail", Unsure::Fail)]);
    Some(Operation {
        event_type: event_type?,
        title: title?.value,
        required_scopes,
        payload_schema: schema?.0,
        example_payload: example?.0,
        validator: validator.map_or_else(OnceLock::new, |validator| OnceLock::from(Ok(validator))),
        derived,
        call: call?,
        rules,
        unsure: unsure.unwrap_or(Unsure::Retry),
    })
}

fn event_type(table: &mut Table<'_, '_>, faults: &mut Faults<'_>) -> Option<String> {
    let found = table.need_text(faults, "event_type")?;
    let step =
        |step: &str| !step.is_empty() && step.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if found.value != ANY_EVENT && !found.value.split('.').all(step) {
        faults.add(
            &found.span,
            "`event_type` must be lower-case words joined by `.`, such as submission.created, or `*`",
        );
    }
    Some(found.value)
}

/// A value as TOML, or as JSON in a text.
fn json(table: &mut Table<'_, '_>, faults: &mut Faults<'_>, key: &'static str) -> Option<(Value, Span)> {
    let Some(found) = table.any(key) else {
        table.missing(key, format!("`{key}` is missing"));
        return None;
    };
    let value = match found.get_ref().as_str() {
        Some(text) => serde_json::from_str(text)
            .map_err(|error| faults.add(&found.span(), format!("`{key}` is no JSON: {error}")))
            .ok(),
        None => reader::json(faults, found),
    };
    Some((value?, found.span()))
}
