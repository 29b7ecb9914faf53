//! One attempt of one delivery: open, build, send, read, settle.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    credentials::Opened,
    gateway::Gateway,
    refresh::{Renewed, is_refreshable},
    types::{Failure, OrInternal as _},
};
use crate::{
    connector::{self, CallContext, Connector, Event, Operation, Verdict},
    domain::{
        clock::random,
        connection::Connection,
        delivery::{DeliveryEntry, DeliveryFailure, DeliveryOutcome, DeliveryStatus, DeliveryWait},
        exchange::{Answer, NoAnswer},
        retry::{self, Next},
        secret::SecretBytes,
        settings::Settings,
        state::Observation,
    },
    egress::Limits,
    store::{
        self, NewActivity,
        delivery::{After, Attempt, Claim, Settlement},
    },
};

/// How much of an answer is read.
const MAX_BODY: usize = 64 * 1024;

/// How long a claim is ours. Longer than any call may take, so that it runs out only where a process
/// has died.
pub const LEASE: TimeDelta = TimeDelta::seconds(60);

/// How long a connection is left alone whose vendor asks for later and does not say how much, and at most.
const PAUSE: TimeDelta = TimeDelta::seconds(5);
const PAUSE_MAX: TimeDelta = TimeDelta::hours(24);

/// What an attempt came to.
#[derive(Debug)]
pub enum Delivered {
    /// The attempt and what follows from it are stored.
    Settled(Box<DeliveryEntry>),
    /// The lease had run out, and somebody else has the delivery now.
    LeaseLost,
}

/// What one call brought, before the schedule has its say.
struct Brought {
    verdict: Verdict,
    vendor_response_code: Option<u16>,
    vendor_message: Option<String>,
    latency_ms: Option<u32>,
}

impl Brought {
    /// No call was made.
    fn no_call(failure: DeliveryFailure, message: &str) -> Self {
        Self {
            verdict: Verdict::Reject { failure },
            vendor_response_code: None,
            vendor_message: Some(message.to_owned()),
            latency_ms: None,
        }
    }
}

impl Gateway {
    /// Makes one attempt of a claimed delivery and settles it. `activity` makes the entry that an
    /// operator's retry leaves in the activity log.
    pub(super) async fn attempt(
        &self,
        claim: Claim,
        activity: Option<Box<dyn FnOnce(DeliveryOutcome) -> NewActivity + Send>>,
    ) -> Result<Delivered, Failure> {
        let site = claim.site;
        let settings = store::settings::find(&self.db, site).await.or_internal("reading the settings")?;
        let attempted_at = self.now();
        let Some(brought) = self.call(&claim, &settings).await? else { return Ok(Delivered::LeaseLost) };
        let now = self.now();
        let not_before = asked_for_later(&brought.verdict, now);
        let (attempt, after, observation) = self.conclude(&claim, &settings, brought, attempted_at, now);
        let settlement = Settlement {
            site,
            delivery: claim.delivery.id,
            lease: claim.lease,
            now,
            activity: activity.map(|make| make(attempt.outcome)),
            attempt,
            after,
            observation,
            error_pattern: settings.error_pattern,
            not_before,
        };
        let settled = store::delivery::settle(&self.db, settlement).await.or_internal("settling the delivery")?;
        self.committed(site);
        Ok(settled.map_or(Delivered::LeaseLost, |settled| Delivered::Settled(Box::new(settled.entry))))
    }

    /// For the worker: one attempt of a delivery that it has claimed.
    ///
    /// # Errors
    /// [`Failure::Internal`] where nothing could be stored; the claim then runs out by itself.
    pub async fn deliver(&self, claim: Claim) -> Result<Delivered, Failure> {
        self.attempt(claim, None).await
    }

    /// For the worker: claims what is due. See [`store::delivery::claim`].
    pub async fn claim_deliveries(
        &self,
        limit: u32,
        per_connection: u32,
        busy: &[crate::domain::id::ConnectionId],
    ) -> Result<Vec<Claim>, Failure> {
        let now = self.now();
        store::delivery::claim(&self.db, now, now + LEASE, limit, per_connection, busy)
            .await
            .or_internal("claiming deliveries")
    }

    /// For the worker: when something will be due next.
    pub async fn next_delivery_due(&self) -> Result<Option<DateTime<Utc>>, Failure> {
        store::delivery::next_due(&self.db, self.now()).await.or_internal("looking for the next delivery")
    }

    /// For the worker: ends what is queued for connections that have been removed; says how many.
    pub async fn cancel_orphaned_deliveries(&self, limit: u32) -> Result<u64, Failure> {
        store::delivery::cancel_orphans(&self.db, self.now(), limit).await.or_internal("cancelling deliveries")
    }

