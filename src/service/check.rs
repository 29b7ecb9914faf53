//! Tests that nobody asks for: once a day, so that a credential that its vendor has taken back is known before an event
//! needs it; and probes of what is in error.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    gateway::Gateway,
    test_call::reason,
    types::{Failure, OrInternal as _},
};
use crate::{
    domain::{
        activity::{ActivityAction, ActivityOutcome},
        clock::random,
        connection::{Connection, ConnectionState},
        connector::AuthFlow,
        state::Observation,
        test_report::{TestOutcome, TestReport},
    },
    store::{self, NewActivity, check::Check, connection::Report},
};

/// How long a test is ours: longer than all its calls may take.
const LEASE: TimeDelta = TimeDelta::minutes(5);
const DAY: TimeDelta = TimeDelta::hours(24);
/// How much earlier than a day, so that what was tested together drifts apart.
const EARLIER: TimeDelta = TimeDelta::hours(1);
/// When a test that said nothing about the credential is made again.
const AGAIN: TimeDelta = TimeDelta::hours(1);
/// The pause after the first probe that failed is twice this; it doubles with each.
const PROBE: TimeDelta = TimeDelta::minutes(1);
const PROBE_MAX: TimeDelta = TimeDelta::hours(1);

impl Gateway {
    /// For the worker: takes tests that are due, of all sites.
    ///
    /// # Errors
    /// [`Failure::Internal`] where the database fails.
    pub async fn take_checks(&self, limit: u32) -> Result<Vec<Check>, Failure> {
        let now = self.now();
        let due = store::check::due(&self.db, now, limit).await.or_internal("looking for credentials to test")?;
        let mut taken = Vec::new();
        for check in due {
            taken.extend(store::check::take(&self.db, check, now + LEASE).await.or_internal("taking a test")?);
        }
        Ok(taken)
    }

    /// For the worker: when something will be due next.
    ///
    /// # Errors
    /// [`Failure::Internal`] where the database fails.
    pub async fn next_check_due(&self) -> Result<Option<DateTime<Utc>>, Failure> {
        store::check::next_due(&self.db).await.or_internal("looking for the next credential to test")
    }

    /// For the worker: makes a test that it has taken. One that does not come about is due again after its lease.
    pub async fn check(&self, taken: Check) {
        let checked = async {
            let next = self.test_by_itself(taken).await?;
            store::check::settle(&self.db, taken, next).await.or_internal("settling a test")
        };
        match Box::pin(checked).await {
            // It is gone, and so is its row.
            Ok(()) | Err(Failure::NotFound(_)) => {}
            Err(failure) => tracing::warn!(connection = taken.connection.0, ?failure, "a test did not come about"),
        }
    }

    /// Gives when the next one is due, and how many probes in a row have failed; `None` where there is none.
    async fn test_by_itself(&self, taken: Check) -> Result<Option<(DateTime<Utc>, u32)>, Failure> {
        let (site, id) = (taken.site, taken.connection);
        let connection = self.connection(site, id).await?;
        let probed = store::check::is_probed(&self.db, site, id).await.or_internal("reading the connection")?;
        if !probed && connection.auth_flow == AuthFlow::SignedToken {
            return Ok(None);
        }
        let Some(connector) = self.library().get(&connection.connector_slug).cloned() else {
            return Ok(Some(self.in_a_day()));
        };
        if !probed && !is_tested_daily(&connection) {
            return Ok(Some(self.in_a_day()));
        }
        let before = self.sealed(taken).await?;
        let test = self.test_and_renew(site, &connection, &connector).await?;
        if !test.passed() && self.sealed(taken).await? != before {
            // What was tested has been replaced meanwhile, and what was found does not count for what is there now.
            return Ok(Some((self.now(), taken.failures)));
        }
        let outcome = test.outcome;
        let report = Report {
            observation: Observation::Tested { outcome, refreshable: false },
            reason: Some(reason(&test)),
            activity: loss(&connection, &test),
            test: Some(test),
            touch: false,
        };
        self.observe(site, id, report).await?;
        self.bus.wake_deliveries();
        let inconclusive = matches!(outcome, TestOutcome::VendorError | TestOutcome::NetworkError);
        Ok(Some(if probed && (inconclusive || outcome == TestOutcome::ScopeInsufficient) {
            let failures = taken.failures.saturating_add(1);
            let pause = PROBE * (1 << failures.min(6));
            (self.now() + pause.min(PROBE_MAX), failures)
        } else if inconclusive {
            (self.now() + AGAIN, 0)
        } else {
            self.in_a_day()
        }))
    }

    /// The credential as it is stored: what tells it from another one.
    async fn sealed(&self, taken: Check) -> Result<Vec<store::SealedCredential>, Failure> {
        let parts = store::credential::list(&self.db, taken.site, taken.connection).await;
        parts.or_internal("reading the sealed credential")
    }

    fn in_a_day(&self) -> (DateTime<Utc>, u32) {
        let share = i32::from(u16::from_be_bytes(random(&*self.entropy)));
        (self.now() + DAY - EARLIER / i32::from(u16::MAX) * share, 0)
    }
}

/// A credential with an expiry is renewed ahead of it, which shows as much; what an operator has paused, or must look
/// into, is left to the operator.
fn is_tested_daily(connection: &Connection) -> bool {
    connection.expires_at.is_none() && !matches!(connection.state, ConnectionState::Paused | ConnectionState::Error)
}

/// What the activity log says of a test that has found a credential dead; nothing where that was known.
fn loss(connection: &Connection, test: &TestReport) -> Option<NewActivity> {
    let dead = matches!(test.outcome, TestOutcome::CredentialExpired | TestOutcome::CredentialRevoked);
    (dead && connection.state == ConnectionState::Active).then(|| NewActivity {
        action: ActivityAction::ConnectionTested,
        actor: None,
        connection: None,
        outcome: ActivityOutcome::Failed,
        detail: Some(reason(test)),
    })
}
