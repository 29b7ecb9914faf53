//! The call itself.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderValue, header};
use url::{Host, Url};

use super::{
    clients::{Clients, HEADER_BYTES_MAX, Route, tls_config},
    filter::Filter,
    outcome::{NOT_PUBLIC, no_answer},
    rules::{AllowedDestination, ConnectTo},
};
use crate::domain::exchange::{Answer, NoAnswer, OutboundRequest, TransportError};

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
    clients: Clients,
}

impl Egress {
    /// Prepares calling out; nothing is called yet.
    ///
    /// # Errors
    /// Where the extra certificates cannot be read, naming the setting.
    pub fn new(settings: EgressSettings) -> Result<Self, String> {
        let tls = tls_config(settings.extra_ca_pem.as_deref())?;
        let filter = Arc::new(Filter::new(settings.allowed));
        let clients = Clients::new(Arc::clone(&filter), settings.connect_timeout, tls);
        Ok(Self { filter, connect_to: settings.connect_to, clients })
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
                reached: true,
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
        let refused = |error, detail: &str| NoAnswer {
            error,
            detail: detail.to_owned(),
            reached: false,
            latency: started.elapsed(),
        };
        let mut url = request.url;
        let mut headers = request.headers;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(refused(TransportError::Forbidden, "only https and http are called"));
        }
        let route = self.route(&mut url, &mut headers).map_err(|detail| refused(TransportError::Forbidden, detail))?;
        let client = self.clients.get(route).map_err(|detail| refused(TransportError::Network, detail))?;
        // Any of them may carry a credential: HTTP/2 then keeps them out of the tables that later headers are
        // compressed by, and their `Debug` shows nothing.
        headers.values_mut().for_each(|value| value.set_sensitive(true));
        let mut response = client
            .request(request.method, url)
            .headers(headers)
            .body(request.body.expose().to_vec())
            .send()
            .await
            .map_err(|error| no_answer(&error, started.elapsed()))?;
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        if header_bytes(&headers) > HEADER_BYTES_MAX as usize {
            let refused = refused(TransportError::Network, "the answer's headers are longer than 64 KiB");
            return Err(NoAnswer { reached: true, ..refused });
        }
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
    fn route(&self, url: &mut Url, headers: &mut HeaderMap) -> Result<Route, &'static str> {
        let port = url.port_or_known_default().ok_or("the address has no port")?;
        let host = url.host_str().ok_or("the address has no host")?.to_owned();
        let literal = match url.host() {
            Some(Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
            Some(Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
            Some(Host::Domain(_)) | None => None,
        };
        let encrypted = url.scheme() == "https";
        let admits =
            |address| if encrypted { self.filter.admits(address) } else { self.filter.unencrypted().admits(address) };
        let Some(rule) = self.connect_to.iter().find(|rule| rule.fits(&host, port)) else {
            if literal.is_some_and(|ip| !admits(SocketAddr::new(ip, port))) {
                return Err(NOT_PUBLIC);
            }
            return Ok(if encrypted { Route::Port(port) } else { Route::Unencrypted(port) });
        };
        if !admits(rule.to) {
            return Err(NOT_PUBLIC);
        }
        if literal.is_none() && url.port().is_none() {
            return Ok(Route::Instead(rule.to));
        }
        // The dialler lets a port that stands in the URL win over the resolver's, and a literal address over
        // both. So they leave the URL, and the Host header keeps them.
        let authority = url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
        let authority = HeaderValue::try_from(authority).map_err(|_| "the address has no usable host")?;
        headers.entry(header::HOST).or_insert(authority);
        if literal.is_some() {
            if url.scheme() == "https" {
                return Err("an https address with a literal IP cannot be dialled elsewhere (GATEWAY_CONNECT_TO)");
            }
            url.set_ip_host(rule.to.ip()).map_err(|()| "the address cannot be changed")?;
            url.set_port(Some(rule.to.port())).map_err(|()| "the address cannot be changed")?;
        } else {
            url.set_port(None).map_err(|()| "the address cannot be changed")?;
        }
        Ok(Route::InsteadWithHost(rule.to))
    }
}

fn header_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

#[expect(clippy::disallowed_methods, reason = "a latency is measured by the monotonic clock, which no test replaces")]
fn now() -> Instant {
    Instant::now()
}
