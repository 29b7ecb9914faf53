//! A connector as it is in memory: read from a manifest once, checked, and never changed.

mod call;
mod flow;
mod oauth;
mod rule;

use std::sync::OnceLock;

use chrono::NaiveDate;
use serde_json::Value;

pub(in crate::connector) use self::{
    call::{Base, Body, Call, JsonTemplate, Part, PartBody, Piece, PieceValue, UrlTemplate},
    flow::{Address, Credential, Derived, DerivedRule, MailTemplate, Transform},
    oauth::{
        Authorize, Capture, CaptureFrom, ClientAuth, Expiry, ExpiryForm, Omitted, Revocation, TokenBody, TokenCall,
    },
    rule::{
        Account, Class, Condition, HintPlace, HintUnit, Matcher, MissingScopes, RetryHint, Rule, Source, Step, Then,
    },
};
pub use self::{
    flow::{Field, FieldKind, Flow},
    oauth::{GrantKind, OAuth, Pkce, RefreshKind, RefreshLimit},
};
use super::{fault::Fault, hosts::Hosts};
use crate::domain::connector::{AuthFlow, ConnectorFamily};

/// A vendor's schema: how to connect, how to test, what can be sent. Shared by all sites.
#[derive(Debug)]
pub struct Connector {
    /// Fixed, since callers store it.
    pub slug: String,
    pub display_name: String,
    pub family: ConnectorFamily,
    pub description: String,
    pub documentation_url: Option<String>,
    /// At most one of a kind.
    pub flows: Vec<Flow>,
    /// What can be asked for where the vendor grants scopes.
    pub scopes: Vec<Scope>,
    /// At most one of an event type; `*` stands for any other.
    pub operations: Vec<Operation>,
    pub(in crate::connector) test: Vec<Step>,
    /// Tried after a call's own.
    pub(in crate::connector) rules: Vec<Rule>,
    pub(in crate::connector) retry_hints: Vec<RetryHint>,
    /// JSON pointers to the vendor's error code and its text; the first that is there counts.
    pub(in crate::connector) error_code: Vec<String>,
    pub(in crate::connector) error_message: Vec<String>,
    /// Where a host may come from outside the manifest.
    pub(in crate::connector) hosts: Hosts,
    /// What the vendor will switch off, and when.
    pub(in crate::connector) sunsets: Vec<Sunset>,
}

/// A call that the vendor will switch off.
#[derive(Clone, Debug)]
pub(in crate::connector) struct Sunset {
    pub(in crate::connector) date: NaiveDate,
    /// Where the manifest says so.
    pub(in crate::connector) notice: Fault,
}

impl Connector {
    /// The flow of this kind, if the connector offers it.
    #[must_use]
    pub fn flow(&self, flow: AuthFlow) -> Option<&Flow> {
        self.flows.iter().find(|known| known.flow == flow)
    }

    /// What is done with an event of this type: its own operation, or the one for any type.
    #[must_use]
    pub fn operation(&self, event_type: &str) -> Option<&Operation> {
        let of = |wanted: &str| self.operations.iter().find(|operation| operation.event_type == wanted);
        of(event_type).or_else(|| of(ANY_EVENT))
    }
}

/// The event type of an operation that takes any.
pub const ANY_EVENT: &str = "*";

/// A right that the vendor grants by name.
#[derive(Clone, Debug)]
pub struct Scope {
    pub id: String,
    pub title: String,
    pub default: bool,
    pub sensitive: bool,
    /// How else the vendor names it where it says what was granted.
    pub(in crate::connector) aliases: Vec<String>,
    /// The authorize parameter that asks for it, where that is not the usual one.
    pub(in crate::connector) parameter: Option<String>,
}

/// What a module can send.
#[derive(Debug)]
pub struct Operation {
    /// `*` for any.
    pub event_type: String,
    pub title: String,
    pub required_scopes: Vec<String>,
    /// JSON Schema 2020-12.
    pub payload_schema: Value,
    pub example_payload: Value,
    pub(in crate::connector) validator: OnceLock<Result<jsonschema::Validator, String>>,
    pub(in crate::connector) derived: Vec<Derived>,
    pub(in crate::connector) call: Call,
    pub(in crate::connector) rules: Vec<Rule>,
    pub(in crate::connector) unsure: Unsure,
}

/// What to do where nobody can tell whether the vendor has acted: no answer, 408, 5xx.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::connector) enum Unsure {
    Retry,
    Fail,
}
