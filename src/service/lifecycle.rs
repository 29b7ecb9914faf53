//! Test, pause, resume.

use std::sync::Arc;

use super::{
    gateway::{Gateway, activity},
    refresh::{Renewed, is_refreshable},
    test_call::reason,
    types::{Acting, Failure, OrInternal as _, Tested},
};
use crate::{
    connector::Connector,
    domain::{
        action::{self, ConnectionAction},
        activity::{ActivityAction, ActivityOutcome},
        connection::{Connection, ConnectionState},
        id::{ConnectionId, SiteId},
        state::{Decision, Observation},
        test_report::{TestOutcome, TestReport},
    },
    store::{
        self, NewActivity,
        connection::{Observed, Report},
    },
};

/// What is said where a connection is not there (any more).
pub(super) const NO_CONNECTION: Failure = Failure::NotFound("connection");

impl Gateway {
    /// Calls the vendor and reports; what was learnt decides the state.
    ///
    /// # Errors
    /// [`Failure::NotFound`]; [`Failure::Conflict`] where the connector has left the library.
    pub async fn test(&self, acting: &Acting, id: ConnectionId) -> Result<Tested, Failure> {
        let (gateway, acting) = (self.clone(), acting.clone());
        self.in_own_task(async move {
            let (connection, connector) = gateway.permitted_with_connector(&acting, id, ConnectionAction::Test).await?;
            let test = gateway.test_and_renew(acting.site(), &connection, &connector).await?;
            let observation = Observation::Tested { outcome: test.outcome, refreshable: false };
            let entry = tested_activity(&acting, ActivityAction::ConnectionTested, &connection, &test);
            gateway.observe_test(acting.site(), id, observation, test, entry).await
        })
        .await
    }

    /// Stops deliveries. The credential is kept, and so is what is queued.
    ///
    /// # Errors
    /// [`Failure::NotFound`].
    pub async fn pause(&self, acting: &Acting, id: ConnectionId) -> Result<Connection, Failure> {
        let connection = self.permitted(acting, id, ConnectionAction::Pause).await?;
        let entry =
            activity(acting, ActivityAction::ConnectionPaused, Some(&connection), ActivityOutcome::Succeeded, None);
        let report = Report {
            observation: Observation::Pause,
            test: None,
            reason: Some("paused by an operator".to_owned()),
            activity: Some(entry),
            touch: true,
        };
        Ok(self.observe(acting.site(), id, report).await?.connection)
    }

    /// Tests a paused connection and returns it to active; a failed test leaves it in error.
    ///
    /// # Errors
    /// [`Failure::NotFound`]; [`Failure::Conflict`] in any state but paused.
    pub async fn resume(&self, acting: &Acting, id: ConnectionId) -> Result<Tested, Failure> {
        let (gateway, acting) = (self.clone(), acting.clone());
        self.in_own_task(async move {
            let connection = gateway.connection(acting.site(), id).await?;
            if let Err(refused) = gateway.permit(&acting, &connection, ConnectionAction::Resume).await {
                return Err(gateway.refuse_resume(&acting, &connection, refused).await?);
            }
            let connector = gateway.connector_of(&connection)?;
            let test = gateway.test_and_renew(acting.site(), &connection, &connector).await?;
            let observation = Observation::Resume { test: test.outcome };
            let entry = tested_activity(&acting, ActivityAction::ConnectionResumed, &connection, &test);
            gateway.observe_test(acting.site(), id, observation, test, entry).await
        })
        .await
    }

    /// A connection of this site.
    pub(super) async fn connection(&self, site: SiteId, id: ConnectionId) -> Result<Connection, Failure> {
        store::connection::find(&self.db, site, id).await.or_internal("reading the connection")?.ok_or(NO_CONNECTION)
    }

    /// A connection of this site, and its connector.
    pub(super) async fn connection_with_connector(
        &self,
        site: SiteId,
        id: ConnectionId,
    ) -> Result<(Connection, Arc<Connector>), Failure> {
        let connection = self.connection(site, id).await?;
        let connector = self.connector_of(&connection)?;
        Ok((connection, connector))
    }

    /// The connector of a connection.
    pub(super) fn connector_of(&self, connection: &Connection) -> Result<Arc<Connector>, Failure> {
        self.library().get(&connection.connector_slug).cloned().ok_or_else(|| {
            Failure::Conflict(format!("the connector {} is not in the library any more", connection.connector_slug))
        })
    }

