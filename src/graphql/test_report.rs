//! What tests found.

use async_graphql::{Description, Object};

use super::{
    enums::{TestOutcome, TestProof},
    scalars::DateTime,
};
use crate::domain;

/// What a test call found.
#[derive(Description)]
pub struct TestReport(pub(super) domain::test_report::TestReport);

#[Object(use_type_description)]
impl TestReport {
    async fn outcome(&self) -> TestOutcome {
        self.0.outcome.into()
    }

    /// What a passing test of this connector shows.
    async fn proof(&self) -> TestProof {
        self.0.proof.into()
    }

    async fn vendor_account_id(&self) -> Option<&str> {
        self.0.vendor_account_id.as_deref()
    }

    async fn missing_scopes(&self) -> &[String] {
        &self.0.missing_scopes
    }

    /// The vendor's own error code, or its HTTP status.
    async fn vendor_error_code(&self) -> Option<&str> {
        self.0.vendor_error_code.as_deref()
    }

    /// In words for an operator; secrets masked.
    async fn detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    /// Wall time of all calls of the test, in milliseconds.
    async fn latency_ms(&self) -> i32 {
        i32::try_from(self.0.latency_ms).unwrap_or(i32::MAX)
    }

    async fn tested_at(&self) -> DateTime {
        DateTime(self.0.tested_at)
    }
}
