//! Which addresses may be dialled: public ones, and those that the configuration allows.
//!
//! The ranges are those of the IANA registries of special-purpose addresses (RFC 6890 and its
//! updates), with multicast and the ranges in which an IPv4 address is wrapped into an IPv6 one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::rules::AllowedDestination;

/// The gate for addresses.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    /// Whether public addresses pass.
    public: bool,
    allowed: Vec<AllowedDestination>,
}

impl Filter {
    pub fn new(allowed: Vec<AllowedDestination>) -> Self {
        Self { public: true, allowed }
    }

    /// The gate for calls without encryption: only what the configuration allows passes, so that allowing a
    /// private range does not let credentials go out in clear to anybody else.
    pub fn unencrypted(&self) -> Self {
        Self { public: false, allowed: self.allowed.clone() }
    }

    /// Whether this address may be dialled. An IPv4 address in IPv6 clothes is judged as what it is.
    pub fn admits(&self, address: SocketAddr) -> bool {
        let plain = SocketAddr::new(address.ip().to_canonical(), address.port());
        (self.public && is_public(plain.ip()))
            || self.allowed.iter().any(|allowed| allowed.covers(plain) || allowed.covers(address))
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
    match ip.segments() {
        // NAT64 (RFC 6052): a network without IPv4 reaches all of it this way, and its resolver answers so for
        // every name.
        [0x0064, 0xff9b, 0, 0, 0, 0, high, low] => is_public_v4(embedded(high, low)),
        // Only global unicast (RFC 4291, section 2.4) has public addresses in it: loopback, unspecified, IPv4 in
        // other clothes, discard-only, segment routing, unique local, link-local, site-local and multicast all
        // lie outside.
        [0..=0x1fff | 0x4000.., ..] => false,
        // Teredo, benchmarking, ORCHID, drones: IETF protocol assignments (RFC 2928), none of them a vendor.
        [0x2001, 0..=0x01ff, ..] => false,
        // Documentation (RFC 3849, RFC 9637).
        [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => false,
        // 6to4 (RFC 3056): an IPv4 address in the second and third segment.
        [0x2002, high, low, ..] => is_public_v4(embedded(high, low)),
        // AS112 (RFC 7535).
        [0x2620, 0x004f, 0x8000, ..] => false,
        _ => true,
    }
}

fn embedded(high: u16, low: u16) -> Ipv4Addr {
    let [a, b] = high.to_be_bytes();
    let [c, d] = low.to_be_bytes();
    Ipv4Addr::new(a, b, c, d)
}

#[cfg(test)]
mod tests {
    use ipnet::IpNet;

    use super::*;

    fn admits(filter: &Filter, ip: &str, port: u16) -> bool {
        filter.admits(SocketAddr::new(ip.parse().expect("an address"), port))
    }

    /// IANA's registries of special-purpose addresses for IPv4 and IPv6, globally reachable or not, but for the
    /// ranges that hold IPv4 addresses and have a test of their own; with multicast, what is outside of global
    /// unicast, and one platform address.
    const SPECIAL: &[&str] = &[
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "255.255.255.255/32",
        "::/96",
        "::/8",
        "64:ff9b:1::/48",
        "100::/64",
        "100:0:0:1::/64",
        "2001::/23",
        "2001::/32",
        "2001:1::1/128",
        "2001:1::2/128",
        "2001:1::3/128",
        "2001:2::/48",
        "2001:3::/32",
        "2001:4:112::/48",
        "2001:10::/28",
        "2001:20::/28",
        "2001:30::/28",
        "2001:db8::/32",
        "2620:4f:8000::/48",
        "3fff::/20",
        "4000::/2",
        "5f00::/16",
        "8000::/1",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    ];

    #[test]
    fn special_ranges_are_refused_from_border_to_border() {
        let ranges: Vec<IpNet> = SPECIAL.iter().map(|text| text.parse().expect("a range")).collect();
        let filter = Filter::new(Vec::new());
        for range in &ranges {
            let (first, last) = (range.network(), range.broadcast());
            for ip in [first, last].into_iter().chain(neighbour(first, -1)).chain(neighbour(last, 1)) {
                let special = ranges.iter().any(|range| range.contains(&ip));
                // 100::/8 and the like: outside of global unicast, and in no registry.
                let unassigned = matches!(ip, IpAddr::V6(ip) if ip.segments()[0] >> 13 != 1);
                assert_eq!(filter.admits(SocketAddr::new(ip, 443)), !special && !unassigned, "{ip} beside {range}");
            }
        }
    }

    fn neighbour(ip: IpAddr, step: i8) -> Option<IpAddr> {
        match ip {
            IpAddr::V4(ip) => ip.to_bits().checked_add_signed(step.into()).map(|bits| Ipv4Addr::from_bits(bits).into()),
            IpAddr::V6(ip) => ip.to_bits().checked_add_signed(step.into()).map(|bits| Ipv6Addr::from_bits(bits).into()),
        }
    }

    #[test]
    fn an_ipv4_address_in_ipv6_clothes_is_judged_as_what_it_is() {
        let filter = Filter::new(Vec::new());
        for prefix in ["::ffff:0:0", "64:ff9b::", "2002::"] {
            let prefix: Ipv6Addr = prefix.parse().expect("an address");
            let shift = if prefix.segments()[0] == 0x2002 { 80 } else { 0 };
            for (inside, public) in
                [("8.8.8.8", true), ("127.0.0.1", false), ("10.0.0.1", false), ("169.254.169.254", false)]
            {
                let inside: Ipv4Addr = inside.parse().expect("an address");
                let ip = Ipv6Addr::from_bits(prefix.to_bits() | u128::from(inside.to_bits()) << shift);
                assert_eq!(filter.admits(SocketAddr::new(ip.into(), 443)), public, "{ip} holds {inside}");
            }
        }
        // Deprecated forms are not called, whatever they hold.
        for refused in ["::8.8.8.8", "::ffff:0:8.8.8.8", "64:ff9b:1::8.8.8.8", "2001:0:808:808::f7f7:f7f7"] {
            assert!(!admits(&filter, refused, 443), "{refused}");
        }
    }

    #[test]
    fn public_addresses_are_admitted_and_metadata_services_are_not() {
        let filter = Filter::new(Vec::new());
        for public in ["1.1.1.1", "8.8.8.8", "168.63.129.17", "223.255.255.255", "2606:4700::1111", "2a00:1450::1"] {
            assert!(admits(&filter, public, 443), "{public}");
        }
        for metadata in ["169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "fd00:ec2::254"] {
            assert!(!admits(&filter, metadata, 443), "{metadata}");
        }
    }

    #[test]
    fn without_encryption_only_what_is_allowed_is_admitted() {
        let filter = Filter::new(AllowedDestination::parse_list("10.0.0.0/8").expect("ranges")).unencrypted();
        assert!(
            admits(&filter, "10.0.0.1", 80) && !admits(&filter, "8.8.8.8", 80) && !admits(&filter, "127.0.0.1", 80)
        );
    }

    #[test]
    fn what_is_allowed_is_admitted_on_its_port_only() {
        let filter = Filter::new(AllowedDestination::parse_list("127.0.0.0/8:8080,fd00::/8").expect("ranges"));
        assert!(admits(&filter, "127.0.0.1", 8080) && admits(&filter, "::ffff:127.0.0.1", 8080));
        assert!(!admits(&filter, "127.0.0.1", 8081) && !admits(&filter, "10.0.0.1", 8080));
        assert!(admits(&filter, "fd00::1", 1) && !admits(&filter, "fe80::1", 1));
    }
}
