//! One attempt of a delivery: an event becomes a request, and the answer a verdict.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    answer::{self, Read},
    model::{Class, Connector, Operation, Rule, Then, Unsure},
    placeholders::{BuildError, Placeholders},
    request::{self, CallContext},
    retry_hint,
};
use crate::domain::{
    connector::AuthFlow,
    delivery::DeliveryFailure,
    exchange::{Answer, NoAnswer, OutboundRequest, TransportError},
};

/// The longest vendor message that is kept, in bytes.
pub const MESSAGE_MAX: usize = 1_024;
/// How much of it the manifest's words may take.
const DETAIL_MAX: usize = 512;

/// What a module handed over.
#[derive(Clone, Copy)]
pub struct Event<'a> {
    pub event_type: &'a str,
    pub event_identifier: &'a str,
    pub payload: &'a Value,
    pub accepted_at: DateTime<Utc>,
    pub module: &'a str,
}

/// What an attempt came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    pub verdict: Verdict,
    /// What the manifest says of such an answer, with the permissions that the vendor misses.
    pub detail: Option<String>,
    /// The start of what the vendor answered, or why nothing came: valid text of at most
    /// [`MESSAGE_MAX`] bytes, not masked yet (see [`super::mask`]).
    pub vendor_message: Option<String>,
}

impl Reading {
    /// What a log says of it: the manifest's words and the vendor's, as far as there are any.
    #[must_use]
    pub fn message(&self) -> Option<String> {
        match (&self.detail, &self.vendor_message) {
            (Some(own), Some(words)) => {
                let room = MESSAGE_MAX.saturating_sub(own.len() + " (its words: )".len());
                Some(format!("{own} (its words: {})", answer::clean(words, room)))
            }
            (own, words) => own.as_ref().or(words.as_ref()).cloned(),
        }
    }
}

/// What follows from an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The vendor has taken it.
    Done,
    /// Worth another attempt, not before `after` where the vendor says so.
    Retry { failure: DeliveryFailure, after: Option<Duration> },
    /// Another attempt would end the same way.
    Reject { failure: DeliveryFailure },
    /// The credential does not serve any more.
    Reauthorize {
        /// Expired or revoked.
        failure: DeliveryFailure,
        /// In words for an operator.
        reason: String,
    },
    /// The destination has left for good.
    Gone,
}

/// Builds the request of one attempt.
///
/// # Errors
/// Where the flow does not exist, or a value that the call needs is absent or does not fit its place.
pub fn build_delivery(
    connector: &Arc<Connector>,
    flow: AuthFlow,
    operation: &Operation,
    event: &Event<'_>,
    context: &CallContext<'_>,
) -> Result<OutboundRequest, BuildError> {
    build_marked(connector, flow, operation, event, context, None)
}

/// The same; in a preview with what stands for every value that is sealed.
pub(super) fn build_marked(
    connector: &Arc<Connector>,
    flow: AuthFlow,
    operation: &Operation,
    event: &Event<'_>,
    context: &CallContext<'_>,
    mark: Option<&str>,
) -> Result<OutboundRequest, BuildError> {
    let flow =
        connector.flow(flow).ok_or_else(|| BuildError::new("the connector does not offer this flow any more"))?;
    let names = Placeholders {
        flow,
        values: context.values,
        event: Some(event),
        derived: &operation.derived,
        message_id: context.message_id,
        now: context.now,
        credential: None,
        grant: context.grant,
        client: None,
        hosts: &connector.hosts,
        mark,
    };
    request::build(&operation.call, &names, context)
}

