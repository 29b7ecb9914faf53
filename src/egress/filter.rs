//! Which addresses may be dialled: public ones, and those that the configuration allows.
//!
//! The ranges are those of the IANA registries of special-purpose addresses (RFC 6890 and its
//! updates), with multicast and the ranges in which an IPv4 address is wrapped into an IPv6 one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::rules::AllowedDestination;

/// The gate for addresses.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    allowed: Vec<AllowedDestination>,
}

impl Filter {
    pub fn new(allowed: Vec<AllowedDestination>) -> Self {
        Self { allowed }
    }

    /// Whether this address may be dialled. An IPv4 address in IPv6 clothes is judged as what it is.
    pub fn admits(&self, address: SocketAddr) -> bool {
        let plain = SocketAddr::new(address.ip().to_canonical(), address.port());
        is_public(plain.ip()) || self.allowed.iter().any(|allowed| allowed.covers(plain) || allowed.covers(address))
    }
}

fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

#[expect(clippy::match_same_arms, reason = "an arm for each entry of the registry")]
fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, d] = ip.octets();
    let special = match (a, b, c) {
        // This network, private, loopback.
        (0 | 10 | 127, ..) => true,
        // Shared address space (RFC 6598), where some clouds keep their metadata too.
        (100, 64..=127, _) => true,
        // Link-local, the usual place of metadata services.
        (169, 254, _) => true,
        (172, 16..=31, _) => true,
        // IETF protocol assignments, documentation, 6to4 relays.
        (192, 0, 0 | 2) | (192, 88, 99) => true,
        // AS112, AMT: anycast services that nobody's vendor lives on.
        (192, 31, 196) | (192, 52, 193) | (192, 175, 48) => true,
        (192, 168, _) => true,
        // Benchmarking, documentation.
        (198, 18..=19, _) | (198, 51, 100) | (203, 0, 113) => true,
        // Multicast, reserved, broadcast.
        (224.., ..) => true,
        // Some clouds' platform address.
        (168, 63, 129) if d == 16 => true,
        _ => false,
    };
    !special
}

#[expect(clippy::match_same_arms, reason = "an arm for each entry of the registry")]
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let segments = ip.segments();
    // Only global unicast (RFC 4291, section 2.4) has public addresses in it; loopback, unspecified, mapped,
    // unique local, link-local, site-local and multicast lie outside, and so does NAT64 (64:ff9b::/96).
    if segments[0] & 0xe000 != 0x2000 {
        return false;
    }
    match segments {
        // Teredo, benchmarking, ORCHID, drones: IETF protocol assignments (RFC 2928), none of them a vendor.
        [0x2001, 0..=0x01ff, ..] => false,
        // Documentation (RFC 3849, RFC 9637).
        [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => false,
        // 6to4 (RFC 3056): an IPv4 address in the second and third segment.
        [0x2002, high, low, ..] => {
            let [a, b] = high.to_be_bytes();
            let [c, d] = low.to_be_bytes();
            is_public_v4(Ipv4Addr::new(a, b, c, d))
        }
        // AS112 (RFC 7535), segment routing (RFC 9602).
        [0x2620, 0x004f, 0x8000, ..] | [0x5f00, ..] => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(filter: &Filter, ip: &str, port: u16) -> bool {
        filter.admits(SocketAddr::new(ip.parse().expect("an address"), port))
    }

    #[test]
    fn only_public_addresses_are_admitted() {
        let filter = Filter::new(Vec::new());
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "::ffff:8.8.8.8",
            "2002:808:808::1",
        ] {
            assert!(admits(&filter, public, 443), "{public}");
        }
        for special in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.31.196.1",
            "192.52.193.1",
            "192.88.99.1",
            "192.168.0.1",
            "192.175.48.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "2002:a9fe:a9fe::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!admits(&filter, special, 443), "{special}");
        }
    }

    #[test]
    fn what_is_allowed_is_admitted_on_its_port_only() {
        let filter = Filter::new(AllowedDestination::parse_list("127.0.0.0/8:8080,fd00::/8").expect("ranges"));
        assert!(admits(&filter, "127.0.0.1", 8080) && admits(&filter, "::ffff:127.0.0.1", 8080));
        assert!(!admits(&filter, "127.0.0.1", 8081) && !admits(&filter, "10.0.0.1", 8080));
        assert!(admits(&filter, "fd00::1", 1) && !admits(&filter, "fe80::1", 1));
    }
}
