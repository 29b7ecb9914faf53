//! How many events wait for a connection: bounded, so that an endpoint that takes nothing for a week does not fill the
//! disk.
//!
//! The number is read from the queue at most once a second for each connection, and counted on in between. A counter in
//! the database would make all that is handed over for one connection wait for each other.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Mutex,
};

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    gateway::{Gateway, lock},
    types::{Failure, OrInternal as _},
};
use crate::{
    domain::id::{ConnectionId, SiteId},
    store,
};

/// How long a number counts.
const FRESH: TimeDelta = TimeDelta::seconds(1);
/// And how much longer than it took to read it.
const TIMES: i32 = 20;
/// How many connections are known at a time.
const KNOWN_MAX: usize = 10_000;

#[derive(Default)]
pub(super) struct Backlogs(Mutex<HashMap<ConnectionId, Backlog>>);

#[derive(Clone, Copy)]
struct Backlog {
    waiting: u64,
    until: DateTime<Utc>,
}

impl Gateway {
    /// Takes places in the queues of these connections, as many as are given for each, and says how many there were.
    pub(super) async fn take_places(
        &self,
        site: SiteId,
        wanted: &BTreeMap<ConnectionId, u64>,
    ) -> Result<BTreeMap<ConnectionId, u64>, Failure> {
        let asked_at = self.now();
        let unknown: Vec<ConnectionId> = {
            let known = lock(&self.backlogs.0);
            let fresh = |id: &&ConnectionId| known.get(*id).is_none_or(|backlog| backlog.until <= asked_at);
            wanted.keys().filter(fresh).copied().collect()
        };
        let read = if unknown.is_empty() {
            Vec::new()
        } else {
            let counts = Box::pin(store::delivery::pending_counts(&self.db, site, &unknown)).await;
            counts.or_internal("counting what waits")?
        };
        let now = self.now();
        let until = now + FRESH.max((now - asked_at) * TIMES);
        let mut known = lock(&self.backlogs.0);
        for id in unknown {
            let waiting = read.iter().find(|(of, _)| *of == id).map_or(0, |(_, count)| count.unsigned_abs());
            known.insert(id, Backlog { waiting, until });
        }
        let bound = u64::from(self.limits.max_queued);
        let taken = wanted.iter().map(|(id, wanted)| {
            let backlog = known.entry(*id).or_insert(Backlog { waiting: 0, until: now });
            let taken = bound.saturating_sub(backlog.waiting).min(*wanted);
            backlog.waiting += taken;
            (*id, taken)
        });
        let taken = taken.collect();
        if known.len() > KNOWN_MAX {
            known.retain(|_, backlog| now < backlog.until);
        }
        Ok(taken)
    }
}
