//! Retrying many failed deliveries: those that a filter finds go back into the queue.

use super::{
    gateway::{Gateway, activity},
    types::{Acting, Failure, OrInternal as _},
};
use crate::{
    domain::{
        activity::{ActivityAction, ActivityOutcome},
        delivery::RetryBatch,
        id::{RetryBatchId, SiteId},
        query::DeliveryFilter,
    },
    store,
};

/// Failed deliveries are counted up to here.
pub const MATCHED_CAP: u32 = 50_000;
/// The most that go back into the queue in one call.
pub const QUEUED_MAX: u32 = 10_000;
/// How many go in one transaction: others wait for the writer meanwhile.
const ROUND: u32 = 500;

/// How many failed deliveries a filter has found, and what became of them.
#[derive(Clone, Copy, Debug)]
pub struct RetriedAll {
    /// At most [`MATCHED_CAP`].
    pub matched: u32,
    /// At most [`QUEUED_MAX`].
    pub queued: u32,
    /// `None` where none went back into the queue.
    pub batch: Option<RetryBatch>,
}

impl Gateway {
    /// Puts failed deliveries back into the queue, the oldest first, each for one more attempt: those whose last entry
    /// matches, whose payload is kept and whose connection is there. Those of a connection that is not active are held.
    ///
    /// # Errors
    /// [`Failure::Internal`] where the database fails.
    pub async fn retry_all(&self, acting: &Acting, filter: DeliveryFilter, dry: bool) -> Result<RetriedAll, Failure> {
        let matched = store::delivery::count_retryable(&self.db, acting.site(), &filter, MATCHED_CAP).await;
        let matched = matched.or_internal("counting failed deliveries")?;
        if dry || matched == 0 {
            return Ok(RetriedAll { matched, queued: 0, batch: None });
        }
        let (gateway, acting) = (self.clone(), acting.clone());
        self.in_own_task(async move {
            let (queued, batch) = gateway.requeue_all(&acting, &filter).await?;
            let batch = match batch {
                Some(batch) => gateway.retry_batches(acting.site(), &[batch]).await?.pop(),
                None => None,
            };
            // What failed meanwhile counts too.
            Ok(RetriedAll { matched: matched.max(queued), queued, batch })
        })
        .await
    }

    async fn requeue_all(
        &self,
        acting: &Acting,
        filter: &DeliveryFilter,
    ) -> Result<(u32, Option<RetryBatchId>), Failure> {
        let site = acting.site();
        let log = |number: usize| {
            let detail = Some(format!("{number} failed deliveries go back into the queue"));
            activity(acting, ActivityAction::DeliveryRetried, None, ActivityOutcome::Succeeded, detail)
        };
        let (mut queued, mut batch, mut after) = (0, None, 0);
        while queued < QUEUED_MAX {
            let limit = ROUND.min(QUEUED_MAX - queued);
            let round = store::delivery::requeue(&self.db, site, filter, (batch, after), self.now(), limit, log).await;
            let round = round.or_internal("putting failed deliveries back into the queue")?;
            self.committed(site);
            self.bus.wake_deliveries();
            queued += round.queued;
            batch = round.batch;
            let Some(last) = round.last else { break };
            after = last;
        }
        Ok((queued, batch))
    }

    /// How far these have come, in no order; those that are not of this site are missing.
    pub async fn retry_batches(&self, site: SiteId, ids: &[RetryBatchId]) -> Result<Vec<RetryBatch>, Failure> {
        store::delivery::batches(&self.db, site, ids).await.or_internal("reading the progress of retries")
    }
}
