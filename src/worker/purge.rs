//! Removes what has expired: signing secrets that were shown and never used, authorizations that ended long ago; and
//! ends those whose exchange was cut off, and gives back what they had replaced. Of each site what it keeps no longer: see
//! [`Gateway::keep_no_longer`].

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use crate::{
    domain::clock::{SharedClock, now_ms},
    service::{Failure, Gateway},
};

const INTERVAL: TimeDelta = TimeDelta::minutes(10);

/// Runs until `stop`; the first time at once, for what has expired while no process ran.
pub async fn purge(gateway: Gateway, clock: SharedClock, stop: CancellationToken) {
    loop {
        // From the beginning of a round to the next: what expires during one is not left to the one after.
        let begun = now_ms(&*clock);
        // What failed has been logged; the next round tries again.
        let _ = gateway.purge_expired_offers().await;
        let _ = gateway.end_cut_off_authorizations().await;
        let _ = gateway.give_back_replaced_grants().await;
        let _ = gateway.purge_authorizations().await;
        let _ = of_all_sites(&gateway, &stop).await;
        tokio::select! {
            () = stop.cancelled() => return,
            () = clock.sleep_until(begun + INTERVAL) => {}
        }
    }
}

async fn of_all_sites(gateway: &Gateway, stop: &CancellationToken) -> Result<(), Failure> {
    let mut last = None;
    loop {
        let sites = gateway.sites(last).await?;
        let Some(newest) = sites.last() else { return Ok(()) };
        last = Some(*newest);
        for site in sites {
            // In batches, between which others have the writer.
            while !stop.is_cancelled() && gateway.keep_no_longer(site).await? {}
        }
        if stop.is_cancelled() {
            return Ok(());
        }
    }
}
