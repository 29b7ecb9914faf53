//! How many connections may be open at a time: in all, so that the process keeps files for everything else, and from one
//! address, so that nobody alone takes all of them.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use ipnet::IpNet;

use super::address::{is_trusted, network};
use crate::domain::clock::SharedClock;

/// How often one thing is told in the log.
const TOLD_EVERY: TimeDelta = TimeDelta::minutes(1);

/// Counts open connections, sockets among them. Cheap to clone.
#[derive(Clone)]
pub struct Connections(Arc<Inner>);

struct Inner {
    max: usize,
    max_of_address: usize,
    /// These ask for many, and so are bounded by the first number only.
    proxies: Vec<IpNet>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// There is no place for one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full {
    pub bound: usize,
    pub setting: &'static str,
}

impl Connections {
    /// With these bounds: of all, and of one address that is no proxy's.
    #[must_use]
    pub fn new(max: usize, max_of_address: usize, proxies: Vec<IpNet>) -> Self {
        Self(Arc::new(Inner { max, max_of_address, proxies, open: Mutex::default() }))
    }

    /// A place for a connection from this address, until it is dropped. It is the newest that gets none: those that are
    /// open may be in the middle of something, and those that are idle end by their time-out.
    pub(super) fn place(&self, peer: IpAddr) -> Result<ConnectionPlace, Full> {
        let Inner { max, max_of_address, proxies, open } = &*self.0;
        let address = (!is_trusted(peer, proxies)).then(|| network(peer));
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.all >= *max {
            return Err(Full { bound: *max, setting: "GATEWAY_MAX_CONNECTIONS" });
        }
        if let Some(address) = address {
            let of_address = open.by_address.entry(address).or_default();
            if *of_address >= *max_of_address {
                return Err(Full { bound: *max_of_address, setting: "GATEWAY_MAX_CONNECTIONS_PER_ADDRESS" });
            }
            *of_address += 1;
        }
        open.all += 1;
        drop(open);
        Ok(ConnectionPlace { connections: self.clone(), address })
    }
}

/// A connection that counts.
pub(super) struct ConnectionPlace {
    connections: Connections,
    address: Option<IpAddr>,
}

impl Drop for ConnectionPlace {
    fn drop(&mut self) {
        let mut open = self.connections.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.all -= 1;
        let Some(address) = &self.address else { return };
        if let Some(of_address) = open.by_address.get_mut(address) {
            *of_address -= 1;
            if *of_address == 0 {
                open.by_address.remove(address);
            }
        }
    }
}

/// Something that may happen thousands of times a second, and is told in the log once a minute.
pub(super) struct Seldom {
    clock: SharedClock,
    told_at: Option<DateTime<Utc>>,
    untold: u64,
}

impl Seldom {
    pub(super) fn new(clock: SharedClock) -> Self {
        Self { clock, told_at: None, untold: 0 }
    }

    /// It has happened. How often since it was last told, where it is to be told now.
    pub(super) fn happened(&mut self) -> Option<u64> {
        let now = self.clock.now();
        self.untold += 1;
        // A clock that was set back must not silence it.
        if self.told_at.is_some_and(|told| (told..told + TOLD_EVERY).contains(&now)) {
            return None;
        }
        self.told_at = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn an_address_and_all_together_have_their_bounds() {
        let proxies = vec!["10.0.0.0/8".parse().expect("a range")];
        let connections = Connections::new(5, 2, proxies);
        let place = |text: &str| connections.place(address(text)).map_err(|full| (full.bound, full.setting));
        let of_address = Err((2, "GATEWAY_MAX_CONNECTIONS_PER_ADDRESS"));
        let of_all = Err((5, "GATEWAY_MAX_CONNECTIONS"));

        let first = place("2001:db8::1").expect("a place");
        let _second = place("2001:db8::2").expect("a place");
        assert_eq!(place("2001:db8::3").map(|_| ()), of_address, "a network of 64 bits is one address");
        drop(first);
        let _again = place("2001:db8::3").expect("a place that came free");
        let proxied: Vec<_> =
            (0..3).map(|_| place("::ffff:10.0.0.1").expect("a proxy has no bound of its own")).collect();
        assert_eq!(place("10.0.0.2").map(|_| ()), of_all);
        assert_eq!(place("192.0.2.1").map(|_| ()), of_all);
        drop(proxied);
        assert!(place("192.0.2.1").is_ok());
        assert_eq!(connections.0.open.lock().expect("a lock").by_address.len(), 1, "who has gone is forgotten");
    }
}
