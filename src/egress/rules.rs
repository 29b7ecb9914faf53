//! Settings of the gate: which addresses that are not public may be called, and where to dial instead.

use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr as _,
};

use ipnet::IpNet;
use url::Host;

/// A range of addresses that may be called though it is not public, on one port or on all; http goes nowhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedDestination {
    range: IpNet,
    port: Option<u16>,
}

impl AllowedDestination {
    /// Reads comma-separated ranges: `10.0.0.0/8`, `127.0.0.1/32:8080`, `[fd00::]/8:443`, `::1`. With a port,
    /// an IPv6 address stands in brackets; a single address needs no prefix length.
    ///
    /// # Errors
    /// Which range is wrong, and a right one.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, String> {
        parts(text).map(Self::parse).collect()
    }

    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a range such as 10.0.0.0/8, 127.0.0.1/32:8080 or [fd00::]/8:443");
        let (range, port) = if let Some(rest) = text.strip_prefix('[') {
            let (address, rest) = rest.split_once(']').ok_or_else(wrong)?;
            let (prefix, port) = rest.split_once(':').map_or((rest, None), |(prefix, port)| (prefix, Some(port)));
            (format!("{address}{prefix}"), port)
        } else if text.matches(':').count() == 1 {
            let (range, port) = text.split_once(':').ok_or_else(wrong)?;
            (range.to_owned(), Some(port))
        } else {
            (text.to_owned(), None)
        };
        let port = port.map(|port| port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)).transpose()?;
        let range =
            IpNet::from_str(&range).or_else(|_| IpAddr::from_str(&range).map(IpNet::from)).map_err(|_| wrong())?;
        Ok(Self { range: range.trunc(), port })
    }

    pub(super) fn covers(&self, address: SocketAddr) -> bool {
        self.range.contains(&address.ip()) && self.port.is_none_or(|port| port == address.port())
    }
}

/// Dial another address than the one that a URL names, as curl's `--connect-to` does: TLS names and the
/// `Host` header stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectTo {
    /// Host as `url` spells it, and port; `None` for every destination.
    from: Option<(String, u16)>,
    pub(super) to: SocketAddr,
}

impl ConnectTo {
    /// Reads comma-separated rules: `host:port=address:port` or `*=address:port`. The first that fits counts.
    /// The host is compared as URLs spell it: in lower case, punycode, and an IPv6 address in brackets.
    ///
    /// # Errors
    /// Which rule is wrong, and a right one.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, String> {
        parts(text).map(Self::parse).collect()
    }

    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a rule such as api.example.com:443=127.0.0.1:9443 or *=127.0.0.1:9443");
        let (from, to) = text.split_once('=').ok_or_else(wrong)?;
        let to = to.parse().ok().filter(|to: &SocketAddr| to.port() != 0).ok_or_else(wrong)?;
        if from == "*" {
            return Ok(Self { from: None, to });
        }
        let (host, port) = from.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?;
        let host = Host::parse(host).map_err(|_| wrong())?;
        Ok(Self { from: Some((host.to_string(), port)), to })
    }

    /// Whether the rule is for this host (as `url` spells it) and port.
    pub(super) fn fits(&self, host: &str, port: u16) -> bool {
        self.from.as_ref().is_none_or(|(own, own_port)| own == host && *own_port == port)
    }
}

fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn ranges_with_and_without_a_port() {
        let list = AllowedDestination::parse_list("10.0.0.0/8, 127.0.0.1/32:8080,[fd00::]/8:443,::1,192.168.1.1")
            .expect("ranges");
        let covered = |text: &str| list.iter().any(|allowed| allowed.covers(address(text)));
        for inside in ["10.9.8.7:1", "127.0.0.1:8080", "[fd12::1]:443", "[::1]:9", "192.168.1.1:80"] {
            assert!(covered(inside), "{inside}");
        }
        for outside in ["11.0.0.1:1", "127.0.0.1:8081", "127.0.0.2:8080", "[fd12::1]:444", "[::2]:9", "192.168.1.2:80"]
        {
            assert!(!covered(outside), "{outside}");
        }
        assert_eq!(AllowedDestination::parse_list(""), Ok(Vec::new()));
        for wrong in ["10.0.0.0/33", "x", "10.0.0.1:0", "10.0.0.1:x", "[::1", "::1/129", "10.0.0.0/8:80:80"] {
            assert!(AllowedDestination::parse_list(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rules_fit_a_host_and_port() {
        let rules = ConnectTo::parse_list("API.example.com:443=127.0.0.1:9443,[::1]:80=127.0.0.1:1").expect("rules");
        assert!(rules[0].fits("api.example.com", 443) && !rules[0].fits("api.example.com", 80));
        assert!(!rules[0].fits("example.com", 443) && rules[1].fits("[::1]", 80));
        let spelled = ConnectTo::parse_list("bücher.example:443=[::1]:5,[0:0::1]:80=[::1]:5").expect("rules");
        assert!(spelled[0].fits("xn--bcher-kva.example", 443) && spelled[1].fits("[::1]", 80));
        assert!(ConnectTo::parse_list("*=[::1]:5").expect("a rule")[0].fits("anything", 1));
        for wrong in [
            "a=b=c",
            "a:443",
            "a=127.0.0.1:1",
            "a:x=127.0.0.1:1",
            "a:0=127.0.0.1:1",
            "a:1=127.0.0.1:0",
            "a:1=localhost:1",
            "=127.0.0.1:1",
            ":1=127.0.0.1:1",
            "::1:80=127.0.0.1:1",
            "*.example.com/:1=127.0.0.1:1",
        ] {
            assert!(ConnectTo::parse_list(wrong).is_err(), "{wrong}");
        }
    }
}
