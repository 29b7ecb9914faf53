//! What goes to each vendor and what its answers mean: each file under `tests/vendors/<slug>/` holds one call as it
//! must go out, answers to it, and what must be concluded. They are walked without a network, and over TLS.
//!
//! Each answer names the vendor fact that it rests on: file and line of the fact sheets that the manifests
//! were written from.

mod changed;
mod document;
mod files;
mod live;
mod oauth;
mod transport;
mod vendor;
mod walk;

use std::{collections::BTreeMap, sync::Arc};

use integrations_gateway::connector::{Connector, Library, LoadOptions};
use serde_json::Value;

use self::{transport::Recorded, walk::Walk};

fn library() -> Library {
    Library::load(files::manifests(), LoadOptions::default()).unwrap_or_else(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        panic!("{}", faults.join("\n"))
    })
}

#[test]
fn every_exchange_of_every_shipped_connector() {
    let library = library();
    assert!(!library.list().is_empty(), "there is no such connector");
    let differences: Vec<String> = library.list().iter().flat_map(differences).collect();
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

/// Where a connector and its exchanges differ, and what it has no exchange for.
fn differences(connector: &Arc<Connector>) -> Vec<String> {
    let mut found = Vec::new();
    let (mut tested, mut delivered, mut granted) = (Vec::new(), Vec::new(), false);
    for (place, exchange) in files::exchanges(&connector.slug) {
        let walk = Walk { connector, place: &place, exchange: &exchange, transport: &Recorded };
        found.extend(walk.walk().err());
        match &exchange.event {
            Some(event) => delivered.extend(connector.operation(&event.event_type).map(|known| &known.event_type)),
            None if exchange.oauth.is_some() => granted = true,
            None => tested.push(walk.flow()),
        }
    }
    let missing = |what: String| format!("{}: no exchange {what}", connector.slug);
    let flows = connector.flows.iter().filter(|flow| !tested.contains(&flow.flow));
    found.extend(flows.map(|flow| missing(format!("tests the flow {}", flow.flow))));
    if connector.flows.iter().any(|flow| flow.oauth.is_some()) && !granted {
        found.push(missing("walks the OAuth flow".to_owned()));
    }
    let operations = connector.operations.iter().filter(|operation| !delivered.contains(&&operation.event_type));
    found.extend(operations.map(|operation| missing(format!("delivers {}", operation.event_type))));
    found
}

/// A module sends one shape of an event wherever it goes; connectors differ in what they insist on only.
#[test]
fn an_event_type_has_one_shape() {
    let library = library();
    let mut shapes: BTreeMap<&str, (&str, Value)> = BTreeMap::new();
    let mut differences = Vec::new();
    for connector in library.list() {
        for operation in &connector.operations {
            let shape = without_required(&operation.payload_schema);
            let (first, known) = shapes.entry(&operation.event_type).or_insert((&connector.slug, shape.clone()));
            if let Some(pointer) = difference(known, &shape) {
                let (event_type, slug) = (&operation.event_type, &connector.slug);
                differences.push(format!("{slug}: its {event_type} differs from that of {first} at {pointer:?}"));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Where two values begin to differ.
fn difference(a: &Value, b: &Value) -> Option<String> {
    let (Some(first), Some(second)) = (a.as_object(), b.as_object()) else { return (a != b).then(String::new) };
    first.keys().chain(second.keys()).find_map(|name| {
        let below = match (first.get(name), second.get(name)) {
            (Some(a), Some(b)) => difference(a, b)?,
            _ => String::new(),
        };
        Some(format!("/{name}{below}"))
    })
}

fn without_required(schema: &Value) -> Value {
    match schema {
        Value::Object(members) => {
            let kept = members.iter().filter(|(name, _)| *name != "required");
            Value::Object(kept.map(|(name, value)| (name.clone(), without_required(value))).collect())
        }
        other => other.clone(),
    }
}
