//! Waking whoever waits: followers of a site's stream, and the delivery worker.
//!
//! A wake-up carries nothing but the fact: rows and events are in the database, and whoever is
//! woken reads them there. So a lost or doubled wake-up does no harm. Services wake after a
//! commit; `service::follow` and the workers wait.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{Notify, watch};

use crate::domain::id::SiteId;

/// The in-process bus. Cheap to clone.
#[derive(Clone, Default)]
pub struct Bus(Arc<Inner>);

#[derive(Default)]
struct Inner {
    sites: Mutex<HashMap<SiteId, watch::Sender<u64>>>,
    deliveries: Notify,
}

/// Waits for wake-ups of one site's stream.
pub struct Follower(watch::Receiver<u64>);

impl Follower {
    /// Ends at the next wake-up after the last call, at once where one has come since.
    pub async fn woken(&mut self) {
        if self.0.changed().await.is_err() {
            // The sender lives as long as the bus that made it, and the bus is held by its followers' owner.
            std::future::pending::<()>().await;
        }
    }
}

impl Bus {
    /// Says that a site's stream has grown.
    pub fn wake_site(&self, site: SiteId) {
        let mut sites = self.0.sites.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = sites.get(&site) {
            if sender.receiver_count() == 0 {
                sites.remove(&site);
            } else {
                sender.send_modify(|count| *count = count.wrapping_add(1));
            }
        }
    }

    /// Follows a site from now on: every growth after this call is noticed.
    #[must_use]
    pub fn follow(&self, site: SiteId) -> Follower {
        let mut sites = self.0.sites.lock().unwrap_or_else(PoisonError::into_inner);
        Follower(sites.entry(site).or_insert_with(|| watch::channel(0).0).subscribe())
    }

    /// The sites that somebody follows now.
    #[must_use]
    pub fn followed_sites(&self) -> Vec<SiteId> {
        let mut sites = self.0.sites.lock().unwrap_or_else(PoisonError::into_inner);
        sites.retain(|_, sender| sender.receiver_count() > 0);
        sites.keys().copied().collect()
    }

    /// Says that there may be something to deliver.
    pub fn wake_deliveries(&self) {
        self.0.deliveries.notify_one();
    }

    /// Ends at the next wake-up for the delivery worker, at once where one is due. For one waiter.
    pub async fn deliveries_woken(&self) {
        self.0.deliveries.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_follower_notices_what_came_before_it_waited() {
        let (bus, site) = (Bus::default(), SiteId::from_claimed_row(1));
        let mut follower = bus.follow(site);
        bus.wake_site(site);
        follower.woken().await;
        bus.wake_site(SiteId::from_claimed_row(2));
        assert!(futures_util::FutureExt::now_or_never(follower.woken()).is_none(), "another site's wake-up");
    }

    #[test]
    fn sites_without_followers_are_forgotten() {
        let (bus, site) = (Bus::default(), SiteId::from_claimed_row(1));
        drop(bus.follow(site));
        assert!(bus.followed_sites().is_empty());
    }
}
