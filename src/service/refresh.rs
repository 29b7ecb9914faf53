//! Renewing access records: ahead of their expiry, on demand, and when a call says that one has expired. One at a time
//! for a connection, whoever asks; whoever waits takes the outcome.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    gateway::{Gateway, activity},
    lifecycle::NO_CONNECTION,
    oauth_client::{OAuthFlow, oauth_of},
    types::{Acting, Failure, OrInternal as _, Tested},
};
use crate::{
    connector::{Connector, Grant, OAuth, RefreshKind, RefreshLimit},
    domain::{
        action::ConnectionAction,
        activity::{ActivityAction, ActivityOutcome},
        clock::random,
        connection::Connection,
        connector::AuthFlow,
        id::{ConnectionId, SiteId},
        secret::Secret,
        state::Observation,
        test_report::{TestOutcome, TestProof, TestReport},
    },
    store::{
        self, NewActivity,
        renewal::{Begun, RenewalOutcome},
    },
};

/// How long a renewal is ours: longer than its call may take, so that it runs out only where a process has died.
const LEASE: TimeDelta = TimeDelta::seconds(60);
/// How often a renewal in another process is looked at.
const LOOK: TimeDelta = TimeDelta::milliseconds(200);

/// How a renewal ended, for whoever asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Renewed {
    /// There is a fresh access record.
    Fresh,
    /// The vendor does not renew this grant any more.
    Refused { revoked: bool, reason: String },
    /// It did not get through, and is tried again.
    Passing { reason: String },
}

/// Who wants a renewal: an operator, or the platform itself.
pub(super) type By<'a> = Option<&'a Acting>;

impl Gateway {
    /// Renews the access record of a connection now, and tests it.
    ///
    /// # Errors
    /// [`Failure::NotFound`]; [`Failure::Conflict`] for a credential that cannot be refreshed, or where no OAuth app is
    /// registered any more; [`Failure::Forbidden`] where the connector's family asks for more.
    pub async fn refresh(&self, acting: &Acting, id: ConnectionId) -> Result<Tested, Failure> {
        let (gateway, acting) = (self.clone(), acting.clone());
        self.in_own_task(async move {
            let site = acting.site();
            let (connection, connector) =
                gateway.permitted_with_connector(&acting, id, ConnectionAction::Refresh).await?;
            let grant = gateway.open(site, id).await?.grant;
            if !is_refreshable(&connection, &connector, grant.as_ref()) {
                // Of a grant that was stored before it was noted with it.
                return Err(Failure::Conflict(format!("{} has given no refresh token", connector.display_name)));
            }
            let generation = gateway.generation(site, id).await?;
            match gateway.renew(site, id, generation, Some(&acting)).await? {
                Renewed::Fresh => {
                    let test = gateway.test_stored(site, &connection, &connector).await?;
                    let observation = Observation::Tested { outcome: test.outcome, refreshable: false };
                    gateway.note_test(site, id, observation, test).await
                }
                Renewed::Refused { revoked, reason } => {
                    let outcome = if revoked { TestOutcome::CredentialRevoked } else { TestOutcome::CredentialExpired };
                    Ok(Tested {
                        connection: gateway.connection(site, id).await?,
                        test: gateway.untested(outcome, reason),
                    })
                }
                Renewed::Passing { reason } => {
                    let test = gateway.untested(TestOutcome::VendorError, reason);
                    Ok(Tested { connection: gateway.connection(site, id).await?, test })
                }
            }
        })
        .await
    }

    /// A report of a credential that was not tested, since it could not be renewed.
    fn untested(&self, outcome: TestOutcome, detail: String) -> TestReport {
        TestReport {
            outcome,
            proof: TestProof::Credential,
            vendor_account_id: None,
            vendor_account_name: None,
            missing_scopes: Vec::new(),
            vendor_error_code: None,
            detail: Some(detail),
            latency_ms: 0,
            tested_at: self.now(),
        }
    }

    /// How many renewals of a connection have ended.
    pub(super) async fn generation(&self, site: SiteId, id: ConnectionId) -> Result<i64, Failure> {
        let renewal = store::renewal::find(&self.db, site, id).await.or_internal("reading the renewals")?;
        Ok(renewal.ok_or(NO_CONNECTION)?.generation)
    }

