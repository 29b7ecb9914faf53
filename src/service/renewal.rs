//! One renewal, from its lease to its settlement.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    credentials::{self, Opened},
    gateway::Gateway,
    lifecycle::NO_CONNECTION,
    oauth_client::{OAuthFlow, oauth_of, refusal},
    refresh::{By, Renewed, can_renew, renew_at, renewal_activity},
    types::{Failure, OrInternal as _},
};
use crate::{
    connector::{Connector, Grant, OAuth, RefreshKind, TokenRefusal},
    domain::{
        activity::ActivityOutcome,
        connection::Connection,
        id::{ConnectionId, SiteId},
        state::{Decision, Observation},
        test_report::TestOutcome,
    },
    store::{
        self, StoreError,
        connection::{Granted, Settled},
        renewal::{Lease, RenewalOutcome},
    },
};

/// How often what a renewal brought is tried to be stored, and the first pause between two tries: a token that is not
/// stored is lost.
const STORE_TRIES: u32 = 6;
const STORE_PAUSE: TimeDelta = TimeDelta::milliseconds(200);
/// The longest pause between two renewals that do not get through.
const BACKOFF_MAX: TimeDelta = TimeDelta::hours(1);
/// The longest pause that a vendor can ask for.
const AFTER_MAX: TimeDelta = TimeDelta::hours(24);
/// What is said where a renewal was cut off, and its token may be used up.
const CUT_OFF: &str = "a refresh was cut off; authorize again";

/// A connection in the hands of whoever renews it.
struct Turn {
    connection: Connection,
    connector: Arc<Connector>,
    opened: Opened,
    grant: Grant,
}

impl Gateway {
    async fn turn_of(&self, site: SiteId, id: ConnectionId) -> Result<Turn, Failure> {
        let (connection, connector) = self.connection_with_connector(site, id).await?;
        let opened = self.open(site, id).await?;
        let grant = opened.grant.clone().ok_or("it has no grant").or_internal("opening the grant")?;
        Ok(Turn { connection, connector, opened, grant })
    }

    /// Asks the vendor for a fresh access record, and stores it.
    pub(super) async fn renew_now(
        &self,
        site: SiteId,
        id: ConnectionId,
        lease: Lease,
        by: By<'_>,
    ) -> Result<Renewed, Failure> {
        let prepared = async {
            let turn = self.turn_of(site, id).await?;
            let request = {
                let flow = self.oauth_flow(&turn.connector, &turn.opened.values)?;
                flow.call()?.refresh(&turn.grant).map_err(|error| Failure::Conflict(error.message))?
            };
            Ok::<_, Failure>((turn, request))
        };
        let (turn, request) = match prepared.await {
            Ok(prepared) => prepared,
            // The vendor was not called: nothing is burnt, but somebody must hear of it.
            Err(Failure::Conflict(reason) | Failure::BadInput { message: reason, .. }) => {
                let turn = self.turn_of(site, id).await?;
                return self.settle_refusal(site, &turn, lease, TokenRefusal::Misconfigured, reason, by).await;
            }
            Err(failure) => {
                store::renewal::release(&self.db, site, id, lease, self.now() + BACKOFF_MAX)
                    .await
                    .or_internal("giving a renewal back")?;
                return Err(failure);
            }
        };
        let flow = self.oauth_flow(&turn.connector, &turn.opened.values)?;
        let call = flow.call()?;
        let answer = self.call_token_endpoint(request).await;
        let now = self.now();
        let read = call.read_token(answer.as_ref(), &turn.grant.scopes, &[], Some(&turn.grant), now);
        let vendor = self.vendor_of(&turn.connection.connector_slug);
        match read.as_ref().map_err(|refused| refused.refusal) {
            Err(TokenRefusal::Passing { after }) => {
                let after = after.and_then(|after| TimeDelta::from_std(after).ok());
                self.note_later(&vendor, after.map(|after| after.min(AFTER_MAX)));
            }
            Err(TokenRefusal::Lost) => self.note_later(&vendor, None),
            _ => self.note_taken(&vendor),
        }
        match read {
            Ok(fresh) => self.keep(site, &turn, &flow, fresh, lease, by).await,
            Err(refused) => {
                let reason = refusal(&call, &refused, Some(&turn.grant));
                self.settle_refusal(site, &turn, lease, refused.refusal, reason, by).await
            }
        }
    }

