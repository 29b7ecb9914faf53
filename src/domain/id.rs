//! Identifiers. Each is its own type, so that one cannot be handed in for another.

use std::fmt;

/// A tenant. Every row belongs to one and every token names one.
///
/// Only authentication makes a site for a request ([`SiteId::from_verified_token`]), and only the
/// store makes one from a row that a worker has claimed ([`SiteId::from_claimed_row`]); a test
/// finds every other caller.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SiteId(i64);

impl SiteId {
    /// The site that a verified token names. For `web`'s token check alone.
    #[must_use]
    pub const fn from_verified_token(site: i64) -> Self {
        Self(site)
    }

    /// The site of a row that a worker took from the queue. For `store` alone.
    #[must_use]
    pub const fn from_claimed_row(site: i64) -> Self {
        Self(site)
    }

    /// The platform's number of the site.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Display for SiteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! row_id {
    ($($(#[$meta:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}

row_id! {
    /// A connection record. Never used again once the record is gone.
    ConnectionId,
    /// One outbound event on its way through one connection.
    DeliveryId,
    /// One attempt of a delivery: a row of the delivery log.
    EntryId,
    /// Failed deliveries that one call has taken back into the queue.
    RetryBatchId,
    /// A row of the activity log.
    ActivityId,
    /// A row of a connection's state history.
    HistoryId,
    /// The platform's user id of an operator.
    OperatorId,
    /// A signing secret that was shown and waits to be registered with the vendor.
    OfferId,
    /// A browser authorization.
    AuthorizationId,
}
