//! What each site keeps no longer, and what ends because it has waited too long for its connection.

use chrono::TimeDelta;

use super::{
    gateway::Gateway,
    types::{Failure, OrInternal as _},
};
use crate::{
    domain::{id::SiteId, statistics::hour_of},
    store,
};

/// How many rows go in one transaction: few, since others wait for the writer meanwhile.
const BATCH: u32 = 200;
/// How long rows of the activity log are kept.
const ACTIVITY_KEPT: TimeDelta = TimeDelta::days(400);
/// How long events of the stream are kept at most.
const EVENTS_KEPT: TimeDelta = TimeDelta::days(7);

impl Gateway {
    /// For the worker: sites after `after`, in the order of their numbers.
    ///
    /// # Errors
    /// [`Failure::Internal`] where the database fails.
    pub async fn sites(&self, after: Option<SiteId>) -> Result<Vec<SiteId>, Failure> {
        store::site::list(&self.db, after, 100).await.or_internal("listing the sites")
    }

    /// For the worker: one batch of what the site keeps no longer; true where there may be more.
    ///
    /// # Errors
    /// [`Failure::Internal`] where the database fails.
    pub async fn keep_no_longer(&self, site: SiteId) -> Result<bool, Failure> {
        let settings = store::settings::find(&self.db, site).await.or_internal("reading the settings")?;
        let now = self.now();
        let log_kept = TimeDelta::days(settings.delivery_log_retention_days.into());
        let waited = now - TimeDelta::hours(settings.hold_limit_hours.into());
        let expired = store::retention::expire_held(&self.db, site, waited, now, BATCH).await;
        let expired = expired.or_internal("ending what has waited too long")?;
        if expired > 0 {
            self.committed(site);
        }
        let purged = [
            store::retention::purge_deliveries(&self.db, site, now - log_kept, BATCH).await,
            store::retention::purge_retry_batches(&self.db, site, now - log_kept, BATCH).await,
            store::rollup::purge(&self.db, site, hour_of(now - log_kept), BATCH).await,
            store::retention::purge_activity(&self.db, site, now - ACTIVITY_KEPT, BATCH).await,
            store::retention::purge_events(&self.db, site, now - log_kept.min(EVENTS_KEPT), BATCH).await,
        ];
        let mut more = expired == u64::from(BATCH);
        for gone in purged {
            more |= gone.or_internal("removing what is kept no longer")? == u64::from(BATCH);
        }
        Ok(more)
    }
}
