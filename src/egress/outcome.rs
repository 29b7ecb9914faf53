//! What became of a call that brought no answer, in words that hold nothing of the request.

use std::{error::Error, io, time::Duration};

use super::resolver::{Forbidden, Unresolved};
use crate::domain::exchange::{NoAnswer, TransportError};

/// Reads an error of the client. Its own text is not used: it may hold the address with its query.
pub(super) fn no_answer(error: &reqwest::Error, latency: Duration) -> NoAnswer {
    let (kind, detail) = describe(error);
    NoAnswer { error: kind, detail: detail.to_owned(), latency }
}

fn describe(error: &reqwest::Error) -> (TransportError, &'static str) {
    let mut source: Option<&(dyn Error + 'static)> = Some(error);
    let mut refused = None;
    while let Some(inner) = source {
        if inner.is::<Forbidden>() {
            return (TransportError::Forbidden, "the destination's address is not public, and calling it is not allowed");
        }
        if inner.is::<Unresolved>() {
            return (TransportError::Network, "the host name does not resolve");
        }
        if let Some(tls) = inner.downcast_ref::<rustls::Error>() {
            return (TransportError::Network, describe_tls(tls));
        }
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            // An I/O error may wrap one of the others.
            if let Some(tls) = io.get_ref().and_then(|wrapped| wrapped.downcast_ref::<rustls::Error>()) {
                return (TransportError::Network, describe_tls(tls));
            }
            refused = refused.or(match io.kind() {
                io::ErrorKind::ConnectionRefused => Some("the connection was refused"),
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Some("the connection was reset"),
                io::ErrorKind::UnexpectedEof => Some("the connection was closed before the answer had ended"),
                io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Some("the host cannot be reached"),
                _ => None,
            });
        }
        source = inner.source();
    }
    if error.is_timeout() {
        return (TransportError::Timeout, "no answer came in time");
    }
    (TransportError::Network, refused.unwrap_or("the connection failed, or what came was no HTTP answer"))
}

fn describe_tls(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::InvalidCertificate(_) => "TLS: the server's certificate is not valid for it, or not trusted",
        _ => "TLS: the handshake failed",
    }
}
