//! How deliveries went: attempts counted by the hour, their latencies in classes.

use chrono::{DateTime, Utc};

use super::delivery::DeliveryOutcome;

/// How many classes there are for each doubling: a latency is known to a sixteenth.
const PARTS: u32 = 16;
/// The class of what has no latency, since no call was made.
pub const NO_LATENCY: i64 = -1;

/// The class of a latency in milliseconds. Up to 15 each has its own; then each doubling has [`PARTS`] of them.
#[must_use]
pub const fn class_of(latency_ms: u32) -> i64 {
    if latency_ms < PARTS {
        return latency_ms as i64;
    }
    let exponent = latency_ms.ilog2();
    ((exponent - 3) * PARTS + (latency_ms >> (exponent - 4)) % PARTS) as i64
}

/// The highest latency of a class, in milliseconds; `None` where it is none.
#[must_use]
pub fn highest_of(class: i64) -> Option<u32> {
    let class = u32::try_from(class).ok()?;
    if class < PARTS {
        return Some(class);
    }
    let (exponent, part) = (class / PARTS + 3, class % PARTS);
    let width = 1_u64.checked_shl(exponent - 4)?;
    u32::try_from((u64::from(PARTS + part) + 1) * width - 1).ok()
}

/// The number of the hour since 1970 in which a time lies.
#[must_use]
pub const fn hour_of(at: DateTime<Utc>) -> i64 {
    at.timestamp().div_euclid(3_600)
}

/// The beginning of an hour.
#[must_use]
pub fn beginning_of(hour: i64) -> DateTime<Utc> {
    hour.checked_mul(3_600).and_then(|seconds| DateTime::from_timestamp(seconds, 0)).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// Whole hours, cut into parts of nearly the same length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// The first hour.
    pub from: i64,
    /// At least 1.
    pub hours: i64,
    /// At least 1, and at most one for each hour.
    pub parts: i64,
}

impl Span {
    /// The hours that these times touch, in at most so many parts; `None` where `until` is not later than `since`.
    #[must_use]
    pub fn covering(since: DateTime<Utc>, until: DateTime<Utc>, parts: u32) -> Option<Self> {
        if until <= since {
            return None;
        }
        let from = hour_of(since);
        let last = hour_of(until - chrono::TimeDelta::microseconds(1));
        let hours = last - from + 1;
        Some(Self { from, hours, parts: i64::from(parts.max(1)).min(hours) })
    }

    /// Where a part begins; the part after the last begins where it ends.
    #[must_use]
    pub const fn beginning(&self, part: i64) -> i64 {
        // The first hour whose share of the parts is this one: see `delivery_rollups` in the store.
        self.from + (part * self.hours + self.parts - 1) / self.parts
    }
}

/// Attempts of one part, outcome and class of latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    pub part: i64,
    pub outcome: DeliveryOutcome,
    pub class: i64,
    pub attempts: u64,
}

/// Attempts by their outcome, and how long they took: percentiles in milliseconds, to a sixteenth; `None` where no call
/// was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub delivered: u64,
    pub retried: u64,
    pub failed: u64,
    pub p50: Option<u32>,
    pub p95: Option<u32>,
    pub p99: Option<u32>,
}

impl Tally {
    /// Of these cells.
    pub fn of<'c>(cells: impl Iterator<Item = &'c Cell>) -> Self {
        let mut tally = Self::default();
        let mut classes = std::collections::BTreeMap::new();
        for cell in cells {
            let count = match cell.outcome {
                DeliveryOutcome::Delivered => &mut tally.delivered,
                DeliveryOutcome::Retried => &mut tally.retried,
                DeliveryOutcome::Failed => &mut tally.failed,
            };
            *count += cell.attempts;
            if cell.class != NO_LATENCY {
                *classes.entry(cell.class).or_insert(0_u64) += cell.attempts;
            }
        }
        let all: u64 = classes.values().sum();
        let percentile = |percent: u64| {
            let rank = (all * percent).div_ceil(100);
            let mut below = 0;
            classes.iter().find_map(|(class, attempts)| {
                below += attempts;
                (below >= rank).then(|| highest_of(*class)).flatten()
            })
        };
        Self { p50: percentile(50), p95: percentile(95), p99: percentile(99), ..tally }
    }
}

/// How many events one module has sent, and when it last did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleUsage {
    pub module: String,
    pub events: u64,
    pub last_event_at: DateTime<Utc>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).expect("a time")
    }

    proptest! {
        #[test]
        fn a_latency_is_known_to_a_sixteenth(latency: u32) {
            let highest = highest_of(class_of(latency)).expect("a latency");
            prop_assert!(highest >= latency);
            prop_assert!(u64::from(highest - latency) <= u64::from(latency) / 16);
            prop_assert_eq!(class_of(highest), class_of(latency));
            prop_assert!(latency == u32::MAX || class_of(latency + 1) - class_of(latency) <= 1);
        }

        #[test]
        fn parts_cover_every_hour_once(since in 0_i64..10_000_000, length in 1_i64..10_000_000, parts in 0_u32..300) {
            let span = Span::covering(at(since), at(since + length), parts).expect("a span");
            prop_assert_eq!(span.beginning(0), span.from);
            prop_assert_eq!(span.beginning(span.parts), span.from + span.hours);
            prop_assert!(beginning_of(span.from) <= at(since));
            prop_assert!(beginning_of(span.from + span.hours) >= at(since + length));
            for hour in 0..span.hours.min(2_000) {
                let part = hour * span.parts / span.hours;
                prop_assert!(span.beginning(part) <= span.from + hour);
                prop_assert!(span.from + hour < span.beginning(part + 1));
            }
        }

        #[test]
        fn percentiles_are_those_of_the_attempts(mut latencies in prop::collection::vec(0_u32..100_000, 1..300)) {
            let cells: Vec<Cell> = latencies
                .iter()
                .map(|ms| Cell { part: 0, outcome: DeliveryOutcome::Delivered, class: class_of(*ms), attempts: 1 })
                .collect();
            let tally = Tally::of(cells.iter());
            latencies.sort_unstable();
            let exact = |percent: usize| latencies[(latencies.len() * percent).div_ceil(100) - 1];
            for (found, percent) in [(tally.p50, 50), (tally.p95, 95), (tally.p99, 99)] {
                prop_assert_eq!(found, highest_of(class_of(exact(percent))));
            }
            prop_assert_eq!(tally.delivered, latencies.len() as u64);
        }
    }

    #[test]
    fn what_made_no_call_has_no_latency() {
        let cell = Cell { part: 0, outcome: DeliveryOutcome::Failed, class: NO_LATENCY, attempts: 3 };
        assert_eq!(Tally::of([cell].iter()), Tally { failed: 3, ..Tally::default() });
        assert_eq!(Span::covering(at(5), at(5), 3), None);
    }
}
