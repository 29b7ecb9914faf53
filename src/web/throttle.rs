//! How often a caller and an address may ask, and how many sockets a caller may hold.
//!
//! Rates are kept by the generic cell rate algorithm (ITU-T I.371, annex A): one time for each caller, in a
//! bounded cache. Whoever falls out of it begins anew with a full allowance.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use quick_cache::sync::Cache;

use super::address::network;
use crate::domain::{
    clock::SharedClock,
    id::{OperatorId, SiteId},
    principal::{Actor, Principal},
};

/// How many callers, and how many addresses, are remembered at a time.
const REMEMBERED: usize = 50_000;

/// So many within so many seconds, also all at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub count: u32,
    pub seconds: u32,
}

/// Come back after so many seconds, at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait(pub u64);

/// A caller, without what may differ from token to token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Who {
    Operator(SiteId, OperatorId),
    Module(SiteId, String),
}

impl Who {
    fn of(principal: &Principal) -> Self {
        match &principal.actor {
            Actor::Operator { id, .. } => Self::Operator(principal.site, *id),
            Actor::Module { name } => Self::Module(principal.site, name.clone()),
        }
    }
}

struct Meter<K> {
    rate: Option<Rate>,
    /// When each would have used up its allowance, in microseconds since 1970: an allowance that is full lies
    /// in the past.
    due: Cache<K, Arc<Mutex<i64>>>,
}

impl<K: Hash + Eq + Clone> Meter<K> {
    fn new(rate: Option<Rate>) -> Self {
        Self { rate, due: Cache::new(REMEMBERED) }
    }

    fn take(&self, key: &K, now: i64) -> Result<(), Wait> {
        let Some(rate) = self.rate else { return Ok(()) };
        let window = i64::from(rate.seconds) * 1_000_000;
        let each = (window / i64::from(rate.count)).max(1);
        let due = self.due.get_or_insert_with(key, || Ok::<_, std::convert::Infallible>(Arc::default()));
        let Ok(due) = due;
        let mut due = due.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back must not lock anybody out.
        let base = (*due).clamp(now, now + window);
        *due = base;
        if base + each > now + window {
            let wait = base + each - now - window;
            return Err(Wait(u64::try_from(wait).unwrap_or(0).div_ceil(1_000_000).max(1)));
        }
        *due = base + each;
        Ok(())
    }
}

/// Counts for all callers. Cheap to clone.
#[derive(Clone)]
pub struct Throttle(Arc<Inner>);

struct Inner {
    clock: SharedClock,
    callers: Meter<Who>,
    addresses: Meter<IpAddr>,
    sockets: Mutex<HashMap<Who, usize>>,
    sockets_max: usize,
}

impl Throttle {
    /// With these bounds; `None` is none.
    #[must_use]
    pub fn new(clock: SharedClock, callers: Option<Rate>, addresses: Option<Rate>, sockets_max: usize) -> Self {
        Self(Arc::new(Inner {
            clock,
            callers: Meter::new(callers),
            addresses: Meter::new(addresses),
            sockets: Mutex::default(),
            sockets_max,
        }))
    }

    fn now(&self) -> i64 {
        self.0.clock.now().timestamp_micros()
    }

    /// Counts an operation of this caller.
    ///
    /// # Errors
    /// How long to wait.
    pub(super) fn caller(&self, principal: &Principal) -> Result<(), Wait> {
        self.0.callers.take(&Who::of(principal), self.now())
    }

    /// Counts a request from this address.
    ///
    /// # Errors
    /// How long to wait.
    pub(super) fn address(&self, address: IpAddr) -> Result<(), Wait> {
        self.0.addresses.take(&network(address), self.now())
    }

    /// A place for a socket of this caller, until it is dropped.
    ///
    /// # Errors
    /// The bound, where all are taken.
    pub(super) fn socket(&self, principal: &Principal) -> Result<SocketPlace, usize> {
        let who = Who::of(principal);
        let mut sockets = self.0.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        let open = sockets.entry(who.clone()).or_default();
        if *open >= self.0.sockets_max {
            return Err(self.0.sockets_max);
        }
        *open += 1;
        drop(sockets);
        Ok(SocketPlace { throttle: self.clone(), who })
    }
}

/// A socket that counts.
pub(super) struct SocketPlace {
    throttle: Throttle,
    who: Who,
}

impl Drop for SocketPlace {
    fn drop(&mut self) {
        let mut sockets = self.throttle.0.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = sockets.get_mut(&self.who) {
            *open -= 1;
            if *open == 0 {
                sockets.remove(&self.who);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: i64 = 1_000_000;

    fn meter(count: u32, seconds: u32) -> Meter<u8> {
        Meter::new(Some(Rate { count, seconds }))
    }

    #[test]
    fn an_allowance_may_be_used_at_once_and_comes_back_in_time() {
        let meter = meter(10, 1);
        assert!((0..10).all(|_| meter.take(&1, 0).is_ok()));
        assert_eq!(meter.take(&1, 0), Err(Wait(1)));
        assert_eq!(meter.take(&2, 0), Ok(()), "others are not concerned");
        assert_eq!(meter.take(&1, SECOND / 10), Ok(()));
        assert_eq!(meter.take(&1, SECOND / 10), Err(Wait(1)));
        assert!((0..10).all(|_| meter.take(&1, 10 * SECOND).is_ok()));
    }

    #[test]
    fn a_slow_rate_says_how_long_to_wait() {
        let meter = meter(1, 3_600);
        assert_eq!(meter.take(&1, 0), Ok(()));
        assert_eq!(meter.take(&1, 60 * SECOND), Err(Wait(3_540)));
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let meter = meter(1, 1);
        assert_eq!(meter.take(&1, 1_000_000 * SECOND), Ok(()));
        assert_eq!(meter.take(&1, 0), Err(Wait(1)));
        assert_eq!(meter.take(&1, SECOND), Ok(()));
    }

    #[test]
    fn without_a_rate_all_pass() {
        let meter = Meter::new(None);
        assert!((0..100_000).all(|_| meter.take(&1, 0).is_ok()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        /// Within any window there are at most twice as many as the rate says: one allowance that was saved, and
        /// one that comes back meanwhile.
        #[test]
        fn no_window_has_more_than_its_allowances(count in 1u32..50, seconds in 1u32..5, steps in prop::collection::vec(0i64..200_000, 1..400)) {
            let meter = meter(count, seconds);
            let mut now = 0;
            let mut passed = Vec::new();
            for step in steps {
                now += step;
                if meter.take(&1, now).is_ok() {
                    passed.push(now);
                }
            }
            let window = i64::from(seconds) * SECOND;
            for (at, start) in passed.iter().enumerate() {
                let within = passed[at..].iter().take_while(|time| **time < start + window).count();
                prop_assert!(within <= 2 * count as usize, "{within} from {start}");
            }
        }
    }
}
