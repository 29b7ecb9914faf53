//! Time and randomness, handed in by whoever wires the process: the real ones in `app`, others in tests.

use std::{future::Future, pin::Pin, sync::Arc};

use chrono::{DateTime, SubsecRound as _, Utc};

/// A future that a trait object can return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Wall-clock time in UTC, and waiting for it.
pub trait Clock: Send + Sync + 'static {
    /// The time now. Callers store it to the millisecond: see [`now_ms`].
    fn now(&self) -> DateTime<Utc>;

    /// Ends once `now()` has reached `until`.
    fn sleep_until(&self, until: DateTime<Utc>) -> BoxFuture<'_, ()>;
}

/// Cryptographically secure random bytes.
pub trait Entropy: Send + Sync + 'static {
    /// Fills the whole buffer.
    fn fill(&self, buffer: &mut [u8]);
}

/// A shared clock.
pub type SharedClock = Arc<dyn Clock>;
/// A shared source of randomness.
pub type SharedEntropy = Arc<dyn Entropy>;

/// The time now, cut to the millisecond: what the API shows is what the database holds.
#[must_use]
pub fn now_ms(clock: &dyn Clock) -> DateTime<Utc> {
    clock.now().trunc_subsecs(3)
}

/// `N` random bytes.
#[must_use]
pub fn random<const N: usize>(entropy: &dyn Entropy) -> [u8; N] {
    let mut bytes = [0; N];
    entropy.fill(&mut bytes);
    bytes
}
