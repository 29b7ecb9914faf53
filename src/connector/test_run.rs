//! The test of a connection: a few calls, one at a time, until a rule says what they showed.
//!
//! A state machine, so that whoever owns the network can drive it: [`TestRun::next`] gives the call to
//! make, [`TestRun::answer`] takes what came of it.

use std::sync::Arc;

use super::{
    answer::{self, NAME_MAX, Read},
    model::{Account, Class, Connector, Flow, Rule, Step, Then},
    placeholders::{BuildError, Placeholders},
    request::{self, CallContext},
};
use crate::domain::{
    connector::AuthFlow,
    exchange::{Answer, NoAnswer, OutboundRequest, TransportError},
    test_report::{TestOutcome, TestProof},
};

/// The longest text of a vendor that a report quotes, in bytes.
const QUOTE_MAX: usize = 300;

/// What a test found. Texts of the vendor's are not masked yet (see [`super::mask`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestFinding {
    pub outcome: TestOutcome,
    pub proof: TestProof,
    pub vendor_account_id: Option<String>,
    pub vendor_account_name: Option<String>,
    pub missing_scopes: Vec<String>,
    pub vendor_error_code: Option<String>,
    pub detail: Option<String>,
}

/// What comes next in a test.
#[derive(Clone, Debug)]
pub enum TestStep {
    /// Make this call, then [`TestRun::answer`].
    Send(OutboundRequest),
    Done(TestFinding),
}

/// A test that is running.
#[derive(Debug)]
pub struct TestRun {
    connector: Arc<Connector>,
    flow: AuthFlow,
    /// The step whose answer is awaited, by its place in the connector's test.
    current: Option<usize>,
    finding: Option<TestFinding>,
}

impl TestRun {
    /// A test of a connection by this flow.
    #[must_use]
    pub fn new(connector: &Arc<Connector>, flow: AuthFlow) -> Self {
        let current = connector.test.iter().position(|step| step.flows.contains(&flow));
        Self { connector: Arc::clone(connector), flow, current, finding: None }
    }

    /// The call to make, or what the test has found.
    ///
    /// # Errors
    /// Where the connector does not offer the flow, or the call cannot be built from these values.
    pub fn next(&mut self, context: &CallContext<'_>) -> Result<TestStep, BuildError> {
        if let Some(finding) = &self.finding {
            return Ok(TestStep::Done(finding.clone()));
        }
        let (flow, step) = self.awaited()?;
        request::build(&step.call, &names(flow, context), context).map(TestStep::Send)
    }

    /// Takes what came of the call. To be called once for each [`TestStep::Send`].
    pub fn answer(&mut self, answer: Result<&Answer, &NoAnswer>, context: &CallContext<'_>) {
        let Ok((flow, step)) = self.awaited() else { return };
        match answer {
            Ok(answer) => match conclude(&self.connector, flow, step, &Read::new(answer), context) {
                Conclusion::Found(finding) => self.finding = Some(*finding),
                Conclusion::Ask(next) => self.current = self.connector.test.iter().position(|step| step.name == next),
            },
            Err(none) => self.finding = Some(unanswered(flow, none)),
        }
    }

    fn awaited(&self) -> Result<(&Flow, &Step), BuildError> {
        let flow = self.connector.flow(self.flow);
        let step = self.current.and_then(|index| self.connector.test.get(index));
        flow.zip(step).ok_or_else(|| BuildError::new("the connector has no test for this flow"))
    }
}

enum Conclusion {
    Found(Box<TestFinding>),
    /// Another step decides.
    Ask(String),
}

const fn names<'a>(flow: &'a Flow, context: &CallContext<'a>) -> Placeholders<'a> {
    Placeholders {
        flow,
        values: context.values,
        event: None,
        derived: &[],
        message_id: context.message_id,
        now: context.now,
        credential: None,
    }
}

