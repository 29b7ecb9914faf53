//! The HTTP clients behind the gate: one for each way a call can go.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use reqwest::{Client, redirect};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use super::{
    filter::Filter,
    resolver::{GatedResolver, Target},
};

/// Idle connections that are kept for each host, and for how long.
const IDLE_PER_HOST: usize = 4;
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Clients that are kept for ports. Those for connect-to rules come on top, as many as there are rules.
const PORTS_MAX: usize = 64;
/// Headers that an answer may have, in number and, together, in bytes.
const HEADERS_MAX: usize = 100;
pub(super) const HEADER_BYTES_MAX: u32 = 64 * 1024;

const USER_AGENT: &str = concat!("integrations-gateway/", env!("CARGO_PKG_VERSION"));

/// A way a call can go. A resolver is not told the port, and the gate must know it; so each port has a client
/// of its own, and so has each address that is dialled instead of the named one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Route {
    /// To what the name resolves to, on this port.
    Port(u16),
    /// The same, without encryption: the gate is narrower.
    Unencrypted(u16),
    /// To this address, whatever the name.
    Instead(SocketAddr),
    /// The same, with a `Host` header that the URL does not give. HTTP/1.1 only: HTTP/2 takes the name from
    /// the URL and would send two that differ (RFC 9113, section 8.3.1).
    InsteadWithHost(SocketAddr),
}

/// Makes clients, and keeps those in use.
pub(super) struct Clients {
    filter: Arc<Filter>,
    connect_timeout: Duration,
    /// Copies share the roots and the cache of sessions.
    tls: ClientConfig,
    kept: Mutex<Kept>,
}

/// Clients by route, each with the number of its last use.
#[derive(Default)]
struct Kept {
    clients: HashMap<Route, (u64, Client)>,
    uses: u64,
}

impl Kept {
    /// Room for one more port: where too many are kept, the one that was not called for longest goes.
    fn make_room(&mut self) {
        let ports = || self.clients.iter().filter(|(route, _)| matches!(route, Route::Port(_) | Route::Unencrypted(_)));
        if ports().count() >= PORTS_MAX
            && let Some(oldest) = ports().min_by_key(|(_, (last, _))| *last).map(|(route, _)| *route)
        {
            self.clients.remove(&oldest);
        }
    }
}

impl Clients {
    pub fn new(filter: Arc<Filter>, connect_timeout: Duration, tls: ClientConfig) -> Self {
        Self { filter, connect_timeout, tls, kept: Mutex::default() }
    }

    /// The client for a route.
    pub fn get(&self, route: Route) -> Result<Client, &'static str> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.uses += 1;
        let use_ = kept.uses;
        if let Some((last, client)) = kept.clients.get_mut(&route) {
            *last = use_;
            return Ok(client.clone());
        }
        let client = self.make(route).map_err(|_| "no client could be made")?;
        if matches!(route, Route::Port(_) | Route::Unencrypted(_)) {
            kept.make_room();
        }
        kept.clients.insert(route, (use_, client.clone()));
        Ok(client)
    }

    fn make(&self, route: Route) -> reqwest::Result<Client> {
        let filter = match route {
            Route::Unencrypted(_) => Arc::new(self.filter.unencrypted()),
            Route::Port(_) | Route::Instead(_) | Route::InsteadWithHost(_) => Arc::clone(&self.filter),
        };
        let target = match route {
            Route::Port(port) | Route::Unencrypted(port) => Target::Resolved { port },
            Route::Instead(address) | Route::InsteadWithHost(address) => Target::Fixed(address),
        };
        // The client offers what a TLS configuration of somebody else's making offers, and nothing by itself.
        let mut tls = self.tls.clone();
        tls.alpn_protocols = match route {
            Route::Port(_) | Route::Instead(_) => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            Route::Unencrypted(_) | Route::InsteadWithHost(_) => vec![b"http/1.1".to_vec()],
        };
        // Its own retries stay on: they cover only what a server says that it has not begun
        // (RFC 9113, section 8.7).
        #[expect(clippy::disallowed_methods, reason = "this is the one place that calls out")]
        Client::builder()
            .tls_backend_preconfigured(tls)
            .dns_resolver(GatedResolver { filter, target })
            .redirect(redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .user_agent(USER_AGENT)
            .connect_timeout(self.connect_timeout)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .http1_max_headers(HEADERS_MAX)
            .http2_max_header_list_size(HEADER_BYTES_MAX)
            .build()
    }
}

/// How TLS is spoken: the public roots and these, in PEM form.
///
/// # Errors
/// Where a certificate cannot be read, or there is none, naming the setting.
pub(super) fn tls_config(extra_ca_pem: Option<&[u8]>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(pem) = extra_ca_pem {
        let public = roots.len();
        for (number, certificate) in CertificateDer::pem_slice_iter(pem).enumerate() {
            certificate.ok().and_then(|certificate| roots.add(certificate).ok()).ok_or_else(|| {
                format!("GATEWAY_EXTRA_CA: certificate {} of the file cannot be read; PEM is expected", number + 1)
            })?;
        }
        if roots.len() == public {
            return Err("GATEWAY_EXTRA_CA: the file holds no certificate in PEM form".to_owned());
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be used: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients() -> Clients {
        let tls = tls_config(None).expect("TLS");
        Clients::new(Arc::new(Filter::new(Vec::new())), Duration::from_secs(1), tls)
    }

    fn kept(clients: &Clients) -> Vec<Route> {
        clients.kept.lock().expect("not poisoned").clients.keys().copied().collect()
    }

    #[test]
    fn the_port_that_was_not_called_for_longest_goes() {
        let clients = clients();
        let instead = Route::Instead(SocketAddr::from(([127, 0, 0, 1], 1)));
        clients.get(instead).expect("a client");
        for port in 1..=64 {
            clients.get(Route::Port(port)).expect("a client");
        }
        clients.get(Route::Port(1)).expect("a client");
        clients.get(Route::Port(1_000)).expect("a client");
        let kept = kept(&clients);
        assert_eq!(kept.len(), PORTS_MAX + 1);
        assert!(kept.contains(&instead) && kept.contains(&Route::Port(1)) && kept.contains(&Route::Port(1_000)));
        assert!(!kept.contains(&Route::Port(2)), "the one that was used least recently");
    }

    #[test]
    fn extra_certificates_that_are_none_are_refused() {
        for (wrong, said) in [
            ("", "no certificate"),
            ("hello", "no certificate"),
            ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no certificate"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "certificate 1"),
            ("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", "certificate 1"),
        ] {
            let problem = tls_config(Some(wrong.as_bytes())).expect_err(wrong);
            assert!(problem.starts_with("GATEWAY_EXTRA_CA: ") && problem.contains(said), "{problem}");
        }
    }
}
