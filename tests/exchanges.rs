//! What goes to each vendor and what its answers mean, walked without a network: each file under
//! `tests/vendors/<slug>/` holds one call as it must go out, answers to it, and what must be concluded.
//!
//! Each answer names the vendor fact that it rests on: file and line of the fact sheets that the manifests
//! were written from.

mod changed;
mod document;
mod oauth;
mod walk;

use std::{collections::BTreeMap, sync::Arc};

use integrations_gateway::connector::{Connector, Library, LoadOptions};
use serde_json::Value;

use self::walk::Walk;

fn library() -> Library {
    Library::load(document::manifests(), LoadOptions::default()).expect("the shipped manifests are right")
}

#[test]
fn every_exchange_of_every_shipped_connector() {
    let library = library();
    assert!(!library.list().is_empty());
    let differences: Vec<String> = library.list().iter().flat_map(differences).collect();
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

/// Where a connector and its exchanges differ, and what it has no exchange for.
fn differences(connector: &Arc<Connector>) -> Vec<String> {
    let mut found = Vec::new();
    let (mut tested, mut delivered, mut granted) = (Vec::new(), Vec::new(), false);
    for (place, exchange) in document::read(&connector.slug) {
        let walk = Walk { connector, place: &place, exchange: &exchange };
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
    for connector in library.list() {
        for operation in &connector.operations {
            let shape = without_required(&operation.payload_schema);
            let (first, known) = shapes.entry(&operation.event_type).or_insert((&connector.slug, shape.clone()));
            assert_eq!(*known, shape, "{} differs between {first} and {}", operation.event_type, connector.slug);
        }
    }
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
