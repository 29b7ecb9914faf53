//! Removes what has expired: signing secrets that were shown and never used, authorizations that ended long ago; and
//! ends those whose exchange was cut off, and gives back what they had replaced.

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use crate::{
    domain::clock::{SharedClock, now_ms},
    service::Gateway,
};

const INTERVAL: TimeDelta = TimeDelta::minutes(10);

/// Runs until `stop`; the first time at once, for what has expired while no process ran.
pub async fn purge(gateway: Gateway, clock: SharedClock, stop: CancellationToken) {
    loop {
        // What failed has been logged; the next round tries again.
        let _ = gateway.purge_expired_offers().await;
        let _ = gateway.end_cut_off_authorizations().await;
        let _ = gateway.give_back_replaced_grants().await;
        let _ = gateway.purge_authorizations().await;
        tokio::select! {
            () = stop.cancelled() => return,
            () = clock.sleep_until(now_ms(&*clock) + INTERVAL) => {}
        }
    }
}
