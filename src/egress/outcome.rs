//! What became of a call that brought no answer, in words that hold nothing of the request.

use std::{error::Error, io, time::Duration};

use rustls::CertificateError;

use super::resolver::{Forbidden, Unresolved};
use crate::domain::exchange::{NoAnswer, TransportError};

const CUT_SHORT: &str = "the connection was closed before the answer had ended";

/// Why an address is not called, in words for an operator.
pub(super) const NOT_PUBLIC: &str =
    "calling this address is not allowed: it is not public, or http would go there unencrypted";

/// Reads an error of the client. Its own text is not used: it may hold the address with its query.
pub(super) fn no_answer(error: &reqwest::Error, latency: Duration) -> NoAnswer {
    let (kind, detail) = describe(error);
    NoAnswer { error: kind, detail: detail.to_owned(), reached: !error.is_connect(), latency }
}

fn describe(error: &reqwest::Error) -> (TransportError, &'static str) {
    let mut broken = None;
    for cause in causes(error) {
        if cause.is::<Forbidden>() {
            return (TransportError::Forbidden, NOT_PUBLIC);
        }
        if cause.is::<Unresolved>() {
            return (TransportError::Network, "the host name does not resolve");
        }
        if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
            return (TransportError::Network, describe_tls(tls));
        }
        let io = || cause.downcast_ref::<io::Error>().and_then(|error| describe_io(error.kind()));
        broken = broken.or_else(|| cause.downcast_ref::<hyper::Error>().and_then(describe_http)).or_else(io);
    }
    if error.is_timeout() {
        return (TransportError::Timeout, "no answer came in time");
    }
    let unknown = if error.is_decode() {
        "the answer's body cannot be unpacked, or ended early"
    } else {
        "the connection failed, or what came was no HTTP answer"
    };
    (TransportError::Network, broken.unwrap_or(unknown))
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
        io::ErrorKind::UnexpectedEof => Some(CUT_SHORT),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Some("the host cannot be reached"),
        _ => None,
    }
}

fn describe_http(error: &hyper::Error) -> Option<&'static str> {
    if error.is_incomplete_message() {
        Some(CUT_SHORT)
    } else if error.is_parse_too_large() {
        Some("the answer's headers are too many or too long")
    } else if error.is_parse() {
        Some("what came was no HTTP answer")
    } else {
        None
    }
}

fn describe_tls(error: &rustls::Error) -> &'static str {
    use CertificateError as Problem;
    match error {
        rustls::Error::InvalidCertificate(problem) => match problem {
            Problem::UnknownIssuer => "TLS: the server's certificate is not signed by a trusted root",
            Problem::NotValidForName | Problem::NotValidForNameContext { .. } => {
                "TLS: the server's certificate is for another name"
            }
            Problem::Expired | Problem::ExpiredContext { .. } => "TLS: the server's certificate has expired",
            Problem::NotValidYet | Problem::NotValidYetContext { .. } => {
                "TLS: the server's certificate is not valid yet"
            }
            _ => "TLS: the server's certificate is not valid",
        },
        _ => "TLS: the handshake failed",
    }
}
