//! What a test call found.

use chrono::{DateTime, Utc};

use super::vocabulary::vocabulary;

vocabulary! {
    /// The six outcomes of the reference.
    pub enum TestOutcome {
        Connected = "connected",
        CredentialExpired = "credential_expired",
        CredentialRevoked = "credential_revoked",
        ScopeInsufficient = "scope_insufficient",
        VendorError = "vendor_error",
        NetworkError = "network_error",
    }
}

vocabulary! {
    /// What a passing test of a connector shows.
    pub enum TestProof {
        /// The account answered for itself.
        Account = "account",
        /// The vendor accepted the credential, without naming an account.
        Credential = "credential",
        /// The destination answered; nothing can prove the credential.
        Reachable = "reachable",
        /// Only the form of the credential could be checked.
        Syntax = "syntax",
    }
}

/// The report of one test call. Holds no secret: vendor texts are masked before they come here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestReport {
    pub outcome: TestOutcome,
    pub proof: TestProof,
    pub vendor_account_id: Option<String>,
    pub vendor_account_name: Option<String>,
    pub missing_scopes: Vec<String>,
    /// The vendor's own error code, or its HTTP status.
    pub vendor_error_code: Option<String>,
    /// In words for an operator.
    pub detail: Option<String>,
    /// Wall time of all calls of the test, in milliseconds.
    pub latency_ms: u32,
    pub tested_at: DateTime<Utc>,
}

impl TestReport {
    /// Whether the connection may be used on the strength of this report.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.outcome == TestOutcome::Connected
    }
}
