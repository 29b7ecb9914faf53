//! From where a request comes: the peer, or whom a proxy that is trusted names (RFC 7239, and `X-Forwarded-For`).

use std::net::IpAddr;

use axum::http::{HeaderMap, header};
use ipnet::IpNet;

/// The address of the peer of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub IpAddr);

/// The nearest address that is no trusted proxy's. What stands further left in the headers was said by that
/// address, and so proves nothing.
pub(super) fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|range| range.contains(&address.to_canonical()));
    let mut nearest = peer;
    for named in forwarded(headers).into_iter().rev() {
        if !is_trusted(&nearest) {
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

/// Every hop, the nearest last; `Forwarded` counts where both are there.
fn forwarded(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let values =
        |name| headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).flat_map(|all| all.split(','));
    if headers.contains_key(header::FORWARDED) {
        let node = |element: &str| {
            let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
            let (_, node) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
            address(node)
        };
        return values(header::FORWARDED).map(node).collect();
    }
    values(header::HeaderName::from_static("x-forwarded-for")).map(address).collect()
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
    }
}
