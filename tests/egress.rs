//! The one place that calls out, on real sockets.

#![expect(clippy::disallowed_methods, reason = "a server that drips needs a pace")]

mod servers;

use std::{
    io::Write as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{HeaderMap, Method};
use integrations_gateway::{
    domain::{
        exchange::{Answer, NoAnswer, OutboundRequest, TransportError},
        secret::SecretBytes,
    },
    egress::{AllowedDestination, ConnectTo, Egress, EgressSettings, Limits},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::support::vendor::{Reply, Vendor};
use servers::{raw, read_request, two_protocols};

const SECRETS: [&str; 4] = ["path-secret", "query-secret", "header-secret", "body-secret"];

fn egress(allowed: &str, connect_to: &str, ca_pem: Option<&str>) -> Egress {
    Egress::new(EgressSettings {
        allowed: AllowedDestination::parse_list(allowed).expect("ranges"),
        connect_to: ConnectTo::parse_list(connect_to).expect("rules"),
        extra_ca_pem: ca_pem.map(|pem| pem.as_bytes().to_vec()),
        connect_timeout: Duration::from_secs(5),
    })
    .expect("an egress")
}

fn request(url: &str) -> OutboundRequest {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", "Bearer header-secret".parse().expect("a header"));
    OutboundRequest {
        method: Method::POST,
        url: url.parse().expect("a URL"),
        headers,
        body: SecretBytes::new(b"body-secret".to_vec()),
    }
}

async fn call(egress: &Egress, url: &str, timeout: Duration, max_body: usize) -> Result<Answer, NoAnswer> {
    egress.send(request(url), Limits { timeout, max_body }).await
}

const PATIENT: Duration = Duration::from_secs(15);
const SHORT: Duration = Duration::from_millis(300);

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_answers() {
    let vendor = Vendor::plain().await;
    vendor.answer(|_| Reply::status(302).header("location", "http://169.254.169.254/"));
    let url = format!("http://{}/x", vendor.address);
    let answer = call(&egress("127.0.0.0/8", "", None), &url, PATIENT, 100).await.expect("an answer");
    assert_eq!(answer.status, 302);
    assert_eq!(vendor.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_cut_at_the_limit() {
    let vendor = Vendor::plain().await;
    vendor.answer(|_| Reply { body: "x".repeat(10_000_000), ..Reply::status(200) });
    let url = format!("http://{}/", vendor.address);
    let answer = call(&egress("127.0.0.0/8", "", None), &url, PATIENT, 1_000).await.expect("an answer");
    assert!(answer.truncated && answer.body.len() == 1_000);
    vendor.answer(|_| Reply { body: "x".repeat(1_000), ..Reply::status(200) });
    let whole = call(&egress("127.0.0.0/8", "", None), &url, PATIENT, 1_000).await.expect("an answer");
    assert!(!whole.truncated && whole.body.len() == 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_unpacks_to_more_is_cut_too() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&vec![0; 50_000_000]).expect("packed");
    let packed = Arc::new(gzip.finish().expect("packed"));
    let address = raw(move |mut stream| {
        let packed = Arc::clone(&packed);
        async move {
            read_request(&mut stream).await;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", packed.len());
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(&packed).await;
        }
    })
    .await;
    let egress = egress("127.0.0.0/8", "", None);
    let answer = call(&egress, &format!("http://{address}/"), PATIENT, 5_000).await.expect("an answer");
    assert!(answer.truncated && answer.body.len() == 5_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_servers_are_given_up() {
    let drip = raw(|mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await;
        // One byte at a time, for as long as somebody listens.
        let mut pace = tokio::time::interval(Duration::from_millis(50));
        while stream.write_all(b"x").await.is_ok() {
            pace.tick().await;
        }
    })
    .await;
    let hang = raw(|mut stream| async move {
        read_request(&mut stream).await;
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    })
    .await;
    let egress = egress("127.0.0.0/8", "", None);
    for address in [drip, hang] {
        let none = call(&egress, &format!("http://{address}/"), SHORT, 10_000).await.expect_err("no answer");
        assert_eq!(none.error, TransportError::Timeout);
        assert!(none.latency >= SHORT && none.latency < PATIENT);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_connections_are_network_errors() {
    let reset = raw(|mut stream| async move {
        read_request(&mut stream).await;
        stream.set_zero_linger().expect("a socket option");
    })
    .await;
    let nonsense = raw(|mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(b"hello\r\n\r\n").await;
    })
    .await;
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        listener.local_addr().expect("an address")
    };
    let short = raw(|mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello").await;
    })
    .await;
    let no_gzip = raw(|mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 5\r\n\r\nhello").await;
    })
    .await;
    let egress = egress("127.0.0.0/8", "", None);
    for (address, detail) in [
        (reset, "the connection was reset"),
        (nonsense, "what came was no HTTP answer"),
        (nobody, "the connection was refused"),
        (short, "the connection was closed before the answer had ended"),
        (no_gzip, "the answer's body cannot be unpacked, or ended early"),
    ] {
        let none = call(&egress, &format!("http://{address}/"), PATIENT, 100).await.expect_err("no answer");
        assert_eq!((none.error, none.detail.as_str()), (TransportError::Network, detail));
    }
    let unknown = call(&egress, "http://no-such-host.invalid/", PATIENT, 100).await.expect_err("no answer");
    assert_eq!((unknown.error, unknown.detail.as_str()), (TransportError::Network, "the host name does not resolve"));
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_without_end_are_no_answer() {
    // Within the parser's bounds but more than 64 KiB; more headers than are taken; more bytes than are buffered.
    for (count, length) in [(20, 4_000), (101, 1), (90, 10_000)] {
        let address = raw(move |mut stream| async move {
            read_request(&mut stream).await;
            let header = format!("x: {}\r\n", "y".repeat(length));
            let head = format!("HTTP/1.1 200 OK\r\n{}content-length: 0\r\n\r\n", header.repeat(count));
            let _ = stream.write_all(head.as_bytes()).await;
        })
        .await;
        let none = call(&egress("127.0.0.0/8", "", None), &format!("http://{address}/"), PATIENT, 100).await;
        let none = none.expect_err("no answer");
        assert_eq!(none.error, TransportError::Network);
        assert!(none.detail.starts_with("the answer's headers are "), "{count} of {length}: {}", none.detail);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_that_was_not_asked_for() {
    let vendor = Vendor::plain().await;
    vendor.answer(|_| Reply::status(200).header("set-cookie", "a=b; Path=/"));
    let egress = egress("127.0.0.0/8", "", None);
    let url = format!("http://{}/x", vendor.address);
    for _ in 0..2 {
        call(&egress, &url, PATIENT, 100).await.expect("an answer");
    }
    let mut with_agent = request(&url);
    with_agent.headers.insert("user-agent", "own/1".parse().expect("a header"));
    egress.send(with_agent, Limits { timeout: PATIENT, max_body: 100 }).await.expect("an answer");
    let seen = vendor.requests();
    let agent = concat!("integrations-gateway/", env!("CARGO_PKG_VERSION"));
    assert_eq!(seen.iter().map(|seen| seen.header("user-agent")).collect::<Vec<_>>(), [agent, agent, "own/1"]);
    let mut names: Vec<&str> = seen[1].headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["accept", "accept-encoding", "authorization", "content-length", "host", "user-agent"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_is_spoken_where_the_vendor_speaks_it() {
    let (address, ca) = two_protocols("api.example.com").await;
    let egress = egress("127.0.0.0/8", &format!("*={address}"), Some(&ca));
    for (url, told) in [
        ("https://api.example.com/", r#"HTTP/2.0 Some("api.example.com") None"#),
        // A port that the URL cannot keep is told by HTTP/1.1, which has one place for it only.
        ("https://api.example.com:8443/", r#"HTTP/1.1 None Some("api.example.com:8443")"#),
    ] {
        let answer = call(&egress, url, PATIENT, 1_000).await.expect("an answer");
        assert_eq!(String::from_utf8_lossy(&answer.body), told);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connect_to_keeps_the_name_and_checks_it() {
    let vendor = Vendor::tls(&["api.example.com"]).await;
    let ca = vendor.ca_pem.clone();
    let rules = vendor.connect_to();
    let trusting = egress("127.0.0.0/8", &rules, ca.as_deref());
    let answer = call(&trusting, "https://api.example.com/x?y=1", PATIENT, 100).await.expect("an answer");
    assert_eq!(answer.status, 204);
    let seen = &vendor.requests()[0];
    assert_eq!((seen.path.as_str(), seen.header("host")), ("/x?y=1", "api.example.com"));

    let untrusting = egress("127.0.0.0/8", &rules, None);
    let none = call(&untrusting, "https://api.example.com/", PATIENT, 100).await.expect_err("no answer");
    let told = "TLS: the server's certificate is not signed by a trusted root";
    assert_eq!((none.error, none.detail.as_str()), (TransportError::Network, told));
    let everything = format!("*={}", vendor.address);
    let other_name = egress("127.0.0.0/8", &everything, ca.as_deref());
    let none = call(&other_name, "https://other.example.com/", PATIENT, 100).await.expect_err("no answer");
    assert_eq!(none.detail, "TLS: the server's certificate is for another name");
    let plain = Vendor::plain().await;
    let no_tls = egress("127.0.0.0/8", &format!("*={}", plain.address), None);
    let none = call(&no_tls, "https://api.example.com/", PATIENT, 100).await.expect_err("no answer");
    assert_eq!(none.detail, "TLS: the handshake failed");
    let not_allowed = egress("", &rules, ca.as_deref());
    let none = call(&not_allowed, "https://api.example.com/", PATIENT, 100).await.expect_err("no answer");
    assert_eq!(none.error, TransportError::Forbidden, "the address that is dialled is what counts");
}

#[tokio::test(flavor = "multi_thread")]
async fn connect_to_takes_ports_and_literal_addresses_too() {
    let vendor = Vendor::plain().await;
    let egress = egress("127.0.0.0/8", &format!("*={}", vendor.address), None);
    for (url, host) in [
        ("http://receiver.example:9000/a", "receiver.example:9000"),
        ("http://receiver.example/a", "receiver.example"),
        ("http://192.0.2.7:9000/a", "192.0.2.7:9000"),
    ] {
        assert_eq!(call(&egress, url, PATIENT, 100).await.expect("an answer").status, 204);
        assert_eq!(vendor.requests().last().expect("a request").header("host"), host);
    }
    let not_allowed = self::egress("", &format!("*={}", vendor.address), None);
    for url in ["http://192.0.2.7:9000/a", "http://1.1.1.1/a", "http://receiver.example:9000/a"] {
        let none = call(&not_allowed, url, PATIENT, 100).await.expect_err("no answer");
        assert_eq!(none.error, TransportError::Forbidden, "{url}");
    }
    assert_eq!(vendor.requests().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_are_not_public_are_not_called() {
    let vendor = Vendor::plain().await;
    let port = vendor.address.port();
    let closed = egress("", "", None);
    for host in [
        "127.0.0.1",
        "localhost",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "0177.0.0.1",
        "0x7f.1",
        "[::1]",
        "169.254.169.254",
        "0.0.0.0",
    ] {
        let none = call(&closed, &format!("http://{host}:{port}/"), PATIENT, 100).await.expect_err("no answer");
        assert_eq!(none.error, TransportError::Forbidden, "{host}: {}", none.detail);
    }
    let one_port = egress(&format!("127.0.0.1/32:{port},::1"), "", None);
    for host in ["127.0.0.1", "localhost"] {
        let answer = call(&one_port, &format!("http://{host}:{port}/"), PATIENT, 100).await;
        assert_eq!(answer.expect("an answer").status, 204, "{host}");
    }
    let other = Vendor::plain().await;
    for host in ["127.0.0.1", "localhost"] {
        let none = call(&one_port, &format!("http://{host}:{}/", other.address.port()), PATIENT, 100).await;
        assert_eq!(none.expect_err("no answer").error, TransportError::Forbidden, "another port: {host}");
    }
    assert!(other.requests().is_empty());
    assert_eq!(vendor.requests().len(), 2);
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// On one thread, so that what the tasks behind a connection log is caught too.
#[tokio::test]
async fn what_a_call_carries_is_neither_logged_nor_told() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    // While a process has one subscriber only, a line that another thread, which has none, is first to reach is
    // switched off for all. So there are two.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let vendor = Vendor::plain().await;
    let (secure, ca) = two_protocols("api.example.com").await;
    let egress = egress("127.0.0.0/8", &format!("api.example.com:443={secure}"), Some(&ca));
    let caught = tracing::subscriber::set_default(subscriber);
    let mut told = Vec::new();
    for base in [
        &format!("http://{}", vendor.address),
        "https://api.example.com",
        "http://127.0.0.1:1",
        "http://10.0.0.1",
        "http://x.invalid",
        "ftp://127.0.0.1",
    ] {
        match call(&egress, &format!("{base}/path-secret?q=query-secret"), PATIENT, 100).await {
            Ok(answer) => assert_eq!(answer.status, if base.starts_with("https") { 200 } else { 204 }),
            Err(none) => told.push(none),
        }
    }
    drop(caught);
    let logged = String::from_utf8_lossy(&lines.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned();
    for expected in [
        "destination=http://127.0.0.1:1 ",
        "https://api.example.com",
        "status=204",
        "hyper_util::",
        "LiteralNeverIndexed",
    ] {
        assert!(logged.contains(expected), "{expected} is logged");
    }
    let told = format!("{told:?}");
    let leak = told.lines().chain(logged.lines()).find(|line| SECRETS.iter().any(|secret| line.contains(secret)));
    assert_eq!(leak, None);
    let seen = &vendor.requests()[0];
    assert!(seen.path.contains("query-secret") && seen.body == "body-secret", "the vendor gets it all");
    assert_eq!(seen.header("authorization"), "Bearer header-secret");
}
