//! The delivery worker: claims what is due, and runs as many attempts at once as its bounds allow.

use std::collections::HashMap;

use chrono::TimeDelta;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    bus::Bus,
    domain::{
        clock::{SharedClock, now_ms},
        delivery::AT_ONCE,
        id::ConnectionId,
    },
    service::{Failure, Gateway},
};

/// How many attempts run at once.
#[derive(Clone, Copy, Debug)]
pub struct DeliverLimits {
    /// In this process.
    pub overall: u32,
    /// For one connection, so that a slow one never has all places.
    pub per_connection: u32,
}

impl Default for DeliverLimits {
    fn default() -> Self {
        Self { overall: 64, per_connection: AT_ONCE }
    }
}

/// The longest the worker sleeps: within it, it notices what another process has queued.
const IDLE: TimeDelta = TimeDelta::seconds(1);
/// The shortest: what is due but held back by a bound of the claim is not asked for without a pause.
const PAUSE: TimeDelta = TimeDelta::milliseconds(20);
/// Deliveries of removed connections that are ended in one transaction.
const ORPHANS: u32 = 500;

/// Runs until `stop`, then until the attempts under way have been settled.
pub async fn deliver(gateway: Gateway, bus: Bus, clock: SharedClock, limits: DeliverLimits, stop: CancellationToken) {
    let mut attempts = Attempts::default();
    let mut looked_twice = false;
    while !stop.is_cancelled() {
        let free = limits.overall.saturating_sub(attempts.count());
        let sleep = if free == 0 {
            None
        } else {
            match attempts.start_due(&gateway, free, limits.per_connection).await {
                Ok(true) => continue,
                Ok(false) => {
                    let now = now_ms(&*clock);
                    let due = gateway.next_delivery_due().await.ok().flatten();
                    let overdue = due.is_some_and(|due| due <= now);
                    // It may have become due since the claim: look once more. If that finds nothing either, an
                    // attempt has to end first: one of ours, which is noticed, or another process's.
                    looked_twice = overdue && !looked_twice;
                    if looked_twice {
                        continue;
                    }
                    let shortest = if overdue && attempts.count() == 0 { now + PAUSE } else { now + IDLE };
                    Some(due.filter(|due| *due > now).map_or(shortest, |due| due.min(now + IDLE)))
                }
                // What failed has been logged.
                Err(_) => Some(now_ms(&*clock) + IDLE),
            }
        };
        let slept = async {
            match sleep {
                Some(until) => clock.sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = attempts.one_ended(), if attempts.count() > 0 => {}
            () = bus.deliveries_woken(), if free > 0 => {}
            () = slept => {}
        }
    }
    while attempts.count() > 0 {
        attempts.one_ended().await;
    }
}

/// The attempts under way, and whose they are.
#[derive(Default)]
struct Attempts {
    tasks: JoinSet<()>,
    connections: HashMap<Id, ConnectionId>,
}

impl Attempts {
    fn count(&self) -> u32 {
        u32::try_from(self.tasks.len()).unwrap_or(u32::MAX)
    }

    /// Claims and starts what is due; says whether there may be more that can start at once.
    async fn start_due(&mut self, gateway: &Gateway, free: u32, per_connection: u32) -> Result<bool, Failure> {
        let mut running: HashMap<ConnectionId, u32> = HashMap::new();
        for connection in self.connections.values() {
            *running.entry(*connection).or_default() += 1;
        }
        // The claim keeps each connection within its bound, other processes' attempts included; those that
        // are full here need not be looked at.
        let full: Vec<ConnectionId> =
            running.into_iter().filter(|(_, count)| *count >= per_connection).map(|(id, _)| id).collect();
        let claims = gateway.claim_deliveries(free, per_connection, &full).await?;
        if claims.is_empty() {
            return Ok(gateway.cancel_orphaned_deliveries(ORPHANS).await? == u64::from(ORPHANS));
        }
        for claim in claims {
            let connection = claim.delivery.connection;
            let gateway = gateway.clone();
            let attempt = async move {
                // What could not be stored has been logged; the claim runs out and is taken again.
                let _ = gateway.deliver(claim).await;
            };
            let id = self.tasks.spawn(attempt).id();
            self.connections.insert(id, connection);
        }
        Ok(true)
    }

    async fn one_ended(&mut self) {
        match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => {
                self.connections.remove(&id);
            }
            Some(Err(error)) => self.broke_off(&error),
            None => {}
        }
    }

    fn broke_off(&mut self, error: &JoinError) {
        tracing::error!(%error, "an attempt broke off; its claim runs out and is taken again");
        self.connections.remove(&error.id());
    }
}
