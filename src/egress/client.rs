//! The call itself.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use http::{HeaderValue, header};
use reqwest::{Client, redirect};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use url::{Host, Url};

use super::{
    filter::Filter,
    outcome::no_answer,
    resolver::{GatedResolver, Target},
    rules::{AllowedDestination, ConnectTo},
};
use crate::domain::exchange::{Answer, NoAnswer, OutboundRequest, TransportError};

/// Idle connections that are kept for each host, and for how long.
const IDLE_PER_HOST: usize = 4;
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Clients that are kept: one for each port that is called.
const CLIENTS_MAX: usize = 64;
/// Headers that an answer may have.
const HEADERS_MAX: usize = 100;

const USER_AGENT: &str = concat!("integrations-gateway/", env!("CARGO_PKG_VERSION"));

/// How the process calls out.
#[derive(Clone, Debug)]
pub struct EgressSettings {
    pub allowed: Vec<AllowedDestination>,
    pub connect_to: Vec<ConnectTo>,
    /// Certificates in PEM form, trusted besides the public ones.
    pub extra_ca_pem: Option<Vec<u8>>,
    /// How long a connection may take to stand.
    pub connect_timeout: Duration,
}

/// Bounds of one call.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For the whole call: resolving, connecting, sending, and reading the answer to its end.
    pub timeout: Duration,
    /// How much of the answer's body is read, in bytes after unpacking; the rest is not.
    pub max_body: usize,
}

