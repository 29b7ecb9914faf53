//! The mechanisms of the manifest format, on manifests made up for the purpose. What the shipped ones do
//! is in `tests/exchanges.rs`.

mod faults;
mod fields;
mod masking;
mod mechanisms;
mod oauth;
mod oauth_faults;
mod oauth_manifest;
mod placement;
mod shapes;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    BuildError, CallContext, Connector, Event, Fault, Library, LoadOptions, SigningKeys, Source, Values, Violation,
    build_delivery,
};
use crate::domain::{connector::AuthFlow, exchange::OutboundRequest, secret::Secret};

/// Reads one manifest.
fn load(text: &str) -> Result<Arc<Connector>, Vec<Fault>> {
    let source = Source { file: "sample.toml".to_owned(), text: text.to_owned() };
    let library = Library::load(vec![source], LoadOptions::default())?;
    Ok(Arc::clone(&library.list()[0]))
}

/// Reads a manifest that must be right.
#[track_caller]
fn connector(text: &str) -> Arc<Connector> {
    load(text).unwrap_or_else(|faults| panic!("{}", shown(&faults).join("\n")))
}

fn shown(faults: &[Fault]) -> Vec<String> {
    faults.iter().map(ToString::to_string).collect()
}

fn secrets(given: &[(&str, &str)]) -> Vec<(String, Secret)> {
    given.iter().map(|(name, value)| ((*name).to_owned(), Secret::from(*value))).collect()
}

fn check(connector: &Connector, flow: AuthFlow, given: &[(&str, &str)]) -> Result<Values, Vec<Violation>> {
    connector.flow(flow).expect("a flow").check(&secrets(given))
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).expect("a time")
}

/// Builds the delivery of this payload by the connector's first operation.
fn deliver(connector: &Arc<Connector>, given: &[(&str, &str)], payload: &Value) -> Result<OutboundRequest, BuildError> {
    let flow = connector.flows[0].flow;
    let values = check(connector, flow, given).unwrap_or_else(|violations| panic!("{violations:?}"));
    let operation = &connector.operations[0];
    let event_type = &operation.event_type;
    let event = Event { event_type, event_identifier: "17", payload, accepted_at: now(), module: "forms" };
    let signing = SigningKeys::default();
    let context = CallContext { values: &values, signing: &signing, grant: None, now: now(), message_id: "msg_1" };
    build_delivery(connector, flow, operation, &event, &context)
}

/// A manifest with an API key, whose one operation takes the objects that `properties` describes, all of
/// them required, and makes this request.
fn sample(credential: &str, properties: &str, required: &str, request: &str) -> String {
    format!(
        r#"
version = 1
slug = "sample"
display_name = "Sample"
family = "crm"
description = "For tests."
base_url = "https://api.example.com/v1"

[[flows]]
flow = "api_key"
proof = "account"
fields = [{{ name = "key", label = "Key", secret = true }}, {{ name = "region", label = "Region", optional = true }}]
[flows.credentials.default]
{credential}

[[test]]
name = "account"
request = {{ method = "GET", url = "https://api.example.com/me", credential = "none" }}

[[operations]]
event_type = "thing.made"
title = "Send"
example_payload = '{{"a": "b", "o": {{"x": true}}}}'
payload_schema = {{ type = "object", required = [{required}], properties = {{ {properties} }} }}
[operations.request]
{request}
"#
    )
}
