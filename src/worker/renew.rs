//! The renewer: keeps access records alive ahead of their expiry, and finishes what was cut off.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    domain::{
        clock::{SharedClock, now_ms},
        id::ConnectionId,
    },
    service::{Failure, Front, Gateway},
};

/// How many renewals run at once in this process.
const OVERALL: usize = 16;
/// And at one vendor, so that a slow one never has all places.
const PER_VENDOR: usize = 8;
/// The longest the renewer sleeps: within it, it notices what another process has stored.
const IDLE: TimeDelta = TimeDelta::seconds(5);
/// The shortest: what is due but in somebody's hands is not asked for without a pause.
const PAUSE: TimeDelta = TimeDelta::milliseconds(200);
/// How often it is looked how many come together.
const LOOK: TimeDelta = TimeDelta::seconds(10);

/// Runs until `stop`, then until the renewals under way have been settled.
pub async fn renew(gateway: Gateway, clock: SharedClock, stop: CancellationToken) {
    let mut renewals = Renewals::default();
    while !stop.is_cancelled() {
        let looked = now_ms(&*clock);
        // What failed has been logged; the next round tries again.
        let next = renewals.start_due(&gateway, looked).await.unwrap_or(looked + IDLE);
        let now = now_ms(&*clock);
        if looked < next && next <= now {
            // It has become due since.
            continue;
        }
        let until = next.clamp(now + PAUSE, now + IDLE);
        tokio::select! {
            () = stop.cancelled() => {}
            () = renewals.one_ended(), if !renewals.running.is_empty() => {}
            () = clock.sleep_until(until) => {}
        }
    }
    while !renewals.running.is_empty() {
        renewals.one_ended().await;
    }
}

/// The renewals under way, and whose they are.
#[derive(Default)]
struct Renewals {
    running: JoinSet<()>,
    whose: HashMap<Id, (ConnectionId, String)>,
    /// How far ahead of their time each connector's are made, and when that was looked at.
    leads: HashMap<String, (TimeDelta, DateTime<Utc>)>,
}

impl Renewals {
    /// Starts what is due and has room; says when to look again.
    async fn start_due(&mut self, gateway: &Gateway, now: DateTime<Utc>) -> Result<DateTime<Utc>, Failure> {
        let mut next = now + IDLE;
        for front in gateway.renewal_fronts().await? {
            let until = now + self.lead(gateway, &front, now).await?;
            if front.due_at > until {
                next = next.min(front.due_at - (until - now));
                continue;
            }
            let busy: Vec<ConnectionId> =
                self.whose.values().filter(|(_, vendor)| *vendor == front.vendor).map(|(id, _)| *id).collect();
            let (room, turn) = gateway.renewal_room(&front.vendor);
            let places = PER_VENDOR.saturating_sub(busy.len()).min(OVERALL.saturating_sub(self.running.len()));
            let free = usize::try_from(room).unwrap_or(usize::MAX).min(places);
            if free == 0 {
                if places > 0 {
                    next = next.min(turn);
                }
                continue;
            }
            // Those that are in hand are due still, so as many more are asked for.
            let limit = u32::try_from(free + busy.len()).unwrap_or(u32::MAX);
            let due = gateway.due_renewals(&front.connector_slug, until, limit).await?;
            for (site, connection) in due.into_iter().filter(|(_, id)| !busy.contains(id)).take(free) {
                let gateway = gateway.clone();
                let id = self.running.spawn(async move { gateway.renew_due(site, connection).await }).id();
                self.whose.insert(id, (connection, front.vendor.clone()));
                // There may be more.
                next = now;
            }
        }
        Ok(next)
    }

    async fn lead(&mut self, gateway: &Gateway, front: &Front, now: DateTime<Utc>) -> Result<TimeDelta, Failure> {
        if let Some((lead, at)) = self.leads.get(&front.connector_slug)
            && (TimeDelta::zero()..LOOK).contains(&(now - *at))
        {
            return Ok(*lead);
        }
        let lead = gateway.renewal_lead(front).await?;
        self.leads.insert(front.connector_slug.clone(), (lead, now));
        Ok(lead)
    }

    async fn one_ended(&mut self) {
        match self.running.join_next_with_id().await {
            Some(Ok((id, ()))) => {
                self.whose.remove(&id);
            }
            Some(Err(error)) => self.broke_off(&error),
            None => {}
        }
    }

    fn broke_off(&mut self, error: &JoinError) {
        tracing::error!(%error, "a renewal broke off");
        self.whose.remove(&error.id());
    }
}
