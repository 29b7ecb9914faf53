//! A connector as it is in memory: read from a manifest once, checked, and never changed.

use std::{ops::RangeInclusive, sync::OnceLock};

use http::{HeaderName, Method};
use regex::Regex;
use serde_json::Value;

use super::template::{Name, Template};
use crate::domain::{
    connector::{AuthFlow, ConnectorFamily},
    test_report::TestProof,
};

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
    pub(super) test: Vec<Step>,
    /// Tried after a call's own.
    pub(super) rules: Vec<Rule>,
    pub(super) retry_hints: Vec<RetryHint>,
    /// JSON pointers to the vendor's error code and its text; the first that is there counts.
    pub(super) error_code: Vec<String>,
    pub(super) error_message: Vec<String>,
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
}

/// One way to connect.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts that the API shows one by one")]
pub struct Flow {
    pub flow: AuthFlow,
    /// What the operator must supply, in the order to ask for it.
    pub fields: Vec<Field>,
    pub refreshable: bool,
    pub scopes_editable: bool,
    /// Whether the vendor has a call that revokes the credential.
    pub revocable: bool,
    /// Whether the credential can run out by itself.
    pub expires: bool,
    /// What a passing test shows.
    pub proof: TestProof,
    /// For a signed flow: how to register the secret with the vendor.
    pub instructions: Option<String>,
    /// Groups of fields of which exactly one must be given.
    pub(super) one_of: Vec<Vec<String>>,
    pub(super) derived: Vec<Derived>,
    pub(super) credentials: Vec<(String, Credential)>,
    pub(super) destination: Option<Template>,
    /// Address fields to whose host the flow's secrets are sent.
    pub(super) bound_addresses: Vec<String>,
    pub(super) allow_http: bool,
}

/// Something that the operator enters.
#[derive(Debug)]
pub struct Field {
    pub name: String,
    pub label: String,
    pub help: Option<String>,
    pub kind: FieldKind,
    /// Part of the credential: sealed, never shown, never changed by a configuration.
    pub secret: bool,
    pub required: bool,
    /// Value and label, for a select.
    pub options: Vec<(String, String)>,
    pub default_value: Option<String>,
    /// An ECMA-262 pattern that a form can check too.
    pub pattern: Option<String>,
    pub placeholder: Option<String>,
    pub(super) regex: Option<Regex>,
    pub(super) address: Address,
    pub(super) integer: bool,
}

/// How a form shows a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    Text,
    Url,
    Select,
    Multiline,
}

/// What an address field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// The beginning of addresses: no query, no slash at its end.
    Base,
    /// The address that is called.
    Whole,
}

/// A value made from others by a rule.
#[derive(Debug)]
pub(super) struct Derived {
    pub(super) name: String,
    /// Made from a secret.
    pub(super) secret: bool,
    /// May be absent.
    pub(super) optional: bool,
    pub(super) rule: DerivedRule,
}

#[derive(Debug)]
pub(super) enum DerivedRule {
    /// The first template whose values are all there.
    FirstOf(Vec<Template>),
    /// The first group of a pattern.
    Capture { from: Name, pattern: Regex },
}

/// Where a credential stands in a call.
#[derive(Debug)]
pub(super) enum Credential {
    Header {
        name: HeaderName,
        value: Template,
    },
    Basic {
        user: Template,
        password: Template,
    },
    Query {
        name: String,
        value: Template,
    },
    Form {
        name: String,
        value: Template,
    },
    /// The steps of a JSON pointer into an object body.
    Json {
        pointer: Vec<String>,
        value: Template,
    },
    /// Where the address says `{credential}`.
    Path {
        value: Template,
    },
    /// Headers signed as Standard Webhooks has it.
    StandardWebhooks,
}

/// A call as the manifest describes it.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) url: UrlTemplate,
    pub(super) headers: Vec<(HeaderName, Piece)>,
    pub(super) query: Vec<(String, Piece)>,
    pub(super) body: Body,
    /// The name of one of the flow's credentials.
    pub(super) credential: Option<String>,
}