/// Reads what came of it.
#[must_use]
pub fn read_delivery(
    connector: &Arc<Connector>,
    flow: AuthFlow,
    operation: &Operation,
    answer: Result<&Answer, &NoAnswer>,
    now: DateTime<Utc>,
) -> Reading {
    match answer {
        Ok(answer) => {
            let read = Read::new(answer);
            let rules = operation.rules.iter().chain(&connector.rules).filter(|rule| rule.is_for(flow));
            let rule = read.rule(rules);
            Reading {
                verdict: verdict(connector, operation, rule, &read, now),
                detail: rule.and_then(|rule| detail(rule, &read)),
                vendor_message: read.beginning(MESSAGE_MAX),
            }
        }
        Err(none) => {
            let failure = match none.error {
                TransportError::Network => DeliveryFailure::NetworkError,
                TransportError::Timeout => DeliveryFailure::Timeout,
                TransportError::Forbidden => DeliveryFailure::DestinationForbidden,
            };
            let again = none.error != TransportError::Forbidden && operation.unsure == Unsure::Retry;
            let verdict = if again { Verdict::Retry { failure, after: None } } else { Verdict::Reject { failure } };
            Reading { verdict, detail: None, vendor_message: Some(answer::clean(&none.detail, MESSAGE_MAX)) }
        }
    }
}

/// The rule's words, and the permissions that the vendor names as missing.
fn detail(rule: &Rule, read: &Read<'_>) -> Option<String> {
    let missing = rule.missing_scopes.as_ref().map(|missing| read.scopes(missing).join(", ")).unwrap_or_default();
    let said = match &rule.detail {
        Some(own) if missing.is_empty() => own.clone(),
        Some(own) => format!("{own}: {missing}"),
        None if missing.is_empty() => return None,
        None => format!("missing permissions: {missing}"),
    };
    Some(answer::clean(&said, DETAIL_MAX))
}

fn verdict(
    connector: &Connector,
    operation: &Operation,
    rule: Option<&Rule>,
    read: &Read<'_>,
    now: DateTime<Utc>,
) -> Verdict {
    let class = match rule.map(|rule| &rule.then) {
        Some(Then::Class(class)) => *class,
        // Only a test has steps; the manifest's checks keep this rule out of an operation.
        Some(Then::Next(_)) => Class::Rejected,
        None => answer::usual_class(read.status()),
    };
    let reason = || {
        rule.and_then(|rule| rule.detail.clone()).unwrap_or_else(|| format!("the vendor answered {}", read.status()))
    };
    let after = || retry_hint::wait(&connector.retry_hints, rule, read, now);
    match class {
        Class::Success => Verdict::Done,
        Class::Expired => Verdict::Reauthorize { failure: DeliveryFailure::CredentialExpired, reason: reason() },
        Class::Revoked | Class::Invalid => {
            Verdict::Reauthorize { failure: DeliveryFailure::CredentialRevoked, reason: reason() }
        }
        Class::InsufficientScope => Verdict::Reject { failure: DeliveryFailure::ScopeInsufficient },
        Class::RateLimited => Verdict::Retry { failure: DeliveryFailure::RateLimited, after: after() },
        // Without a rule nobody can tell whether the vendor has acted before it failed.
        Class::Retryable if rule.is_none() && operation.unsure == Unsure::Fail => {
            Verdict::Reject { failure: DeliveryFailure::VendorError }
        }
        Class::Retryable => Verdict::Retry { failure: DeliveryFailure::VendorError, after: after() },
        Class::Plan | Class::ConfigError | Class::Rejected => {
            Verdict::Reject { failure: DeliveryFailure::VendorRejected }
        }
        Class::Gone => Verdict::Gone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_says_the_manifests_words_and_the_vendors() {
        let message = |detail: Option<&str>, words: Option<&str>| {
            let (detail, vendor_message) = (detail.map(str::to_owned), words.map(str::to_owned));
            Reading { verdict: Verdict::Done, detail, vendor_message }.message()
        };
        assert_eq!(message(None, None), None);
        assert_eq!(message(None, Some("no")).as_deref(), Some("no"));
        assert_eq!(message(Some("dropped"), None).as_deref(), Some("dropped"));
        assert_eq!(message(Some("dropped"), Some("no")).as_deref(), Some("dropped (its words: no)"));
        let long = message(Some(&"a".repeat(DETAIL_MAX)), Some(&"b".repeat(MESSAGE_MAX))).unwrap();
        assert!(long.len() == MESSAGE_MAX && long.ends_with("b)"), "{}", long.len());
    }
}
