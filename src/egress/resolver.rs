//! Name resolution with the gate inside: what is handed to the dialler has been checked, all of it.

use std::{fmt, net::SocketAddr, sync::Arc};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::filter::Filter;

/// Where names lead.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    /// To what the system says; calls go to this port.
    Resolved { port: u16 },
    /// Here, whatever the name.
    Fixed(SocketAddr),
}

/// The resolver of one client.
pub(super) struct GatedResolver {
    pub filter: Arc<Filter>,
    pub target: Target,
}

/// The destination may not be called.
#[derive(Debug)]
pub(super) struct Forbidden;

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the destination's address is not public")
    }
}

impl std::error::Error for Forbidden {}

/// The name does not resolve.
#[derive(Debug)]
pub(super) struct Unresolved;

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the host name does not resolve")
    }
}

impl std::error::Error for Unresolved {}

impl Resolve for GatedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (filter, target) = (Arc::clone(&self.filter), self.target);
        Box::pin(async move {
            let addresses: Vec<SocketAddr> = match target {
                Target::Fixed(address) => vec![address],
                Target::Resolved { port } => {
                    tokio::net::lookup_host((name.as_str(), port)).await.map_err(|_| Unresolved)?.collect()
                }
            };
            if addresses.is_empty() {
                return Err(Unresolved.into());
            }
            // One address that is not public spoils the name: it may be the one that is dialled in the end.
            if !addresses.iter().all(|address| filter.admits(*address)) {
                return Err(Forbidden.into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
