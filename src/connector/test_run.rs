//! The test of a connection: a few calls, one at a time, until a rule says what they showed.
//!
//! A state machine, so that whoever owns the network can drive it: [`TestRun::next`] gives the call to
//! make, [`TestRun::answer`] takes what came of it.

use std::sync::Arc;

use super::{
    answer::{self, NAME_MAX, Read},
    grant::Grant,
    model::{Account, Class, Connector, Flow, Rule, Source, Step, Then},
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
    /// Where the test is.
    at: At,
    /// What steps have captured so far, by the names of the grant's values.
    captured: Vec<(String, String)>,
}

#[derive(Debug)]
enum At {
    /// Before the first call: which step begins depends on the scopes that were granted.
    Start,
    /// At the step whose answer is awaited, by its place in the connector's test.
    Step(usize),
    End(TestFinding),
    /// Nowhere: the connector has no test for this flow.
    Lost,
}

impl TestRun {
    /// A test of a connection by this flow.
    #[must_use]
    pub fn new(connector: &Arc<Connector>, flow: AuthFlow) -> Self {
        Self { connector: Arc::clone(connector), flow, at: At::Start, captured: Vec::new() }
    }

    /// The call to make, or what the test has found.
    ///
    /// # Errors
    /// Where the connector does not offer the flow, or the call cannot be built from these values.
    pub fn next(&mut self, context: &CallContext<'_>) -> Result<TestStep, BuildError> {
        if let At::Start = self.at {
            let granted = context.grant.map(|grant| grant.scopes.as_slice()).unwrap_or_default();
            let begins = |step: &Step| {
                let suffices = step.scopes.is_empty() || step.scopes.iter().any(|scope| granted.contains(scope));
                step.flows.contains(&self.flow) && suffices
            };
            self.at = self.connector.test.iter().position(begins).map_or(At::Lost, At::Step);
        }
        if let At::End(finding) = &self.at {
            return Ok(TestStep::Done(finding.clone()));
        }
        let (flow, step) = self.awaited()?;
        let grant = context.grant.map(|grant| grant.clone().with_captured(&self.captured));
        let context = &CallContext { grant: grant.as_ref(), ..*context };
        request::build(&step.call, &names(&self.connector, flow, context, grant.as_ref()), context).map(TestStep::Send)
    }

    /// What the test has captured: it belongs to the grant, and deliveries need it.
    #[must_use]
    pub fn captured(&self) -> &[(String, String)] {
        &self.captured
    }

    /// Takes what came of the call. To be called once for each [`TestStep::Send`].
    pub fn answer(&mut self, answer: Result<&Answer, &NoAnswer>, context: &CallContext<'_>) {
        let Ok((flow, step)) = self.awaited() else { return };
        let mut captured = Vec::new();
        let at = match answer {
            Ok(answer) => {
                let read = Read::new(answer);
                captured = flow.captured_by(&step.name, &read, &self.connector.hosts);
                match conclude(&self.connector, flow, step, &read, context) {
                    Conclusion::Found(finding) => At::End(*finding),
                    Conclusion::Ask(next) => {
                        self.connector.test.iter().position(|step| step.name == next).map_or(At::Lost, At::Step)
                    }
                }
            }
            Err(none) => At::End(unanswered(flow, none)),
        };
        self.captured.extend(captured);
        self.at = at;
    }

    fn awaited(&self) -> Result<(&Flow, &Step), BuildError> {
        let flow = self.connector.flow(self.flow);
        let step = match self.at {
            At::Step(index) => self.connector.test.get(index),
            At::Start | At::End(_) | At::Lost => None,
        };
        flow.zip(step).ok_or_else(|| BuildError::new("the connector has no test for this flow"))
    }
}

enum Conclusion {
    Found(Box<TestFinding>),
    /// Another step decides.
    Ask(String),
}

const fn names<'a>(
    connector: &'a Connector,
    flow: &'a Flow,
    context: &CallContext<'a>,
    grant: Option<&'a Grant>,
) -> Placeholders<'a> {
    Placeholders {
        flow,
        values: context.values,
        event: None,
        derived: &[],
        message_id: context.message_id,
        now: context.now,
        credential: None,
        grant,
        client: None,
        hosts: &connector.hosts,
        mark: None,
    }
}

fn conclude(connector: &Connector, flow: &Flow, step: &Step, read: &Read<'_>, context: &CallContext<'_>) -> Conclusion {
    let rule = read.rule(step.rules.iter().chain(&connector.rules).filter(|rule| rule.is_for(flow.flow)));
    let unread = unread(step, read).filter(|_| rule.is_none());
    let class = match rule.map(|rule| &rule.then) {
        Some(Then::Next(name)) => return Conclusion::Ask(name.clone()),
        Some(Then::Class(class)) => *class,
        None if unread.is_some() => Class::Rejected,
        None => answer::usual_class(read.status()),
    };
    let outcome = outcome(class);
    let connected = outcome == TestOutcome::Connected;
    let proof = rule.and_then(|rule| rule.proof).filter(|_| connected).or(step.proof).unwrap_or(flow.proof);
    let names = names(connector, flow, context, context.grant);
    let take = |of: fn(&Account) -> &Vec<Source>| {
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
        detail: unread.map(str::to_owned).or_else(|| detail(connector, rule, class, read)),
    }))
}

/// Why a success is none: an account is to be taken from an answer that is no JSON. Whoever answers so is
/// somebody else.
fn unread(step: &Step, read: &Read<'_>) -> Option<&'static str> {
    let due = step.account.id.iter().chain(&step.account.name).any(|source| matches!(source, Source::Json { .. }));
    if !due || !(200..=299).contains(&read.status()) || read.json().is_some() {
        return None;
    }
    Some(if read.truncated() {
        "the answer is longer than what is read of one"
    } else {
        "the answer is no JSON, as the vendor's would be; is the address right?"
    })
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
    rule.and_then(|rule| rule.missing_scopes.as_ref()).map(|missing| read.scopes(missing)).unwrap_or_default()
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
