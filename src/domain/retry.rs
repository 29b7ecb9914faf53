//! When a delivery is tried again: a pure function of what happened and how often.

use std::time::Duration;

use super::delivery::DeliveryFailure;

/// Waiting times between attempts unless a site has its own, in seconds; their number bounds the attempts.
pub const DEFAULT_SCHEDULE_SECONDS: [u32; 7] = [5, 300, 1_800, 7_200, 18_000, 36_000, 36_000];

/// The longest `Retry-After` that is honoured.
pub const RETRY_AFTER_MAX: Duration = Duration::from_hours(24);

/// What comes after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another attempt, after this long.
    After(Duration),
    /// No further attempt.
    GiveUp,
}

/// Whether a failure is worth another attempt at all, whatever the schedule says.
#[must_use]
pub const fn is_passing(failure: DeliveryFailure) -> bool {
    match failure {
        DeliveryFailure::NetworkError
        | DeliveryFailure::Timeout
        | DeliveryFailure::RateLimited
        | DeliveryFailure::VendorError => true,
        DeliveryFailure::DestinationForbidden
        | DeliveryFailure::CredentialExpired
        | DeliveryFailure::CredentialRevoked
        | DeliveryFailure::ScopeInsufficient
        | DeliveryFailure::VendorRejected
        | DeliveryFailure::ConnectionRemoved
        | DeliveryFailure::HoldExpired => false,
    }
}

/// Decides what follows attempt number `attempt` (from 1) that failed with `failure`.
///
/// `schedule_seconds` are the waiting times between attempts; `jitter` is a random number, of which
/// up to 10 % of the waiting time is made and added; `retry_after` is what the vendor asked for, honoured
/// up to [`RETRY_AFTER_MAX`] and never shortening the schedule.
#[must_use]
pub fn next(
    attempt: u32,
    failure: DeliveryFailure,
    schedule_seconds: &[u32],
    retry_after: Option<Duration>,
    jitter: u32,
) -> Next {
    if !is_passing(failure) {
        return Next::GiveUp;
    }
    let Some(wait) = usize::try_from(attempt).ok().and_then(|n| schedule_seconds.get(n.saturating_sub(1))) else {
        return Next::GiveUp;
    };
    let base = Duration::from_secs(u64::from(*wait)).max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX));
    let tenth = base / 10;
    let share = u64::try_from(tenth.as_millis()).unwrap_or(u64::MAX).saturating_mul(u64::from(jitter)) >> 32;
    Next::After(base + Duration::from_millis(share))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn failures() -> impl Strategy<Value = DeliveryFailure> {
        prop::sample::select(DeliveryFailure::ALL)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn waits_at_least_the_schedule_and_at_most_a_tenth_more(
            attempt in 1_u32..12, failure in failures(), after in prop::option::of(0_u64..200_000), jitter: u32,
        ) {
            let retry_after = after.map(Duration::from_secs);
            match next(attempt, failure, &DEFAULT_SCHEDULE_SECONDS, retry_after, jitter) {
                Next::After(wait) => {
                    prop_assert!(is_passing(failure) && attempt <= 7);
                    let base = Duration::from_secs(u64::from(DEFAULT_SCHEDULE_SECONDS[attempt as usize - 1]))
                        .max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX));
                    prop_assert!(wait >= base && wait <= base + base / 10);
                }
                Next::GiveUp => prop_assert!(!is_passing(failure) || attempt > 7),
            }
        }

        #[test]
        fn more_jitter_never_waits_less(attempt in 1_u32..8, a: u32, b: u32) {
            let wait = |jitter| next(attempt, DeliveryFailure::Timeout, &DEFAULT_SCHEDULE_SECONDS, None, jitter);
            let (Next::After(low), Next::After(high)) = (wait(a.min(b)), wait(a.max(b))) else { panic!("gave up") };
            prop_assert!(low <= high);
        }
    }

    #[test]
    fn an_empty_schedule_allows_one_attempt() {
        assert_eq!(next(1, DeliveryFailure::VendorError, &[], None, 0), Next::GiveUp);
    }
}
