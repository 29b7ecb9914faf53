//! The renewer: keeps access records alive ahead of their expiry, and finishes what was cut off.

use std::collections::{HashMap, HashSet};

use chrono::TimeDelta;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    domain::{
        clock::{SharedClock, now_ms},
        id::ConnectionId,
    },
    service::Gateway,
};

/// How many renewals run at once in this process.
const OVERALL: usize = 16;
/// The longest the renewer sleeps: within it, it notices what another process has stored.
const IDLE: TimeDelta = TimeDelta::seconds(5);
/// The shortest: what is due but in somebody's hands is not asked for without a pause.
const PAUSE: TimeDelta = TimeDelta::milliseconds(200);

/// Runs until `stop`, then until the renewals under way have been settled.
pub async fn renew(gateway: Gateway, clock: SharedClock, stop: CancellationToken) {
    let mut running = JoinSet::new();
    let mut whose: HashMap<Id, ConnectionId> = HashMap::new();
    while !stop.is_cancelled() {
        let looked = now_ms(&*clock);
        let free = OVERALL.saturating_sub(running.len());
        let busy: HashSet<ConnectionId> = whose.values().copied().collect();
        // Those that are in hand are due still, so as many more are asked for.
        let limit = u32::try_from(free + busy.len()).unwrap_or(u32::MAX);
        // What failed has been logged; the next round tries again.
        let due = if free == 0 { Vec::new() } else { gateway.due_renewals(limit).await.unwrap_or_default() };
        for (site, connection) in due.into_iter().filter(|(_, connection)| !busy.contains(connection)).take(free) {
            let gateway = gateway.clone();
            let id = running.spawn(async move { gateway.renew_due(site, connection).await }).id();
            whose.insert(id, connection);
        }
        let now = now_ms(&*clock);
        let next = gateway.next_renewal_due().await.ok().flatten();
        if free > 0 && next.is_some_and(|next| looked < next && next <= now) {
            // It has become due since.
            continue;
        }
        let until = next.map_or(now + IDLE, |next| next.clamp(now + PAUSE, now + IDLE));
        tokio::select! {
            () = stop.cancelled() => {}
            Some(ended) = running.join_next_with_id(), if !running.is_empty() => {
                let id = match &ended {
                    Ok((id, ())) => *id,
                    Err(error) => {
                        tracing::error!(%error, "a renewal broke off");
                        error.id()
                    }
                };
                whose.remove(&id);
            }
            () = clock.sleep_until(until) => {}
        }
    }
    while running.join_next().await.is_some() {}
}
