//! The one place that calls out, on real sockets.

#![expect(clippy::disallowed_methods, reason = "a server that drips needs a pace")]

use std::{
    io::Write as _,
    net::SocketAddr,
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
    net::{TcpListener, TcpStream},
};
use tracing::instrument::WithSubscriber as _;

use crate::support::vendor::{Reply, Vendor};

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

/// A server that answers every connection by this, and then does what `then` says.
async fn raw<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

async fn read_head(stream: &mut TcpStream) {
    let mut seen = Vec::new();
    while !seen.windows(4).any(|window| window == b"\r\n\r\n") {
        let mut byte = [0; 1];
        if stream.read(&mut byte).await.unwrap_or_default() == 0 {
            return;
        }
        seen.push(byte[0]);
    }
}

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
            read_head(&mut stream).await;
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
        read_head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await;
        // One byte at a time, for as long as somebody listens.
        let mut pace = tokio::time::interval(Duration::from_millis(50));
        while stream.write_all(b"x").await.is_ok() {
            pace.tick().await;
        }
    })
    .await;
    let hang = raw(|mut stream| async move {
        read_head(&mut stream).await;
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
        read_head(&mut stream).await;
        stream.set_zero_linger().expect("a socket option");
    })
    .await;
    let nonsense = raw(|mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(b"hello\r\n\r\n").await;
    })
    .await;
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        listener.local_addr().expect("an address")
    };
    let egress = egress("127.0.0.0/8", "", None);
    for address in [reset, nonsense, nobody] {
        let none = call(&egress, &format!("http://{address}/"), PATIENT, 100).await.expect_err("no answer");
        assert_eq!(none.error, TransportError::Network, "{}", none.detail);
    }
    let unknown = call(&egress, "http://no-such-host.invalid/", PATIENT, 100).await.expect_err("no answer");
    assert_eq!((unknown.error, unknown.detail.as_str()), (TransportError::Network, "the host name does not resolve"));
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
    assert!(none.error == TransportError::Network && none.detail.starts_with("TLS"), "{}", none.detail);
    let everything = format!("*={}", vendor.address);
    let other_name = egress("127.0.0.0/8", &everything, ca.as_deref());
    let none = call(&other_name, "https://other.example.com/", PATIENT, 100).await.expect_err("no answer");
    assert!(none.detail.starts_with("TLS"), "{}", none.detail);
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

#[tokio::test(flavor = "multi_thread")]
async fn what_a_call_carries_is_neither_logged_nor_told() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    let vendor = Vendor::plain().await;
    let egress = egress("127.0.0.0/8", "", None);
    let nobody = "http://127.0.0.1:1";
    let told = async {
        let mut told = String::new();
        for base in [
            format!("http://{}", vendor.address),
            nobody.to_owned(),
            "http://10.0.0.1".to_owned(),
            "http://x.invalid".to_owned(),
        ] {
            let outcome = call(&egress, &format!("{base}/path-secret?q=query-secret"), PATIENT, 100).await;
            if let Err(none) = outcome {
                told += &none.detail;
            }
        }
        told
    }
    .with_subscriber(subscriber)
    .await;
    let logged = String::from_utf8_lossy(&lines.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned();
    assert!(logged.contains("http://127.0.0.1:1"), "the destination is logged: {logged}");
    for secret in SECRETS {
        assert!(!logged.contains(secret) && !told.contains(secret), "{secret}");
    }
    let seen = &vendor.requests()[0];
    assert!(seen.path.contains("query-secret") && seen.body == "body-secret", "the vendor gets it all");
}