    /// Tests a connection with its stored credential.
    pub(super) async fn test_stored(
        &self,
        site: SiteId,
        connection: &Connection,
        connector: &Arc<Connector>,
    ) -> Result<TestReport, Failure> {
        let opened = self.open(site, connection.id).await?;
        Ok(self.run_test(connector, connection.auth_flow, &opened).await)
    }

    /// Tests a connection; where its access record has expired and can be renewed, renews it first and tests again.
    pub(super) async fn test_and_renew(
        &self,
        site: SiteId,
        connection: &Connection,
        connector: &Arc<Connector>,
    ) -> Result<TestReport, Failure> {
        let opened = self.open(site, connection.id).await?;
        let mut test = self.run_test(connector, connection.auth_flow, &opened).await;
        if let (Some(used), TestOutcome::CredentialExpired | TestOutcome::CredentialRevoked) =
            (&opened.grant, test.outcome)
        {
            // What is said of a token that has been replaced since says nothing of the one that is held now.
            let now = self.open(site, connection.id).await?;
            if now.grant.as_ref().is_some_and(|held| held.access != used.access) {
                return Ok(self.run_test(connector, connection.auth_flow, &now).await);
            }
        }
        let renewable = is_refreshable(connection, connector, opened.grant.as_ref())
            && connection.state != ConnectionState::AuthRevoked;
        let (TestOutcome::CredentialExpired, true, Some(grant)) = (test.outcome, renewable, &opened.grant) else {
            return Ok(test);
        };
        match self.renew_expired(site, connection.id, &grant.access).await? {
            Renewed::Fresh => return self.test_stored(site, connection, connector).await,
            Renewed::Refused { revoked, reason } => {
                if revoked {
                    test.outcome = TestOutcome::CredentialRevoked;
                }
                test.detail = Some(reason);
            }
            // Nothing is known against the grant.
            Renewed::Passing { reason } => {
                test.outcome = TestOutcome::VendorError;
                test.detail = Some(reason);
            }
        }
        Ok(test)
    }

    /// Stores what a test of the platform's own has found.
    pub(super) async fn note_test(
        &self,
        site: SiteId,
        id: ConnectionId,
        observation: Observation,
        test: TestReport,
    ) -> Result<Tested, Failure> {
        let report =
            Report { observation, reason: Some(reason(&test)), test: Some(test.clone()), activity: None, touch: false };
        let observed = self.observe(site, id, report).await?;
        self.bus.wake_deliveries();
        Ok(Tested { connection: observed.connection, test })
    }

    async fn observe_test(
        &self,
        site: SiteId,
        id: ConnectionId,
        observation: Observation,
        test: TestReport,
        entry: NewActivity,
    ) -> Result<Tested, Failure> {
        let report = Report {
            observation,
            test: Some(test.clone()),
            reason: Some(reason(&test)),
            activity: Some(entry),
            touch: matches!(observation, Observation::Resume { .. }),
        };
        let observed = self.observe(site, id, report).await?;
        if observed.decision == Decision::Conflict {
            return Err(Failure::Conflict(action::cannot_resume(observed.previous)));
        }
        // An active connection takes its queue up again.
        self.bus.wake_deliveries();
        Ok(Tested { connection: observed.connection, test })
    }

    /// Says what was learnt about a connection; the state follows.
    pub(super) async fn observe(&self, site: SiteId, id: ConnectionId, report: Report) -> Result<Observed, Failure> {
        let observed = Box::pin(store::connection::observe(&self.db, site, id, self.now(), report))
            .await
            .or_internal("storing what was observed")?
            .ok_or(NO_CONNECTION)?;
        self.committed(site);
        Ok(observed)
    }

    async fn refuse_resume(
        &self,
        acting: &Acting,
        connection: &Connection,
        refused: Failure,
    ) -> Result<Failure, Failure> {
        let Failure::Conflict(why) = &refused else { return Ok(refused) };
        let entry = activity(
            acting,
            ActivityAction::ConnectionResumed,
            Some(connection),
            ActivityOutcome::Rejected,
            Some(why.clone()),
        );
        self.log_activity(acting.site(), entry).await?;
        Ok(refused)
    }
}

fn tested_activity(acting: &Acting, action: ActivityAction, connection: &Connection, test: &TestReport) -> NewActivity {
    let outcome = if test.passed() { ActivityOutcome::Succeeded } else { ActivityOutcome::Failed };
    activity(acting, action, Some(connection), outcome, (!test.passed()).then(|| reason(test)))
}
