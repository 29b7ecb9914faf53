//! One attempt of a delivery: an event becomes a request, and the answer a verdict.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    answer::{self, Read},
    model::{Class, Connector, Operation, Then, Unsure},
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
    /// The start of what the vendor answered, or why nothing came: valid text of at most
    /// [`MESSAGE_MAX`] bytes, not masked yet (see [`super::mask`]).
    pub vendor_message: Option<String>,
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
            let verdict = verdict(connector, flow, operation, &read, now);
            Reading { verdict, vendor_message: read.beginning(MESSAGE_MAX) }
        }
        Err(none) => {
            let failure = match none.error {
                TransportError::Network => DeliveryFailure::NetworkError,
                TransportError::Timeout => DeliveryFailure::Timeout,
                TransportError::Forbidden => DeliveryFailure::DestinationForbidden,
            };
            let again = none.error != TransportError::Forbidden && operation.unsure == Unsure::Retry;
            let verdict = if again { Verdict::Retry { failure, after: None } } else { Verdict::Reject { failure } };
            Reading { verdict, vendor_message: Some(answer::clean(&none.detail, MESSAGE_MAX)) }
        }
    }
}

fn verdict(
    connector: &Connector,
    flow: AuthFlow,
    operation: &Operation,
    read: &Read<'_>,
    now: DateTime<Utc>,
) -> Verdict {
    let rule = read.rule(operation.rules.iter().chain(&connector.rules).filter(|rule| rule.is_for(flow)));
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