#[derive(Debug)]
pub(super) struct UrlTemplate {
    pub(super) base: Base,
    /// Begins with `/`, or is empty.
    pub(super) path: Template,
}

#[derive(Debug)]
pub(super) enum Base {
    /// Host and port; values stand for one label of the host's name each.
    Host(Template),
    /// An address field.
    Field(String),
}

/// A value that may be left out where it is absent.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) template: Template,
    pub(super) optional: bool,
}

#[derive(Debug)]
pub(super) enum Body {
    Empty,
    Form(Vec<(String, Piece)>),
    Json(JsonTemplate),
}

#[derive(Debug)]
pub(super) enum JsonTemplate {
    Literal(Value),
    Text(Template),
    Array(Vec<JsonTemplate>),
    /// Name, whether it is left out where a value in it is absent, and the member.
    Object(Vec<(String, bool, JsonTemplate)>),
}

/// One call of the test.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) flows: Vec<AuthFlow>,
    pub(super) call: Call,
    pub(super) rules: Vec<Rule>,
    pub(super) account: Account,
    pub(super) proof: Option<TestProof>,
}

/// Where the vendor's account stands in an answer.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) id: Vec<Source>,
    pub(super) name: Vec<Source>,
}

/// Where a text is taken from.
#[derive(Debug)]
pub(super) enum Source {
    /// A JSON pointer into the answer, and a pattern whose first group (or match) counts.
    Json { pointer: String, pattern: Option<Regex> },
    /// The fields of the connection.
    Template(Template),
}

/// An answer that is told by its signs, and what it means. The first rule that fits counts.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) when: Condition,
    pub(super) then: Then,
    /// In words for an operator.
    pub(super) detail: Option<String>,
    /// Every match of the pattern is a scope that is missing.
    pub(super) missing_scopes: Option<(String, Regex)>,
    pub(super) account: Account,
    pub(super) proof: Option<TestProof>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Then {
    Class(Class),
    /// Another step of the test decides.
    Next(String),
}

/// All of it must hold.
#[derive(Debug, Default)]
pub(super) struct Condition {
    pub(super) status: Vec<RangeInclusive<u16>>,
    pub(super) json: Vec<(String, Matcher)>,
    pub(super) headers: Vec<(HeaderName, Matcher)>,
    pub(super) body: Option<Regex>,
    pub(super) content_type: Option<String>,
}

#[derive(Debug)]
pub(super) enum Matcher {
    OneOf(Vec<Value>),
    Matches(Regex),
    Present(bool),
}

/// What an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Success,
    /// The credential has run out.
    Expired,
    /// The vendor has taken the credential back.
    Revoked,
    /// The vendor does not know the credential; treated as revoked.
    Invalid,
    InsufficientScope,
    RateLimited,
    /// The account's plan or balance does not allow it.
    Plan,
    /// Something must be set right at the vendor or in the connection.
    ConfigError,
    /// The destination has left for good.
    Gone,
    /// Passing trouble of the vendor's.
    Retryable,
    /// The vendor does not want this request.
    Rejected,
}

/// Where a vendor says when to come back, besides `Retry-After`.
#[derive(Debug)]
pub(super) struct RetryHint {
    pub(super) place: HintPlace,
    pub(super) unit: HintUnit,
}

#[derive(Debug)]
pub(super) enum HintPlace {
    Header(HeaderName),
    Json(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HintUnit {
    /// From now, in seconds; a fraction is fine.
    Seconds,
    /// From now.
    Milliseconds,
    /// A point in time.
    UnixSeconds,
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
    pub(super) validator: OnceLock<Result<jsonschema::Validator, String>>,
    pub(super) derived: Vec<Derived>,
    pub(super) call: Call,
    pub(super) rules: Vec<Rule>,
    pub(super) unsure: Unsure,
}

/// What to do where nobody can tell whether the vendor has acted: no answer, 408, 5xx.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsure {
    Retry,
    Fail,
}
