//! From where a request comes: the peer, or whom a proxy that is trusted names (RFC 7239, and `X-Forwarded-For`).

use std::{net::IpAddr, sync::Arc};

use axum::http::{HeaderMap, header};
use ipnet::IpNet;

use super::connections::ConnectionPlace;

/// The peer of a connection.
#[derive(Clone)]
pub(super) struct Peer {
    pub address: IpAddr,
    /// Whoever takes the connection over holds its place.
    pub place: Arc<ConnectionPlace>,
}

/// Whether this is the address of a proxy that is trusted.
pub(super) fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|range| range.contains(&address.to_canonical()))
}

/// What counts as one address: of IPv6 a network of 64 bits, since each host has a whole one (RFC 6177).
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
        address @ IpAddr::V4(_) => address,
    }
}

/// The nearest address that is no trusted proxy's. What stands further left in the headers was said by that
/// address, and so proves nothing.
pub(super) fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let mut nearest = peer;
    for named in forwarded(headers).into_iter().rev() {
        if !is_trusted(nearest, trusted) {
            break;
        }
        match named {
            Some(address) => nearest = address,
            // Hidden on purpose, or garbage: the proxy is all that is known.
            None => break,
        }
    }
    nearest
}

/// Every hop, the nearest last. `X-Forwarded-For` counts where both are there: it is what most proxies write, and they
/// pass on a `Forwarded` that the client made up.
fn forwarded(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    // Hop by hop, so that bytes which are no text spoil their own hop only.
    let values = |name: header::HeaderName| {
        let hops = headers.get_all(name).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        hops.map(|hop| String::from_utf8_lossy(hop).into_owned()).collect::<Vec<_>>()
    };
    let usual = header::HeaderName::from_static("x-forwarded-for");
    if !headers.contains_key(&usual) {
        let node = |element: &str| {
            let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
            let (_, node) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
            address(node)
        };
        return values(header::FORWARDED).iter().map(|element| node(element)).collect();
    }
    values(usual).iter().map(|hop| address(hop)).collect()
}

/// An address with or without a port, brackets or quotes.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let bare = text.strip_prefix('[').and_then(|text| text.split(']').next()).unwrap_or(text);
    let without_port = || bare.rsplit_once(':').and_then(|(address, _)| address.parse().ok());
    bare.parse().ok().or_else(without_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().expect("a range"), "::1/128".parse().expect("a range")];
        for (peer, name, value, expected) in [
            ("203.0.113.9", "x-forwarded-for", "198.51.100.1", "203.0.113.9"),
            ("10.0.0.1", "x-forwarded-for", "198.51.100.1", "198.51.100.1"),
            ("::ffff:10.0.0.1", "x-forwarded-for", "198.51.100.1", "198.51.100.1"),
            ("10.0.0.1", "x-forwarded-for", "6.6.6.6, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
            ("10.0.0.1", "x-forwarded-for", "198.51.100.1:4711", "198.51.100.1"),
            ("10.0.0.1", "x-forwarded-for", "garbage", "10.0.0.1"),
            ("10.0.0.1", "x-forwarded-for", "10.0.0.3", "10.0.0.3"),
            ("10.0.0.1", "forwarded", "for=198.51.100.1;proto=https, for=10.0.0.2", "198.51.100.1"),
            ("10.0.0.1", "forwarded", "For=\"[2001:db8::1]:4711\"", "2001:db8::1"),
            ("10.0.0.1", "forwarded", "for=6.6.6.6, for=_hidden", "10.0.0.1"),
            ("10.0.0.1", "forwarded", "proto=https", "10.0.0.1"),
            ("::1", "x-forwarded-for", "2001:db8::1", "2001:db8::1"),
            ("10.0.0.1", "x-other", "1.1.1.1", "10.0.0.1"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().expect("a header"));
            let peer = peer.parse().expect("an address");
            assert_eq!(client(peer, &headers, &trusted).to_string(), expected, "{peer} with {name}: {value}");
        }
        // What the client itself put in front of the proxy's word decides nothing.
        let mut headers = HeaderMap::new();
        headers.insert("forwarded", "for=9.9.9.9".parse().expect("a header"));
        headers.insert("x-forwarded-for", header::HeaderValue::from_bytes(b"\xff, 198.51.100.1").expect("a header"));
        let peer = "10.0.0.1".parse().expect("an address");
        assert_eq!(client(peer, &headers, &trusted).to_string(), "198.51.100.1");
    }
}