    /// Makes the call, and where its access record has expired one more; `None` where the claim was lost meanwhile.
    async fn call(&self, claim: &Claim, settings: &Settings) -> Result<Option<Brought>, Failure> {
        let delivery = &claim.delivery;
        let found = store::connection::find(&self.db, claim.site, delivery.connection)
            .await
            .or_internal("reading the connection")?;
        let Some(connection) = found else {
            return Ok(Some(Brought::no_call(DeliveryFailure::ConnectionRemoved, "the connection was removed")));
        };
        let Some(connector) = self.library().get(&connection.connector_slug) else {
            return Ok(Some(Brought::no_call(
                DeliveryFailure::VendorRejected,
                "the connector is not in the library any more",
            )));
        };
        let Some(operation) = connector.operation(&delivery.event_type) else {
            return Ok(Some(Brought::no_call(
                DeliveryFailure::VendorRejected,
                "the connector takes no event of this type any more",
            )));
        };
        let payload = self.unseal_payload(claim.site, &delivery.message_id, &claim.payload).await?;
        let Ok(payload) = payload else {
            tracing::error!(delivery = delivery.id.0, "the stored payload does not open");
            let why = "the stored payload could not be opened";
            return Ok(Some(Brought::no_call(DeliveryFailure::VendorRejected, why)));
        };
        let opened = self.open(claim.site, connection.id).await?;
        let ran_out = opened.grant.as_ref().and_then(|grant| grant.expires_at).is_some_and(|at| at <= self.now());
        let expired = Verdict::Reauthorize {
            failure: DeliveryFailure::CredentialExpired,
            reason: "the access record has run out".to_owned(),
        };
        let brought = if ran_out {
            Brought { verdict: expired, vendor_response_code: None, vendor_message: None, latency_ms: None }
        } else {
            self.exchange(claim, &connection, connector, operation, &payload, &opened, settings).await?
        };
        if let (Some(grant), Verdict::Reauthorize { .. }) = (&opened.grant, &brought.verdict) {
            // What is said of a token that has been replaced since says nothing of the one that is held now.
            let now = self.open(claim.site, connection.id).await?;
            if now.grant.as_ref().is_some_and(|held| held.access != grant.access) {
                return self
                    .exchange(claim, &connection, connector, operation, &payload, &now, settings)
                    .await
                    .map(Some);
            }
        }
        let says_expired =
            matches!(brought.verdict, Verdict::Reauthorize { failure: DeliveryFailure::CredentialExpired, .. });
        let (Some(grant), true) =
            (&opened.grant, says_expired && is_refreshable(&connection, connector, opened.grant.as_ref()))
        else {
            return Ok(Some(brought));
        };
        // One refresh, and one more try.
        let renewed = match Box::pin(self.renew_expired(claim.site, connection.id, &grant.access)).await {
            // No refresh can be made, as where the OAuth app is not registered any more: the schedule has its say.
            Err(Failure::Conflict(reason)) => Renewed::Passing { reason },
            other => other?,
        };
        match renewed {
            Renewed::Fresh => {
                // The wait may have been long; whoever has the delivery by now makes the call.
                let now = self.now();
                let kept = store::delivery::extend(&self.db, claim.site, claim.delivery.id, claim.lease, now + LEASE);
                if !kept.await.or_internal("keeping the claim")? {
                    return Ok(None);
                }
                let opened = self.open(claim.site, connection.id).await?;
                self.exchange(claim, &connection, connector, operation, &payload, &opened, settings).await.map(Some)
            }
            Renewed::Refused { revoked, reason } => {
                let failure =
                    if revoked { DeliveryFailure::CredentialRevoked } else { DeliveryFailure::CredentialExpired };
                Ok(Some(Brought { verdict: Verdict::Reauthorize { failure, reason }, ..brought }))
            }
            // Nothing is known against the grant: the schedule has its say.
            Renewed::Passing { reason } => {
                let verdict = Verdict::Retry { failure: DeliveryFailure::CredentialExpired, after: None };
                Ok(Some(Brought { verdict, vendor_message: brought.vendor_message.or(Some(reason)), ..brought }))
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one call, each from another place")]
    async fn exchange(
        &self,
        claim: &Claim,
        connection: &Connection,
        connector: &Arc<Connector>,
        operation: &Operation,
        payload: &SecretBytes,
        opened: &Opened,
        settings: &Settings,
    ) -> Result<Brought, Failure> {
        let delivery = &claim.delivery;
        // What cannot be read now never will be: it must not hold up what waits behind it.
        let Ok(payload) = serde_json::from_slice::<serde_json::Value>(payload.expose()) else {
            return Ok(Brought::no_call(DeliveryFailure::VendorRejected, "the stored payload is no JSON"));
        };
        let event = Event {
            event_type: &delivery.event_type,
            event_identifier: &delivery.event_identifier,
            payload: &payload,
            accepted_at: delivery.accepted_at,
            module: &delivery.module,
        };
        let context = CallContext {
            values: &opened.values,
            signing: &opened.signing,
            grant: opened.grant.as_ref(),
            now: self.now(),
            message_id: &delivery.message_id,
        };
        let request = match connector::build_delivery(connector, connection.auth_flow, operation, &event, &context) {
            Ok(request) => request,
            Err(error) => return Ok(Brought::no_call(DeliveryFailure::VendorRejected, &error.message)),
        };
        let timeout = Duration::from_millis(u64::from(settings.delivery_timeout_ms));
        let answer = self.egress.send(request, Limits { timeout, max_body: MAX_BODY }).await;
        let reading = connector::read_delivery(connector, connection.auth_flow, operation, answer.as_ref(), self.now());
        let vendor_message = reading.message();
        Ok(Brought {
            verdict: reading.verdict,
            vendor_response_code: answer.as_ref().ok().map(|answer| answer.status),
            vendor_message: vendor_message.map(|message| connector::mask(&message, &context)),
            latency_ms: Some(latency_ms(&answer)),
        })
    }

    /// What one call means for the delivery and for its connection.
    fn conclude(
        &self,
        claim: &Claim,
        settings: &Settings,
        brought: Brought,
        attempted_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> (Attempt, After, Option<(Observation, String)>) {
        let attempt_number = claim.delivery.attempts + 1;
        let by_hand = claim.retry_of.is_some();
        let failed = (DeliveryOutcome::Failed, After::Ended(DeliveryStatus::Failed));
        let (outcome, after, failure, observation) = match brought.verdict {
            Verdict::Done => (DeliveryOutcome::Delivered, After::Ended(DeliveryStatus::Delivered), None, None),
            Verdict::Retry { failure, after } => {
                let jitter = u32::from_be_bytes(random(&*self.entropy));
                let next = retry::next(attempt_number, failure, &settings.retry_schedule_seconds, after, jitter);
                let (outcome, then) = match next {
                    // A retry by hand is one more attempt, not a new schedule.
                    Next::After(wait) if !by_hand => {
                        let at = now + TimeDelta::from_std(wait).unwrap_or(TimeDelta::days(1));
                        let waiting_for = match failure {
                            DeliveryFailure::RateLimited => DeliveryWait::RateLimit,
                            _ => DeliveryWait::Schedule,
                        };
                        (DeliveryOutcome::Retried, After::Again { at, waiting_for })
                    }
                    Next::After(_) | Next::GiveUp => failed,
                };
                (outcome, then, Some(failure), None)
            }
            Verdict::Reject { failure } => (failed.0, failed.1, Some(failure), None),
            Verdict::Gone => {
                let why = "the destination answered 410 Gone".to_owned();
                let observed = Some((Observation::DestinationGone, why));
                (failed.0, failed.1, Some(DeliveryFailure::VendorRejected), observed)
            }
            Verdict::Reauthorize { failure, reason } => {
                let observation = if failure == DeliveryFailure::CredentialRevoked {
                    Observation::DeliverySaidRevoked
                } else {
                    Observation::DeliverySaidExpired { refreshable: false }
                };
                // The connection leaves active, so what is queued is held until it is back; attempts stay bounded.
                let spent = attempt_number as usize > settings.retry_schedule_seconds.len();
                let (outcome, then) = if by_hand || spent {
                    failed
                } else {
                    (DeliveryOutcome::Retried, After::Again { at: now, waiting_for: DeliveryWait::Connection })
                };
                (outcome, then, Some(failure), Some((observation, reason)))
            }
        };
        let attempt = Attempt {
            outcome,
            failure,
            vendor_response_code: brought.vendor_response_code,
            vendor_message: brought.vendor_message,
            latency_ms: brought.latency_ms,
            attempted_at,
        };
        (attempt, after, observation)
    }
}

/// Until when the vendor wants no event of this connection, where it has asked for later.
fn asked_for_later(verdict: &Verdict, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let Verdict::Retry { failure: DeliveryFailure::RateLimited, after } = verdict else { return None };
    let after = after.and_then(|after| TimeDelta::from_std(after).ok());
    Some(now + after.map_or(PAUSE, |after| after.min(PAUSE_MAX)))
}

fn latency_ms(answer: &Result<Answer, NoAnswer>) -> u32 {
    let latency = match answer {
        Ok(answer) => answer.latency,
        Err(none) => none.latency,
    };
    u32::try_from(latency.as_millis()).unwrap_or(u32::MAX)
}
