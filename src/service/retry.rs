//! Retrying a failed delivery by hand: the same event once more, now; the failed entry stays.

use super::{
    deliver::{Delivered, LEASE},
    gateway::{Gateway, activity},
    types::{Acting, Failure, OrInternal as _, Retry, RetryRejection},
    validate,
};
use crate::{
    domain::{
        activity::{ActivityAction, ActivityOutcome},
        delivery::DeliveryOutcome,
        id::EntryId,
    },
    store::{
        self, ConnectionRef,
        delivery::{Claim, RetryClaim},
    },
};

impl Gateway {
    /// Calls the vendor once more for a failed entry, and answers with the new entry. A client that
    /// repeats its own call with the same key gets the first answer.
    ///
    /// # Errors
    /// [`Failure::NotFound`] for an entry that is not there; what stands in the way is no error.
    pub async fn retry(
        &self,
        acting: &Acting,
        entry: EntryId,
        idempotency_key: Option<String>,
    ) -> Result<Retry, Failure> {
        if let Some(key) = &idempotency_key {
            validate::text("idempotencyKey", key, validate::IDEMPOTENCY_KEY_MAX)?;
        }
        let (gateway, acting) = (self.clone(), acting.clone());
        self.in_own_task(async move { gateway.do_retry(&acting, entry, idempotency_key).await }).await
    }

    async fn do_retry(&self, acting: &Acting, entry: EntryId, key: Option<String>) -> Result<Retry, Failure> {
        let now = self.now();
        let claimed = store::delivery::claim_retry(&self.db, acting.site(), entry, now, now + LEASE, key.as_deref())
            .await
            .or_internal("claiming the delivery")?;
        let (reason, message) = match claimed {
            RetryClaim::Claimed(claim) => return self.retry_claimed(acting, entry, claim).await,
            RetryClaim::AlreadyRetried(entry) => return Ok(Retry::Retried(Box::new(entry))),
            RetryClaim::NotFound => return Err(Failure::NotFound("delivery entry")),
            RetryClaim::NotFailed => (RetryRejection::NotFailed, "only a failed delivery can be retried".to_owned()),
            RetryClaim::Superseded => {
                (RetryRejection::Superseded, "a later attempt of the same delivery exists or is under way".to_owned())
            }
            RetryClaim::ConnectionRemoved => {
                (RetryRejection::ConnectionRemoved, "the connection was disconnected, or is being".to_owned())
            }
            RetryClaim::ConnectionNotActive(state) => {
                (RetryRejection::ConnectionNotActive, format!("the connection is {state}"))
            }
            RetryClaim::SwitchedOff => (
                RetryRejection::FamilyDisabled,
                "the connection's family is switched off in the site's settings".to_owned(),
            ),
            RetryClaim::PayloadPurged => {
                (RetryRejection::PayloadPurged, "the event's payload is not kept any more".to_owned())
            }
        };
        Ok(Retry::Rejected { reason, message })
    }

    async fn retry_claimed(&self, acting: &Acting, entry: EntryId, claim: Claim) -> Result<Retry, Failure> {
        let by = acting.clone();
        let connection = ConnectionRef {
            id: claim.delivery.connection,
            name: claim.delivery.connection_name.clone(),
            slug: claim.delivery.connector_slug.clone(),
        };
        let note = move |outcome| {
            let ended = match outcome {
                DeliveryOutcome::Delivered => ActivityOutcome::Succeeded,
                DeliveryOutcome::Retried | DeliveryOutcome::Failed => ActivityOutcome::Failed,
            };
            let detail = Some(format!("delivery entry {entry}"));
            let mut row = activity(&by, ActivityAction::DeliveryRetried, None, ended, detail);
            row.connection = Some(connection);
            row
        };
        match self.attempt(claim, Some(Box::new(note))).await? {
            Delivered::Settled(entry) => Ok(Retry::Retried(entry)),
            Delivered::LeaseLost => Err(Failure::Conflict(
                "the attempt took too long, and the delivery has been taken up elsewhere: see its log".into(),
            )),
        }
    }
}
