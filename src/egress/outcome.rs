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
    let mut broken = None;
    for cause in causes(error) {
        if cause.is::<Forbidden>() {
            return (
                TransportError::Forbidden,
                "the destination's address is not public, and calling it is not allowed",
            );
        }
        if cause.is::<Unresolved>() {
            return (TransportError::Network, "the host name does not resolve");
        }
        if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
            return (TransportError::Network, describe_tls(tls));
        }
        broken = broken.or_else(|| cause.downcast_ref::<io::Error>().and_then(|error| describe_io(error.kind())));
    }
    if error.is_timeout() {
        return (TransportError::Timeout, "no answer came in time");
    }
    (TransportError::Network, broken.unwrap_or("the connection failed, or what came was no HTTP answer"))
}

/// The error and everything that it says it comes from.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let first: &(dyn Error + 'static) = error;
    std::iter::successors(Some(first), |cause| behind(*cause))
}

/// What an error comes from. An I/O error that wraps another one has it inside and not as its `source`: the
/// standard library leaves it out of the chain.
fn behind<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => cause.source(),
    }
}

fn describe_io(kind: io::ErrorKind) -> Option<&'static str> {
    match kind {
        io::ErrorKind::ConnectionRefused => Some("the connection was refused"),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Some("the connection was reset"),
        io::ErrorKind::UnexpectedEof => Some("the connection was closed before the answer had ended"),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Some("the host cannot be reached"),
        _ => None,
    }
}

fn describe_tls(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::InvalidCertificate(_) => "TLS: the server's certificate is not valid for it, or not trusted",
        _ => "TLS: the handshake failed",
    }
}
