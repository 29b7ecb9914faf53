//! The checker: tests credentials that nobody has tested for a day, and probes connections in error.

use chrono::TimeDelta;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    domain::clock::{SharedClock, now_ms},
    service::Gateway,
};

/// How many tests run at once in this process.
const OVERALL: usize = 8;
/// The longest the checker sleeps: within it, it notices what has been put into error.
const IDLE: TimeDelta = TimeDelta::seconds(5);
/// The shortest: what another process is about to take is not asked for without a pause.
const PAUSE: TimeDelta = TimeDelta::milliseconds(200);

/// Runs until `stop`, then until the tests under way have been settled.
pub async fn check(gateway: Gateway, clock: SharedClock, stop: CancellationToken) {
    let mut running = JoinSet::new();
    while !stop.is_cancelled() {
        let looked = now_ms(&*clock);
        let free = OVERALL.saturating_sub(running.len());
        // What failed has been logged; the next round tries again.
        let taken = match u32::try_from(free) {
            Ok(limit) if limit > 0 => gateway.take_checks(limit).await.unwrap_or_default(),
            _ => Vec::new(),
        };
        for check in taken {
            let gateway = gateway.clone();
            running.spawn(async move { gateway.check(check).await });
        }
        let now = now_ms(&*clock);
        let next = gateway.next_check_due().await.ok().flatten();
        if running.len() < OVERALL && next.is_some_and(|next| looked < next && next <= now) {
            // It has become due since.
            continue;
        }
        let until = next.map_or(now + IDLE, |next| next.clamp(now + PAUSE, now + IDLE));
        tokio::select! {
            () = stop.cancelled() => {}
            Some(ended) = running.join_next(), if !running.is_empty() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a test broke off; it is due again after its lease");
                }
            }
            () = clock.sleep_until(until) => {}
        }
    }
    while running.join_next().await.is_some() {}
}
