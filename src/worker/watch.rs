//! Notices what other processes have committed: without a bus between replicas, each reads the
//! counters of the sites that its clients follow.

use std::collections::HashMap;

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use crate::{
    bus::Bus,
    domain::{
        clock::{SharedClock, now_ms},
        id::SiteId,
    },
    service::Gateway,
};

const INTERVAL: TimeDelta = TimeDelta::milliseconds(500);

/// Runs until `stop`.
pub async fn watch(gateway: Gateway, bus: Bus, clock: SharedClock, stop: CancellationToken) {
    let mut seen: HashMap<SiteId, i64> = HashMap::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = clock.sleep_until(now_ms(&*clock) + INTERVAL) => {}
        }
        let followed = bus.followed_sites();
        if followed.is_empty() {
            seen.clear();
            continue;
        }
        // A failure has been logged; the next round reads again.
        let Ok(positions) = gateway.stream_positions(&followed).await else { continue };
        for (site, number) in &positions {
            if seen.get(site) != Some(number) {
                bus.wake_site(*site);
            }
        }
        seen = positions.into_iter().collect();
    }
}
