//! How a connection's deliveries went, and who uses it.

use async_graphql::SimpleObject;
use chrono::Utc;

use super::scalars::DateTime;
use crate::{
    domain::statistics::{self, Cell, Span, Tally, beginning_of},
    service::Failure,
};

/// The most parts that statistics come in.
const BUCKETS_MAX: i32 = 400;
/// The longest time that statistics cover, in days.
const DAYS_MAX: i64 = 400;

/// Attempts of a time, by their outcome. Percentiles of their latencies are in milliseconds, to a sixteenth; null where
/// no call was made.
#[derive(SimpleObject)]
pub struct DeliveryStatistics {
    delivered: i32,
    retried: i32,
    failed: i32,
    latency_ms_p50: Option<i32>,
    latency_ms_p95: Option<i32>,
    latency_ms_p99: Option<i32>,
    buckets: Vec<DeliveryBucket>,
}

/// The attempts of a part of that time.
#[derive(SimpleObject)]
pub struct DeliveryBucket {
    from: DateTime,
    /// Exclusive.
    until: DateTime,
    delivered: i32,
    retried: i32,
    failed: i32,
    latency_ms_p95: Option<i32>,
}

/// A module that sends events through a connection.
#[derive(SimpleObject)]
pub struct ModuleUsage {
    module: String,
    /// Its events.
    deliveries: i32,
    /// When the newest of them was handed over.
    last_event_at: DateTime,
}

impl From<statistics::ModuleUsage> for ModuleUsage {
    fn from(usage: statistics::ModuleUsage) -> Self {
        Self { module: usage.module, deliveries: number(usage.events), last_event_at: DateTime(usage.last_event_at) }
    }
}

fn number(count: u64) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn latency(ms: Option<u32>) -> Option<i32> {
    ms.map(|ms| number(ms.into()))
}

impl DeliveryStatistics {
    pub(super) fn of(span: Span, cells: &[Cell]) -> Self {
        let all = Tally::of(cells.iter());
        let bucket = |part: i64| {
            let tally = Tally::of(cells.iter().filter(|cell| cell.part == part));
            DeliveryBucket {
                from: DateTime(beginning_of(span.beginning(part))),
                until: DateTime(beginning_of(span.beginning(part + 1))),
                delivered: number(tally.delivered),
                retried: number(tally.retried),
                failed: number(tally.failed),
                latency_ms_p95: latency(tally.p95),
            }
        };
        Self {
            delivered: number(all.delivered),
            retried: number(all.retried),
            failed: number(all.failed),
            latency_ms_p50: latency(all.p50),
            latency_ms_p95: latency(all.p95),
            latency_ms_p99: latency(all.p99),
            buckets: (0..span.parts).map(bucket).collect(),
        }
    }
}

/// Reads the arguments of statistics.
pub(super) fn span(
    since: chrono::DateTime<Utc>,
    until: chrono::DateTime<Utc>,
    buckets: Option<i32>,
) -> Result<Span, Failure> {
    let buckets = buckets.unwrap_or(24);
    if !(1..=BUCKETS_MAX).contains(&buckets) {
        return Err(Failure::bad_input("buckets", format!("is {buckets}; 1 to {BUCKETS_MAX} can be had")));
    }
    let longest = chrono::TimeDelta::days(DAYS_MAX);
    if until.signed_duration_since(since) > longest {
        return Err(Failure::bad_input("since", format!("lies more than {DAYS_MAX} days before `until`")));
    }
    Span::covering(since, until, buckets.unsigned_abs())
        .ok_or_else(|| Failure::bad_input("since", "must lie before `until`, which is now unless given"))
}