    /// Renews a grant of which a call with this access token was told that it has expired.
    pub(super) async fn renew_expired(
        &self,
        site: SiteId,
        id: ConnectionId,
        used: &Secret,
    ) -> Result<Renewed, Failure> {
        let generation = self.generation(site, id).await?;
        let held = self.open(site, id).await?.grant;
        if held.is_some_and(|grant| grant.access != *used) {
            // Somebody has renewed it since.
            return Ok(Renewed::Fresh);
        }
        self.renew(site, id, generation, None).await
    }

    /// Renews a grant, unless a renewal has ended since there had been `generation` of them: then takes its outcome.
    pub(super) async fn renew(
        &self,
        site: SiteId,
        id: ConnectionId,
        generation: i64,
        by: By<'_>,
    ) -> Result<Renewed, Failure> {
        let turn = self.turn(id);
        let _turn = turn.lock().await;
        let slug = self.connection(site, id).await?.connector_slug;
        let limit = self.refresh_limit(&slug);
        let rest = limit.map_or_else(TimeDelta::zero, |limit| {
            TimeDelta::milliseconds(i64::from(limit.seconds) * 1_000 / i64::from(limit.calls.max(1)))
        });
        let mut has_turn = false;
        loop {
            let now = self.now();
            let renewal = store::renewal::find(&self.db, site, id).await.or_internal("reading the renewals")?;
            let renewal = renewal.ok_or(NO_CONNECTION)?;
            if renewal.generation != generation {
                return Ok(outcome_of(renewal.outcome));
            }
            // Where nobody can begin one, or somebody has, no turn is taken for it. One is taken before the lease, which
            // does not last long.
            let free = renewal.lease_until.is_none_or(|until| until <= now) && renewal.too_soon(now, rest).is_none();
            if free && !std::mem::replace(&mut has_turn, true) {
                if !self.take_turn(&self.vendor_of(&slug)).await {
                    let reason = "many refreshes wait for their turn at this vendor; it is tried again".to_owned();
                    return Ok(Renewed::Passing { reason });
                }
                continue;
            }
            let begun = store::renewal::begin(&self.db, site, id, generation, now, now + LEASE, rest);
            match begun.await.or_internal("beginning a renewal")? {
                Begun::Lease(lease) | Begun::CutOff(lease, _) if lease.after_cut_off => {
                    return self.look_after(site, id, lease, by).await;
                }
                Begun::Lease(lease) => return self.renew_now(site, id, lease, by).await,
                Begun::CutOff(lease, begun_at) => return self.take_over(site, id, lease, begun_at, by).await,
                Begun::Ended(outcome) => return Ok(outcome_of(outcome)),
                Begun::Held { until, .. } => self.clock.sleep_until((now + LOOK).min(until)).await,
                Begun::TooSoon { until, outcome } => {
                    let reason = match outcome_of(outcome) {
                        refused @ Renewed::Refused { .. } => return Ok(refused),
                        Renewed::Passing { .. } => "the last refresh failed a moment ago".to_owned(),
                        Renewed::Fresh => limit.map_or_else(String::new, |limit| {
                            let RefreshLimit { calls, seconds } = limit;
                            format!("the vendor refreshes a grant {calls} times in {seconds} s at most")
                        }),
                    };
                    return Ok(Renewed::Passing {
                        reason: format!("{reason}; not again before {}", until.to_rfc3339()),
                    });
                }
                Begun::Closing => return Err(Failure::Conflict("this connection is being disconnected".to_owned())),
                Begun::Nothing => return Err(NO_CONNECTION),
            }
        }
    }

    /// For the worker: renews one connection that is due, or goes on with its disconnect. What fails has been logged,
    /// and is due again.
    pub async fn renew_due(&self, site: SiteId, id: ConnectionId) {
        let renewed = async {
            let Some(renewal) = store::renewal::find(&self.db, site, id).await.or_internal("reading the renewals")?
            else {
                return Ok(());
            };
            if renewal.closing.is_some() {
                return self.go_on_closing(site, id).await;
            }
            self.renew(site, id, renewal.generation, None).await.map(drop)
        };
        if let Err(failure) = Box::pin(renewed).await {
            tracing::warn!(connection = id.0, ?failure, "a renewal did not come about");
        }
    }

