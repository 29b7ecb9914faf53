//! Failed deliveries that are tried once more together.

use async_graphql::{Description, ID, InputObject, Object, SimpleObject};

use super::{delivery::DeliveryFilter, ids::Named};
use crate::{domain::delivery, service::RetriedAll};

/// Which failed deliveries are to be tried once more.
#[derive(InputObject)]
pub struct RetryDeliveriesInput {
    /// Deliveries are found by their last entry.
    pub(super) filter: DeliveryFilter,
    /// Only count.
    #[graphql(default = false)]
    pub(super) dry_run: bool,
}

/// How many there are, and what became of them.
#[derive(SimpleObject)]
pub struct RetryDeliveriesPayload {
    /// Failed deliveries that can be tried once more; counted up to 50,000.
    matched: i32,
    /// Those that have gone back into the queue, the oldest first: at most 10,000. Where more are left, call again.
    queued: i32,
    /// Null where none went back.
    batch: Option<RetryBatch>,
}

/// Deliveries that went back into the queue together, and how far they have come; kept as long as the log.
#[derive(Clone, Copy, Description)]
pub struct RetryBatch(delivery::RetryBatch);

#[Object(use_type_description)]
impl RetryBatch {
    pub(super) async fn id(&self) -> ID {
        Named::RetryBatch(self.0.id).to_id()
    }

    async fn total(&self) -> i32 {
        number(self.0.total)
    }

    /// Those that have ended again, well or badly.
    async fn done(&self) -> i32 {
        number(self.0.done)
    }

    /// Those of them that were not delivered.
    async fn failed(&self) -> i32 {
        number(self.0.failed)
    }
}

fn number(count: u64) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

impl From<delivery::RetryBatch> for RetryBatch {
    fn from(batch: delivery::RetryBatch) -> Self {
        Self(batch)
    }
}

impl From<RetriedAll> for RetryDeliveriesPayload {
    fn from(retried: RetriedAll) -> Self {
        Self {
            matched: number(retried.matched.into()),
            queued: number(retried.queued.into()),
            batch: retried.batch.map(RetryBatch::from),
        }
    }
}