fn conclude(connector: &Connector, flow: &Flow, step: &Step, read: &Read<'_>, context: &CallContext<'_>) -> Conclusion {
    let rule = step.rules.iter().chain(&connector.rules).find(|rule| read.fits(&rule.when));
    let class = match rule.map(|rule| &rule.then) {
        Some(Then::Next(name)) => return Conclusion::Ask(name.clone()),
        Some(Then::Class(class)) => *class,
        None => answer::usual_class(read.status()),
    };
    let outcome = outcome(class);
    let connected = outcome == TestOutcome::Connected;
    let proof = rule.and_then(|rule| rule.proof).filter(|_| connected).or(step.proof).unwrap_or(flow.proof);
    let names = names(flow, context);
    let take = |of: fn(&Account) -> &Vec<super::model::Source>| {
        let own = rule.and_then(|rule| read.first(of(&rule.account), &names));
        own.or_else(|| read.first(of(&step.account), &names))
    };
    Conclusion::Found(Box::new(TestFinding {
        outcome,
        proof: if connected { proof } else { flow.proof },
        vendor_account_id: if connected { take(|account| &account.id) } else { None },
        vendor_account_name: if connected { take(|account| &account.name) } else { None },
        missing_scopes: missing_scopes(rule, read),
        vendor_error_code: if connected { None } else { Some(error_code(connector, read)) },
        detail: detail(connector, rule, class, read),
    }))
}

/// The six outcomes. A credential that the vendor does not know cannot be told from a revoked one.
const fn outcome(class: Class) -> TestOutcome {
    match class {
        Class::Success => TestOutcome::Connected,
        Class::Expired => TestOutcome::CredentialExpired,
        Class::Revoked | Class::Invalid => TestOutcome::CredentialRevoked,
        Class::InsufficientScope => TestOutcome::ScopeInsufficient,
        Class::RateLimited | Class::Plan | Class::ConfigError | Class::Gone | Class::Retryable | Class::Rejected => {
            TestOutcome::VendorError
        }
    }
}

fn missing_scopes(rule: Option<&Rule>, read: &Read<'_>) -> Vec<String> {
    let place = rule.and_then(|rule| rule.missing_scopes.as_ref());
    place.map(|(pointer, pattern)| read.scopes(pointer, pattern)).unwrap_or_default()
}

fn error_code(connector: &Connector, read: &Read<'_>) -> String {
    read.first_at(&connector.error_code, NAME_MAX).unwrap_or_else(|| read.status().to_string())
}

/// The manifest's words and, where something is wrong, the vendor's.
fn detail(connector: &Connector, rule: Option<&Rule>, class: Class, read: &Read<'_>) -> Option<String> {
    let own = rule.and_then(|rule| rule.detail.clone());
    if class == Class::Success {
        return own;
    }
    let own = own.unwrap_or_else(|| match (class, read.status()) {
        (Class::Invalid, _) => "the vendor does not accept the credential".to_owned(),
        (Class::RateLimited, _) => "the vendor asks for fewer calls; try again later".to_owned(),
        (_, status @ 300..=399) => format!("the vendor answered {status}, and redirects are not followed"),
        (_, status) => format!("the vendor answered {status}"),
    });
    Some(match read.first_at(&connector.error_message, QUOTE_MAX) {
        Some(text) => format!("{own} (its words: {text})"),
        None => own,
    })
}

fn unanswered(flow: &Flow, none: &NoAnswer) -> TestFinding {
    let what = match none.error {
        TransportError::Network => "no connection",
        TransportError::Timeout => "no answer in time",
        TransportError::Forbidden => "the address may not be called",
    };
    TestFinding {
        outcome: TestOutcome::NetworkError,
        proof: flow.proof,
        vendor_account_id: None,
        vendor_account_name: None,
        missing_scopes: Vec::new(),
        vendor_error_code: None,
        detail: Some(format!("{what}: {}", answer::clean(&none.detail, QUOTE_MAX))),
    }
}
