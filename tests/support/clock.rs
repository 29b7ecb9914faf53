//! Time and randomness in the hands of the test.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use chrono::{DateTime, TimeDelta, TimeZone as _, Utc};
use integrations_gateway::domain::clock::{BoxFuture, Clock, Entropy};
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

/// A clock that stands still until the test moves it.
pub struct ManualClock(watch::Sender<DateTime<Utc>>);

impl ManualClock {
    pub fn new() -> Arc<Self> {
        let start = Utc.with_ymd_and_hms(2030, 1, 15, 12, 0, 0).single().expect("a date");
        Arc::new(Self(watch::channel(start).0))
    }

    /// Moves time on and wakes whoever has waited for it.
    pub fn advance(&self, by: TimeDelta) {
        self.0.send_modify(|now| *now += by);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.borrow()
    }

    fn sleep_until(&self, until: DateTime<Utc>) -> BoxFuture<'_, ()> {
        let mut now = self.0.subscribe();
        Box::pin(async move {
            // The sender is `self`, so waiting fails only when the clock is gone.
            let _ = now.wait_for(|now| *now >= until).await;
        })
    }
}

/// Bytes that look random and are the same for the same seed.
pub struct SeededEntropy {
    seed: u64,
    drawn: AtomicU64,
}

impl SeededEntropy {
    pub fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self { seed, drawn: AtomicU64::new(0) })
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(32) {
            let n = self.drawn.fetch_add(1, Ordering::Relaxed);
            let block = Sha256::new().chain_update(self.seed.to_be_bytes()).chain_update(n.to_be_bytes()).finalize();
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    }
}
