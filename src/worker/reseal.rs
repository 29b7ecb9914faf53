//! Seals anew what older keys of sites seal: see [`Gateway::reseal`].

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use crate::{
    domain::clock::{SharedClock, now_ms},
    service::Gateway,
};

const INTERVAL: TimeDelta = TimeDelta::seconds(10);

/// Runs until `stop`; the first time at once, for what a process that was cut off has left.
pub async fn reseal(gateway: Gateway, clock: SharedClock, stop: CancellationToken) {
    loop {
        // What failed has been logged; the next round tries again.
        for site in gateway.sites_to_reseal().await.unwrap_or_default() {
            let _ = gateway.reseal(site, || stop.is_cancelled()).await;
        }
        let next = now_ms(&*clock) + INTERVAL;
        tokio::select! {
            () = stop.cancelled() => return,
            () = clock.sleep_until(next) => {}
        }
    }
}