/// The way out.
pub struct Egress {
    filter: Arc<Filter>,
    connect_to: Vec<ConnectTo>,
    connect_timeout: Duration,
    tls: ClientConfig,
    /// By where they lead. A resolver is not told the port, and the gate must know it; so each port has a
    /// client of its own, and so has each address that is dialled instead.
    clients: Mutex<HashMap<Route, Client>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Route {
    Port(u16),
    Instead(SocketAddr),
}

impl Egress {
    /// Prepares calling out; nothing is called yet.
    ///
    /// # Errors
    /// Where the extra certificates cannot be read, naming the setting.
    pub fn new(settings: EgressSettings) -> Result<Self, String> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        for certificate in CertificateDer::pem_slice_iter(settings.extra_ca_pem.as_deref().unwrap_or_default()) {
            certificate
                .ok()
                .and_then(|certificate| roots.add(certificate).ok())
                .ok_or("GATEWAY_EXTRA_CA: a certificate in the file cannot be read; PEM is expected")?;
        }
        let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS cannot be used: {error}"))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            filter: Arc::new(Filter::new(settings.allowed)),
            connect_to: settings.connect_to,
            connect_timeout: settings.connect_timeout,
            tls,
            clients: Mutex::default(),
        })
    }

    /// Makes one call. An answer is an answer whatever its status; redirects are not followed.
    ///
    /// # Errors
    /// [`NoAnswer`] where none came, in words that hold nothing of the request.
    pub async fn send(&self, request: OutboundRequest, limits: Limits) -> Result<Answer, NoAnswer> {
        let (method, destination) = (request.method.clone(), request.destination());
        let started = now();
        let outcome = match tokio::time::timeout(limits.timeout, self.call(request, limits, started)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(NoAnswer {
                error: TransportError::Timeout,
                detail: "no answer came in time".to_owned(),
                latency: started.elapsed(),
            }),
        };
        match &outcome {
            Ok(answer) => {
                let latency_ms = answer.latency.as_millis();
                tracing::debug!(target: "egress", %method, %destination, status = answer.status, latency_ms, bytes = answer.body.len());
            }
            Err(none) => {
                let latency_ms = none.latency.as_millis();
                tracing::warn!(target: "egress", %method, %destination, error = %none.error, detail = %none.detail, latency_ms);
            }
        }
        outcome
    }

    async fn call(&self, request: OutboundRequest, limits: Limits, started: Instant) -> Result<Answer, NoAnswer> {
        let refused = |error, detail: &str| NoAnswer { error, detail: detail.to_owned(), latency: started.elapsed() };
        let mut url = request.url;
        let mut headers = request.headers;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(refused(TransportError::Forbidden, "only https and http are called"));
        }
        let route = self.route(&mut url, &mut headers).map_err(|detail| refused(TransportError::Forbidden, detail))?;
        let client = self.client(route).map_err(|detail| refused(TransportError::Network, detail))?;
        let mut response = client
            .request(request.method, url)
            .headers(headers)
            .body(request.body.expose().to_vec())
            .send()
            .await
            .map_err(|error| no_answer(&error, started.elapsed()))?;
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        let mut body = Vec::new();
        let mut truncated = false;
        while let Some(chunk) = response.chunk().await.map_err(|error| no_answer(&error, started.elapsed()))? {
            let room = limits.max_body - body.len();
            if chunk.len() > room {
                body.extend_from_slice(&chunk[..room]);
                truncated = true;
                break;
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, headers, body, truncated, latency: started.elapsed() })
    }

    /// Where the call goes. Literal addresses never come to a resolver, so they pass the gate here.
    fn route(&self, url: &mut Url, headers: &mut http::HeaderMap) -> Result<Route, &'static str> {
        const NOT_PUBLIC: &str = "the destination's address is not public, and calling it is not allowed";
        let port = url.port_or_known_default().ok_or("the address has no port")?;
        let host = url.host_str().ok_or("the address has no host")?.to_owned();
        let literal = match url.host() {
            Some(Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
            Some(Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
            Some(Host::Domain(_)) | None => None,
        };
        let Some(rule) = self.connect_to.iter().find(|rule| rule.fits(&host, port)) else {
            if literal.is_some_and(|ip| !self.filter.admits(SocketAddr::new(ip, port))) {
                return Err(NOT_PUBLIC);
            }
            return Ok(Route::Port(port));
        };
        if !self.filter.admits(rule.to) {
            return Err(NOT_PUBLIC);
        }
        // The dialler lets a port that stands in the URL win over the resolver's, and a literal address over
        // both. So they leave the URL, and the Host header keeps them.
        if literal.is_some() || url.port().is_some() {
            let authority = url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
            let authority = HeaderValue::try_from(authority).map_err(|_| "the address has no usable host")?;
            headers.entry(header::HOST).or_insert(authority);
        }
        if literal.is_some() {
            if url.scheme() == "https" {
                return Err("an https address with a literal IP cannot be dialled elsewhere (GATEWAY_CONNECT_TO)");
            }
            url.set_ip_host(rule.to.ip()).map_err(|()| "the address cannot be changed")?;
            url.set_port(Some(rule.to.port())).map_err(|()| "the address cannot be changed")?;
        } else {
            url.set_port(None).map_err(|()| "the address cannot be changed")?;
        }
        Ok(Route::Instead(rule.to))
    }

    fn client(&self, route: Route) -> Result<Client, &'static str> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&route) {
            return Ok(client.clone());
        }
        let target = match route {
            Route::Port(port) => Target::Resolved { port },
            Route::Instead(address) => Target::Fixed(address),
        };
        #[expect(clippy::disallowed_methods, reason = "this is the one place that calls out")]
        let client = Client::builder()
            .tls_backend_preconfigured(self.tls.clone())
            .dns_resolver(GatedResolver { filter: Arc::clone(&self.filter), target })
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .user_agent(USER_AGENT)
            .connect_timeout(self.connect_timeout)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .http1_max_headers(HEADERS_MAX)
            .build()
            .map_err(|_| "no client could be made")?;
        if clients.len() >= CLIENTS_MAX {
            // Dropping all of them costs a few handshakes; which ports are called is in operators' hands.
            clients.clear();
        }
        clients.insert(route, client.clone());
        Ok(client)
    }
}

#[expect(clippy::disallowed_methods, reason = "a latency is measured by the monotonic clock, which no test replaces")]
fn now() -> Instant {
    Instant::now()
}
