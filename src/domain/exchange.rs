//! One call to a vendor and its answer, as plain data: what `connector` builds and reads, and what
//! `egress` carries.

use std::time::Duration;

use super::{secret::SecretBytes, vocabulary::vocabulary};

/// A request on its way out. `Debug` shows neither the address's path and query nor headers nor body,
/// since any of them may carry a credential.
#[derive(Clone)]
pub struct OutboundRequest {
    pub method: http::Method,
    pub url: url::Url,
    pub headers: http::HeaderMap,
    pub body: SecretBytes,
}

impl std::fmt::Debug for OutboundRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.destination())
    }
}

impl OutboundRequest {
    /// Scheme, host and port: the part of the address that may be logged.
    #[must_use]
    pub fn destination(&self) -> String {
        self.url.origin().ascii_serialization()
    }
}

/// What the vendor answered. The body is cut at the reader's limit.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: Vec<u8>,
    /// The body was longer than the limit and its end was not read.
    pub truncated: bool,
    /// From the start of the call to the end of the body.
    pub latency: Duration,
}

vocabulary! {
    /// Why no answer came.
    pub enum TransportError {
        /// The name did not resolve, the connection was refused or broke, TLS failed, or the answer was no HTTP.
        Network = "network_error",
        /// The whole call took longer than its limit.
        Timeout = "timeout",
        /// The address is not public and the configuration does not allow it.
        Forbidden = "destination_forbidden",
    }
}

/// A call that brought no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoAnswer {
    pub error: TransportError,
    /// In words for an operator; without path, query, headers or body of the request.
    pub detail: String,
    /// The request may have reached the vendor, who may have acted on it.
    pub reached: bool,
    pub latency: Duration,
}
