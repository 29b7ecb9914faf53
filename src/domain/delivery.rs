//! Outbound events and their attempts.

use chrono::{DateTime, Utc};

use super::{
    id::{ConnectionId, DeliveryId, EntryId, RetryBatchId},
    vocabulary::vocabulary,
};

vocabulary! {
    /// How far an outbound event has come. `Held` is never stored: it is what a queued delivery is
    /// called while its connection is not active or its family is switched off.
    pub enum DeliveryStatus {
        Queued = "queued",
        Held = "held",
        Delivered = "delivered",
        Failed = "failed",
        Cancelled = "cancelled",
    }
}

/// How many attempts run at once for one connection, in all processes, so that a slow one never has all places.
pub const AT_ONCE: u32 = 8;

vocabulary! {
    /// What a queued delivery waits for. The last two are never stored: they are seen where it is read.
    pub enum DeliveryWait {
        Schedule = "schedule",
        Connection = "connection",
        RateLimit = "rate_limit",
        /// As many attempts of its connection run as may.
        Concurrency = "concurrency",
        /// Its connection delivers in order, and an older one has not ended.
        Order = "order",
    }
}

vocabulary! {
    /// The outcome of one attempt.
    pub enum DeliveryOutcome {
        Delivered = "delivered",
        /// Failed, and another attempt is scheduled.
        Retried = "retried",
        Failed = "failed",
    }
}

vocabulary! {
    /// Why an attempt failed.
    pub enum DeliveryFailure {
        NetworkError = "network_error",
        Timeout = "timeout",
        DestinationForbidden = "destination_forbidden",
        RateLimited = "rate_limited",
        CredentialExpired = "credential_expired",
        CredentialRevoked = "credential_revoked",
        ScopeInsufficient = "scope_insufficient",
        VendorRejected = "vendor_rejected",
        VendorError = "vendor_error",
        ConnectionRemoved = "connection_removed",
        HoldExpired = "hold_expired",
    }
}

/// One outbound event on its way through one connection.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub id: DeliveryId,
    pub connection: ConnectionId,
    /// This and the next stay when the connection is gone.
    pub connection_name: String,
    pub connector_slug: String,
    pub module: String,
    pub event_type: String,
    pub event_identifier: String,
    /// Goes out with every attempt as the vendor's idempotency key or `webhook-id`.
    pub message_id: String,
    pub status: DeliveryStatus,
    /// Attempts made so far.
    pub attempts: u32,
    pub accepted_at: DateTime<Utc>,
    /// When the next attempt is due; `None` once ended.
    pub next_attempt_at: Option<DateTime<Utc>>,
    pub waiting_for: Option<DeliveryWait>,
    pub ended_at: Option<DateTime<Utc>>,
}

/// One attempt: a row of the append-only delivery log.
#[derive(Clone, Debug)]
pub struct DeliveryEntry {
    pub id: EntryId,
    pub delivery: DeliveryId,
    pub connection: ConnectionId,
    pub connection_name: String,
    pub connector_slug: String,
    /// Counts from 1.
    pub attempt: u32,
    pub module: String,
    pub event_type: String,
    pub event_identifier: String,
    pub outcome: DeliveryOutcome,
    pub failure: Option<DeliveryFailure>,
    /// `None` where no answer came.
    pub vendor_response_code: Option<u16>,
    /// What the connector says of such an answer, and the start of the answer itself, secrets masked, at most 1 KiB.
    pub vendor_message: Option<String>,
    /// `None` where no call was made.
    pub latency_ms: Option<u32>,
    pub attempted_at: DateTime<Utc>,
    /// The failed entry that an operator retried with this one.
    pub retry_of: Option<EntryId>,
    /// Whether a retry by hand is possible: the last entry of its delivery, failed, payload kept,
    /// connection still there.
    pub retryable: bool,
}

/// Failed deliveries that one call has taken back into the queue, and how far they have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBatch {
    pub id: RetryBatchId,
    pub total: u64,
    /// Those that have ended again, well or badly.
    pub done: u64,
    /// Those of them that have not been delivered.
    pub failed: u64,
}
