//! Renewals at a pace that each vendor bears: whoever renews takes a turn, and a crowd is begun ahead of its time.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    gateway::{Gateway, lock},
    oauth_client::oauth_of,
    types::{Failure, OrInternal as _},
};
use crate::{
    connector::RefreshLimit,
    domain::{
        id::{ConnectionId, SiteId},
        pace::{self, HORIZONS, Pace},
    },
    store,
};

/// The largest crowd that is counted.
const CROWD_MAX: u32 = 100_000;

/// The renewals of one connector, for the worker.
#[derive(Clone, Debug)]
pub struct Front {
    pub connector_slug: String,
    /// Those of one vendor share a pace.
    pub vendor: String,
    pub due_at: DateTime<Utc>,
}

impl Gateway {
    /// For the worker: each connector that has something to renew, and when the first of it is due.
    ///
    /// # Errors
    /// [`Failure::Internal`] where the database fails.
    pub async fn renewal_fronts(&self) -> Result<Vec<Front>, Failure> {
        let fronts = store::renewal::fronts(&self.db).await.or_internal("looking for renewals")?;
        Ok(fronts
            .into_iter()
            .map(|front| Front {
                vendor: self.vendor_of(&front.connector_slug),
                connector_slug: front.connector_slug,
                due_at: front.due_at,
            })
            .collect())
    }

    /// For the worker: how far ahead of their time a connector's renewals are to be made now.
    ///
    /// # Errors
    /// [`Failure::Internal`] where the database fails.
    pub async fn renewal_lead(&self, front: &Front) -> Result<TimeDelta, Failure> {
        let now = self.now();
        let rate = self.pace_of(&front.vendor, |pace| pace.rate());
        let mut crowds = Vec::new();
        for within in HORIZONS {
            let count = store::renewal::count(&self.db, &front.connector_slug, now + within, CROWD_MAX);
            let count = count.await.or_internal("counting renewals")?;
            crowds.push((within, count));
            if f64::from(count) <= rate * 60.0 {
                // No shorter time has more.
                break;
            }
        }
        Ok(pace::lead(rate, crowds))
    }

    /// For the worker: connections whose renewal is due by `until`, of all sites.
    ///
    /// # Errors
    /// [`Failure::Internal`] where the database fails.
    pub async fn due_renewals(
        &self,
        connector_slug: &str,
        until: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<(SiteId, ConnectionId)>, Failure> {
        let due = store::renewal::due(&self.db, connector_slug, self.now(), until, limit);
        due.await.or_internal("looking for renewals")
    }

    /// For the worker: how many renewals can be asked of a vendor at once, and when the next can be.
    pub fn renewal_room(&self, vendor: &str) -> (u32, DateTime<Utc>) {
        let now = self.now();
        self.pace_of(vendor, |pace| (pace.room(now), pace.next(now)))
    }

    /// Takes a turn at a vendor, and waits for it; false where too many wait already.
    pub(super) async fn take_turn(&self, vendor: &str) -> bool {
        let now = self.now();
        let Some(at) = self.pace_of(vendor, |pace| pace.take(now)) else { return false };
        if at > now {
            self.clock.sleep_until(at).await;
        }
        true
    }

    /// Notes that a vendor has taken a call for a renewal, whatever it said.
    pub(super) fn note_taken(&self, vendor: &str) {
        self.pace_of(vendor, Pace::went);
    }

    /// Notes that a vendor said "later", and perhaps when, or did not answer.
    pub(super) fn note_later(&self, vendor: &str, after: Option<TimeDelta>) {
        let now = self.now();
        self.pace_of(vendor, |pace| pace.slow_down(now, after));
    }

    /// Under which name the pace of a connector's vendor is kept.
    pub(super) fn vendor_of(&self, connector_slug: &str) -> String {
        let app = self.library().get(connector_slug).and_then(|connector| oauth_of(connector).ok()?.1.app.clone());
        app.unwrap_or_else(|| connector_slug.to_owned())
    }

    /// How often the vendor of a connector renews one grant at most.
    pub(super) fn refresh_limit(&self, connector_slug: &str) -> Option<RefreshLimit> {
        self.library().get(connector_slug).and_then(|connector| oauth_of(connector).ok()?.1.refresh_limit)
    }

    fn pace_of<T>(&self, vendor: &str, ask: impl FnOnce(&mut Pace) -> T) -> T {
        let now = self.now();
        let mut paces = lock(&self.paces);
        match paces.get_mut(vendor) {
            Some(pace) => ask(pace),
            None => ask(paces.entry(vendor.to_owned()).or_insert(Pace::new(now))),
        }
    }
}
