//! `healthcheck`: for containers, which have no HTTP client but this binary.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use integrations_gateway::config::{self, arguments::ListenArguments};

use super::Failed;

/// How long the gateway may take for each step.
const TIMEOUT: Duration = Duration::from_secs(6);
/// As much of the answer as is read, in bytes.
const ANSWER_MAX: u64 = 16 * 1024;

pub(super) fn ask(arguments: &ListenArguments) -> Result<(), Failed> {
    let address = reachable(config::check_listen(arguments)?);
    let answer = ready(address)
        .map_err(|error| Failed::Otherwise(format!("the gateway at {address} does not answer: {error}")))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if head.starts_with("HTTP/1.1 200 ") {
        Ok(())
    } else {
        Err(Failed::Otherwise(format!("the gateway at {address} is not ready: {body}")))
    }
}

/// Where to call what listens on this address.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

fn ready(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    // `/readyz` stands at the root whatever the base path is.
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