    /// Whether other connections of the site hold, or may hold, the grant of this account.
    pub(super) async fn shares_grant(
        &self,
        site: SiteId,
        flow: &OAuthFlow<'_>,
        account: Option<&str>,
        except: Option<ConnectionId>,
    ) -> Result<bool, Failure> {
        if !flow.oauth.shared_grant {
            return Ok(false);
        }
        let same_app = |connector: &&Arc<Connector>| {
            oauth_of(connector).is_ok_and(|(_, oauth)| oauth.app.is_some() && oauth.app == flow.oauth.app)
        };
        let mut slugs: Vec<String> =
            self.library().list().iter().filter(same_app).map(|connector| connector.slug.clone()).collect();
        if slugs.is_empty() {
            slugs.push(flow.connector.slug.clone());
        }
        let others = store::connection::sharing(&self.db, site, &slugs, account, except);
        Ok(others.await.or_internal("looking for connections that share the grant")? > 0)
    }
}

/// Whether this connection's access record can be renewed: the vendor has a call for it, and has given what it wants.
pub(super) fn is_refreshable(connection: &Connection, connector: &Connector, grant: Option<&Grant>) -> bool {
    let Some(grant) = grant.filter(|_| connection.auth_flow == AuthFlow::Oauth) else { return false };
    oauth_of(connector).is_ok_and(|(_, oauth)| can_renew(oauth, grant))
}

/// Whether a grant can be renewed at all.
pub(super) fn can_renew(oauth: &OAuth, grant: &Grant) -> bool {
    match oauth.refresh {
        RefreshKind::None => false,
        RefreshKind::Mint => true,
        RefreshKind::Same | RefreshKind::Rotating { .. } => grant.refresh.is_some(),
    }
}

/// When a grant is to be renewed: at 80 % of its lifetime, up to a tenth of it earlier, so that what was granted
/// together is not renewed together; or as the vendor recommends.
pub(super) fn renew_at(gateway: &Gateway, oauth: &OAuth, grant: &Grant, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    if !can_renew(oauth, grant) {
        return None;
    }
    let recommended = oauth.renew_after.map(|seconds| TimeDelta::seconds(seconds.into()));
    let lifetime = grant.expires_at.map(|at| at - now);
    let lifetime = match (recommended, lifetime.map(|lifetime| lifetime * 8 / 10)) {
        (Some(one), Some(other)) => one.min(other),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => return None,
    };
    let jitter = i32::from(u16::from_be_bytes(random(&*gateway.entropy)));
    // Up to an eighth of 80 %.
    let earlier = lifetime / 8 * jitter / i32::from(u16::MAX);
    // A vendor whose tokens are born old is not asked without a pause.
    Some(now + (lifetime - earlier).max(store::renewal::PAUSE_AFTER_FAILURE / 2))
}

fn outcome_of(outcome: Option<RenewalOutcome>) -> Renewed {
    let refused = |revoked| Renewed::Refused { revoked, reason: "the vendor refused the refresh".to_owned() };
    match outcome {
        Some(RenewalOutcome::Renewed) => Renewed::Fresh,
        Some(RenewalOutcome::Expired) => refused(false),
        Some(RenewalOutcome::Revoked) => refused(true),
        Some(RenewalOutcome::Failed | RenewalOutcome::CutOff) | None => {
            Renewed::Passing { reason: "the refresh did not get through".to_owned() }
        }
    }
}

/// A row for the activity log about a renewal.
pub(super) fn renewal_activity(by: By<'_>, outcome: ActivityOutcome, detail: Option<String>) -> NewActivity {
    match by {
        Some(acting) => activity(acting, ActivityAction::CredentialsRefreshed, None, outcome, detail),
        None => {
            NewActivity { action: ActivityAction::CredentialsRefreshed, actor: None, connection: None, outcome, detail }
        }
    }
}