    /// Stores what a renewal brought.
    async fn keep(
        &self,
        site: SiteId,
        turn: &Turn,
        flow: &OAuthFlow<'_>,
        fresh: Grant,
        lease: Lease,
        by: By<'_>,
    ) -> Result<Renewed, Failure> {
        let id = turn.connection.id;
        let keyring = self.keyring(site).await?;
        let sealed = credentials::seal_grant(&keyring, id, &fresh).or_internal("sealing the grant")?;
        let granted = Granted {
            sealed: vec![sealed],
            scopes: fresh.scopes.clone(),
            expires_at: fresh.expires_at,
            renew_at: renew_at(self, flow.oauth, &fresh, self.now()),
            refreshable: can_renew(flow.oauth, &fresh),
        };
        let settled = Settled {
            outcome: RenewalOutcome::Renewed,
            granted: Some(granted),
            observation: Some(Observation::RefreshSucceeded),
            reason: None,
            renew_at: None,
            activity: renewal_activity(by, ActivityOutcome::Succeeded, None),
        };
        let mut observed = self.settle(site, id, lease, settled.clone()).await?;
        if observed.is_none()
            && let Some(later) = self.still_held(site, turn, lease).await?
        {
            // Somebody took this renewal for cut off, and found out what was left of the grant: this is more.
            observed = self.settle(site, id, later, settled).await?;
        }
        let Some(observed) = observed else { return self.superseded(site, id, flow, &fresh).await };
        if observed == Decision::TestFollows {
            let test = self.test_stored(site, &turn.connection, &turn.connector).await?;
            let observation = Observation::Tested { outcome: test.outcome, refreshable: false };
            self.note_test(site, id, observation, test).await?;
        }
        self.bus.wake_deliveries();
        Ok(Renewed::Fresh)
    }

    /// The lease of a renewal that somebody else has ended meanwhile, where the grant that it renewed is still the
    /// connection's own.
    async fn still_held(&self, site: SiteId, turn: &Turn, lease: Lease) -> Result<Option<Lease>, Failure> {
        let id = turn.connection.id;
        let Some(renewal) = store::renewal::find(&self.db, site, id).await.or_internal("reading the renewals")? else {
            return Ok(None);
        };
        let held = self.open(site, id).await?.grant;
        let same = held.is_some_and(|held| held.access == turn.grant.access && held.refresh == turn.grant.refresh);
        Ok(same.then_some(Lease { generation: renewal.generation, ..lease }))
    }

    /// Gives back what a renewal brought for a connection that is gone, or was given another grant: it belongs to nobody.
    async fn superseded(
        &self,
        site: SiteId,
        id: ConnectionId,
        flow: &OAuthFlow<'_>,
        fresh: &Grant,
    ) -> Result<Renewed, Failure> {
        let connection = store::connection::find(&self.db, site, id).await.or_internal("reading the connection")?;
        let account = connection.as_ref().and_then(|connection| connection.vendor_account_id.as_deref());
        if connection.is_none() || !self.shares_grant(site, flow, account, None).await? {
            let outcome = self.revoke_grant(flow, fresh).await;
            tracing::warn!(connection = id.0, ?outcome, "what a renewal brought came too late, and was given back");
        }
        if connection.is_none() { Err(NO_CONNECTION) } else { Ok(Renewed::Fresh) }
    }

    async fn settle_refusal(
        &self,
        site: SiteId,
        turn: &Turn,
        lease: Lease,
        refused: TokenRefusal,
        reason: String,
        by: By<'_>,
    ) -> Result<Renewed, Failure> {
        let now = self.now();
        let (outcome, observation, renew_at) = match refused {
            TokenRefusal::Expired => (RenewalOutcome::Expired, Observation::RefreshRefused { revoked: false }, None),
            TokenRefusal::Revoked => (RenewalOutcome::Revoked, Observation::RefreshRefused { revoked: true }, None),
            TokenRefusal::Misconfigured | TokenRefusal::Passing { .. } | TokenRefusal::Lost => {
                let still_valid = turn.grant.expires_at.is_none_or(|at| at > now);
                let after = match refused {
                    TokenRefusal::Passing { after } => {
                        after.and_then(|after| TimeDelta::from_std(after).ok()).map(|after| after.min(AFTER_MAX))
                    }
                    _ => None,
                };
                let doubled = store::renewal::PAUSE_AFTER_FAILURE * 2_i32.pow(lease.failures.min(6));
                let wait = doubled.max(after.unwrap_or_default()).min(BACKOFF_MAX.max(after.unwrap_or_default()));
                let again = now + wait;
                // A refresh token that may be used up is used again only where the vendor allows it, or once the access
                // record has run out: a vendor that takes the second use for theft then takes nothing that still serves.
                let unsure = refused == TokenRefusal::Lost || lease.taken_over;
                let allowed = !unsure
                    || oauth_of(&turn.connector).is_ok_and(|(_, oauth)| may_use_again(oauth, lease.begun_at, again));
                let again = if allowed { again } else { again.max(turn.grant.expires_at.unwrap_or(again)) };
                (RenewalOutcome::Failed, Observation::RefreshInTransit { still_valid }, Some(again))
            }
        };
        let settled = Settled {
            outcome,
            granted: None,
            observation: Some(observation),
            reason: Some(reason.clone()),
            renew_at,
            activity: renewal_activity(by, ActivityOutcome::Failed, Some(reason.clone())),
        };
        self.settle(site, turn.connection.id, lease, settled).await?;
        Ok(match outcome {
            RenewalOutcome::Expired => Renewed::Refused { revoked: false, reason },
            RenewalOutcome::Revoked => Renewed::Refused { revoked: true, reason },
            _ => Renewed::Passing { reason },
        })
    }

