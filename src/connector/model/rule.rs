//! Tests, and what answers mean.

use std::ops::RangeInclusive;

use http::HeaderName;
use regex::Regex;
use serde_json::Value;

use super::Call;
use crate::{
    connector::template::Template,
    domain::{connector::AuthFlow, test_report::TestProof},
};

/// One call of the test.
#[derive(Debug)]
pub(in crate::connector) struct Step {
    pub(in crate::connector) name: String,
    pub(in crate::connector) flows: Vec<AuthFlow>,
    /// Taken only where one of these has been granted; by any where there is none.
    pub(in crate::connector) scopes: Vec<String>,
    pub(in crate::connector) call: Call,
    pub(in crate::connector) rules: Vec<Rule>,
    pub(in crate::connector) account: Account,
    pub(in crate::connector) proof: Option<TestProof>,
}

/// Where the vendor's account stands in an answer.
#[derive(Clone, Debug, Default)]
pub(in crate::connector) struct Account {
    pub(in crate::connector) id: Vec<Source>,
    pub(in crate::connector) name: Vec<Source>,
}

/// Where a text is taken from.
#[derive(Clone, Debug)]
pub(in crate::connector) enum Source {
    /// A JSON pointer into the answer, and a pattern whose first group (or match) counts.
    Json { pointer: String, pattern: Option<Regex> },
    /// The fields of the connection.
    Template(Template),
}

/// An answer that is told by its signs, and what it means. The first rule that fits counts.
#[derive(Clone, Debug)]
pub(in crate::connector) struct Rule {
    /// For connections by these only; by any where there is none.
    pub(in crate::connector) flows: Vec<AuthFlow>,
    pub(in crate::connector) when: Condition,
    pub(in crate::connector) then: Then,
    /// In words for an operator.
    pub(in crate::connector) detail: Option<String>,
    pub(in crate::connector) missing_scopes: Option<MissingScopes>,
    /// When to come back, where the vendor does not say it, in seconds.
    pub(in crate::connector) wait: Option<u32>,
    pub(in crate::connector) account: Account,
    pub(in crate::connector) proof: Option<TestProof>,
}

impl Rule {
    pub(in crate::connector) fn is_for(&self, flow: AuthFlow) -> bool {
        self.flows.is_empty() || self.flows.contains(&flow)
    }
}

/// Every match of the pattern in the texts there is a scope that is missing; without a pattern, every text.
#[derive(Clone, Debug)]
pub(in crate::connector) struct MissingScopes {
    pub(in crate::connector) pointers: Vec<String>,
    pub(in crate::connector) pattern: Option<Regex>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::connector) enum Then {
    Class(Class),
    /// Another step of the test decides.
    Next(String),
}

/// All of it must hold.
#[derive(Clone, Debug, Default)]
pub(in crate::connector) struct Condition {
    pub(in crate::connector) status: Vec<RangeInclusive<u16>>,
    pub(in crate::connector) json: Vec<(String, Matcher)>,
    pub(in crate::connector) headers: Vec<(HeaderName, Matcher)>,
    pub(in crate::connector) body: Option<Regex>,
    pub(in crate::connector) content_type: Option<String>,
}

#[derive(Clone, Debug)]
pub(in crate::connector) enum Matcher {
    OneOf(Vec<Value>),
    Matches(Regex),
    Present(bool),
}

/// What an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::connector) enum Class {
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
#[derive(Clone, Debug)]
pub(in crate::connector) struct RetryHint {
    pub(in crate::connector) place: HintPlace,
    /// The first group, or the match, is what counts.
    pub(in crate::connector) pattern: Option<Regex>,
    pub(in crate::connector) unit: HintUnit,
}

#[derive(Clone, Debug)]
pub(in crate::connector) enum HintPlace {
    Header(HeaderName),
    Json(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::connector) enum HintUnit {
    /// From now, in seconds; a fraction is fine.
    Seconds,
    /// From now.
    Milliseconds,
    /// A point in time.
    UnixSeconds,
    /// A point in time (RFC 3339).
    Time,
}
