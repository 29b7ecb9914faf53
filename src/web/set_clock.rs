//! A clock for unit tests that shows what it is set to. Nobody waits by it.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use chrono::{DateTime, Utc};

use crate::domain::clock::{BoxFuture, Clock};

/// Shows the second that it is set to.
pub(super) struct Set(pub AtomicI64);

impl Set {
    pub(super) fn at(second: i64) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(second)))
    }
}

impl Clock for Set {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.0.load(Ordering::Relaxed), 0).expect("a time")
    }

    fn sleep_until(&self, _: DateTime<Utc>) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
}
