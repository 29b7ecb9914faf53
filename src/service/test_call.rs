//! The test call: low cost, without effect at the vendor, and the only proof that a credential works.

use std::{sync::Arc, time::Duration};

use super::{credentials::Opened, gateway::Gateway};
use crate::{
    connector::{CallContext, Connector, TestFinding, TestRun, TestStep, mask},
    domain::{
        clock::random,
        connection::Connection,
        connector::AuthFlow,
        test_report::{TestOutcome, TestProof, TestReport},
    },
    egress::Limits,
};

/// How long one call of a test may take.
const TIMEOUT: Duration = Duration::from_secs(15);
/// How much of an answer is read.
const MAX_BODY: usize = 256 * 1024;
/// More steps than any manifest may have: a bound that a faulty one cannot pass.
const MAX_STEPS: usize = 8;

impl Gateway {
    /// Runs a connector's test with this credential. Never fails: what went wrong is in the report.
    pub(super) async fn run_test(&self, connector: &Arc<Connector>, flow: AuthFlow, opened: &Opened) -> TestReport {
        self.run_first_test(connector, flow, opened).await.0
    }

    /// As [`Self::run_test`], with what the test has captured for the grant.
    pub(super) async fn run_first_test(
        &self,
        connector: &Arc<Connector>,
        flow: AuthFlow,
        opened: &Opened,
    ) -> (TestReport, Vec<(String, String)>) {
        let mut run = TestRun::new(connector, flow);
        let message_id = self.new_message_id();
        let mut latency = Duration::ZERO;
        let mut finding = None;
        for _ in 0..MAX_STEPS {
            let context = CallContext {
                values: &opened.values,
                signing: &opened.signing,
                grant: opened.grant.as_ref(),
                now: self.now(),
                message_id: &message_id,
            };
            match run.next(&context) {
                Ok(TestStep::Send(request)) => {
                    let answer = self.egress.send(request, Limits { timeout: TIMEOUT, max_body: MAX_BODY }).await;
                    latency += match &answer {
                        Ok(answer) => answer.latency,
                        Err(none) => none.latency,
                    };
                    run.answer(answer.as_ref(), &context);
                }
                Ok(TestStep::Done(done)) => {
                    finding = Some(done);
                    break;
                }
                Err(error) => {
                    finding = Some(Self::unbuildable(connector, flow, &error.message));
                    break;
                }
            }
        }
        let finding = finding.unwrap_or_else(|| Self::unbuildable(connector, flow, "its test does not come to an end"));
        let context = CallContext {
            values: &opened.values,
            signing: &opened.signing,
            grant: opened.grant.as_ref(),
            now: self.now(),
            message_id: &message_id,
        };
        let masked = |text: Option<String>| text.map(|text| mask(&text, &context));
        let report = TestReport {
            outcome: finding.outcome,
            proof: finding.proof,
            vendor_account_id: masked(finding.vendor_account_id),
            vendor_account_name: masked(finding.vendor_account_name),
            missing_scopes: finding.missing_scopes,
            vendor_error_code: masked(finding.vendor_error_code),
            detail: masked(finding.detail),
            latency_ms: u32::try_from(latency.as_millis()).unwrap_or(u32::MAX),
            tested_at: self.now(),
        };
        (report, run.captured().to_vec())
    }

    fn unbuildable(connector: &Connector, flow: AuthFlow, message: &str) -> TestFinding {
        TestFinding {
            outcome: TestOutcome::VendorError,
            proof: connector.flow(flow).map_or(TestProof::Syntax, |flow| flow.proof),
            vendor_account_id: None,
            vendor_account_name: None,
            missing_scopes: Vec::new(),
            vendor_error_code: None,
            detail: Some(format!("the test call could not be made: {message}")),
        }
    }

    /// An id for a message on its way out: it goes with every attempt, and contains no `.`
    /// (Standard Webhooks, "webhook-id").
    pub(super) fn new_message_id(&self) -> String {
        format!("msg_{:032x}", u128::from_be_bytes(random(&*self.entropy)))
    }
}

/// What is wrong with a new credential whose test names another account than the connection's own.
pub(super) fn other_account(credential: &str, connection: &Connection, test: &TestReport) -> Option<String> {
    match (&connection.vendor_account_id, &test.vendor_account_id) {
        (Some(own), Some(other)) if own != other => Some(format!(
            "the {credential} is for another account ({}) than the connection's own ({})",
            test.vendor_account_name.as_ref().unwrap_or(other),
            connection.vendor_account_name.as_ref().unwrap_or(own),
        )),
        _ => None,
    }
}

/// Why a connection is not active, in words for an operator: what its test found.
pub(super) fn reason(report: &TestReport) -> String {
    let what = match report.outcome {
        TestOutcome::Connected => "the test passed",
        TestOutcome::CredentialExpired => "the credential has expired",
        TestOutcome::CredentialRevoked => "the vendor does not accept the credential any more",
        TestOutcome::ScopeInsufficient => "the credential lacks a permission",
        TestOutcome::VendorError => "the vendor answered with an error",
        TestOutcome::NetworkError => "the vendor could not be reached",
    };
    match &report.detail {
        Some(detail) => format!("{what}: {detail}"),
        None => what.to_owned(),
    }
}
