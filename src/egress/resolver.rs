//! Name resolution with the gate inside: what is handed to the dialler has been checked, all of it.

use std::{error::Error, fmt, net::SocketAddr, sync::Arc};

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

impl Error for Forbidden {}

/// The name does not resolve.
#[derive(Debug)]
pub(super) struct Unresolved;

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the host name does not resolve")
    }
}

impl Error for Unresolved {}

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
            Ok(Box::new(gate(&filter, addresses)?.into_iter()) as Addrs)
        })
    }
}

/// All of the addresses or none. One that is not public spoils the name: it may be the one that is dialled in
/// the end.
fn gate(filter: &Filter, addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Box<dyn Error + Send + Sync>> {
    if addresses.is_empty() {
        Err(Unresolved.into())
    } else if addresses.iter().all(|address| filter.admits(*address)) {
        Ok(addresses)
    } else {
        Err(Forbidden.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::AllowedDestination;

    fn addresses(list: &[&str]) -> Vec<SocketAddr> {
        list.iter().map(|text| text.parse().expect("an address")).collect()
    }

    #[test]
    fn a_name_with_one_address_that_is_not_public_is_refused_whole() {
        let filter = Filter::new(AllowedDestination::parse_list("10.0.0.1/32:443").expect("ranges"));
        let public = addresses(&["1.1.1.1:443", "[2606:4700::1111]:443"]);
        assert_eq!(gate(&filter, public.clone()).expect("public"), public);
        let with_allowed = addresses(&["1.1.1.1:443", "10.0.0.1:443"]);
        assert_eq!(gate(&filter, with_allowed.clone()).expect("public or allowed"), with_allowed);
        for mixed in [
            ["1.1.1.1:443", "127.0.0.1:443"],
            ["[::1]:443", "1.1.1.1:443"],
            ["1.1.1.1:80", "10.0.0.1:80"],
            ["2.2.2.2:443", "[::ffff:169.254.169.254]:443"],
        ] {
            assert!(gate(&filter, addresses(&mixed)).expect_err("mixed").is::<Forbidden>(), "{mixed:?}");
        }
        assert!(gate(&filter, Vec::new()).expect_err("nothing").is::<Unresolved>());
    }
}