    /// Stores how a renewal ended, and tries again where the database does not answer; `None` where somebody else has
    /// ended one, or the connection is gone.
    async fn settle(
        &self,
        site: SiteId,
        id: ConnectionId,
        lease: Lease,
        settled: Settled,
    ) -> Result<Option<Decision>, Failure> {
        let mut tries = 0;
        loop {
            tries += 1;
            let stored =
                Box::pin(store::connection::settle_renewal(&self.db, site, id, self.now(), lease, settled.clone()));
            match stored.await {
                Ok(observed) => {
                    self.committed(site);
                    return Ok(observed.map(|observed| observed.decision));
                }
                Err(StoreError::Unavailable(_) | StoreError::Database(_)) if tries < STORE_TRIES => {
                    tracing::warn!(connection = id.0, tries, "a renewal could not be stored yet");
                    self.clock.sleep_until(self.now() + STORE_PAUSE * 2_i32.pow(tries)).await;
                }
                Err(error) => return Err(error).or_internal("storing a renewal"),
            }
        }
    }

    /// Takes a renewal over that was cut off. Whether the vendor has answered it is not known: where the refresh token is
    /// used up by its use, it is not used again.
    pub(super) async fn take_over(
        &self,
        site: SiteId,
        id: ConnectionId,
        lease: Lease,
        begun_at: DateTime<Utc>,
        by: By<'_>,
    ) -> Result<Renewed, Failure> {
        let connection = self.connection(site, id).await?;
        let again = match self.library().get(&connection.connector_slug).map(|connector| oauth_of(connector)) {
            Some(Ok((_, oauth))) => may_use_again(oauth, begun_at, self.now()),
            _ => false,
        };
        if again { self.renew_now(site, id, lease, by).await } else { self.look_after(site, id, lease, by).await }
    }

    /// Finds out what is left of a grant whose renewal was cut off: while its access record passes its test, the
    /// connection stays as it is, until that runs out.
    pub(super) async fn look_after(
        &self,
        site: SiteId,
        id: ConnectionId,
        lease: Lease,
        by: By<'_>,
    ) -> Result<Renewed, Failure> {
        let turn = self.turn_of(site, id).await?;
        let now = self.now();
        let ran_out = turn.grant.expires_at.is_some_and(|at| at <= now);
        let test = if ran_out { None } else { Some(self.test_stored(site, &turn.connection, &turn.connector).await?) };
        match test.as_ref().map(|test| test.outcome) {
            Some(TestOutcome::Connected | TestOutcome::ScopeInsufficient) => {
                let reason = "a refresh was cut off; the access record still works, and cannot be renewed".to_owned();
                let settled = Settled {
                    outcome: RenewalOutcome::CutOff,
                    granted: None,
                    observation: None,
                    reason: Some(reason.clone()),
                    renew_at: turn.grant.expires_at,
                    activity: renewal_activity(by, ActivityOutcome::Failed, Some(reason.clone())),
                };
                self.settle(site, id, lease, settled).await?;
                Ok(Renewed::Passing { reason })
            }
            Some(TestOutcome::NetworkError | TestOutcome::VendorError) => {
                store::renewal::postpone(&self.db, site, id, lease, now, now + store::renewal::PAUSE_AFTER_FAILURE)
                    .await
                    .or_internal("postponing a renewal")?;
                Ok(Renewed::Passing { reason: "a refresh was cut off, and the vendor does not answer".to_owned() })
            }
            Some(TestOutcome::CredentialRevoked) => {
                self.settle_refusal(site, &turn, lease, TokenRefusal::Revoked, CUT_OFF.to_owned(), by).await
            }
            Some(TestOutcome::CredentialExpired) | None => {
                self.settle_refusal(site, &turn, lease, TokenRefusal::Expired, CUT_OFF.to_owned(), by).await
            }
        }
    }
}

/// Whether the refresh token of a renewal that was cut off may be used once more.
fn may_use_again(oauth: &OAuth, begun_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    match oauth.refresh {
        RefreshKind::None => false,
        RefreshKind::Same | RefreshKind::Mint => true,
        RefreshKind::Rotating { grace } => now < begun_at + TimeDelta::seconds(grace.into()),
    }
}
