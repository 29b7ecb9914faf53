//! What a list of 20 connections costs over HTTP, against the same rows read straight from the database in
//! the same process; and what a start costs. `make bench` runs it; it prints ratios and bounds, and fails
//! where a bound of this machine-independent kind (start, memory) is passed.

#![expect(clippy::disallowed_methods, reason = "a bench measures real time, as a client of the gateway")]

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{TimeZone as _, Utc};
use integrations_gateway::{
    domain::{
        activity::{ActivityAction, ActivityOutcome},
        clock::Entropy,
        connector::AuthFlow,
        id::{OperatorId, SiteId},
        page::PageRequest,
        query::{ConnectionFilter, ConnectionOrderField, Order, OrderDirection},
        test_report::{TestOutcome, TestProof, TestReport},
    },
    store::{self, DatabaseSettings, Db, NewActivity, SealedCredential, connection::NewConnection},
};

const ROWS: usize = 20;
const ROUNDS: u32 = 3_000;
const QUERY: &str = "{ connections(first: 20) { nodes { id databaseId displayName state authFlow vendorAccountId scopesGranted lastDeliveryAt createdAt updatedAt } } }";

/// The bounds of the project: start to ready, and resident memory after it.
const READY_MAX: Duration = Duration::from_millis(100);
const RESIDENT_MAX_KIB: u64 = 25 * 1024;

struct Counter(std::sync::atomic::AtomicU64);

impl Entropy for Counter {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let n = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_be_bytes();
            chunk.copy_from_slice(&n[..chunk.len()]);
        }
    }
}

/// A gateway in a process of its own.
struct Gateway {
    child: Child,
    url: String,
    ready_after: Duration,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Gateway {
    fn start(directory: &Path) -> Self {
        let started = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_integrations-gateway"))
            .args(["serve", "--dev"])
            .env_clear()
            .env("DATABASE_URL", format!("sqlite:{}", directory.join("gateway.db").display()))
            .env("GATEWAY_LISTEN", "127.0.0.1:0")
            .env("GATEWAY_LOG", "warn")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("the address");
        let url = line.trim().strip_prefix("listening on ").expect("the address").to_owned();
        let address = url.trim_start_matches("http://").to_owned();
        let head = http(&address, "GET /readyz HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        Self { child, url, ready_after: started.elapsed() }
    }

    fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("procfs");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
        line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number")
    }

    /// User and system time so far. The unit of `/proc/PID/stat` is 10 ms on every Linux that Rust supports.
    fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("procfs");
        let after_name = stat.rsplit(')').next().expect("fields");
        let ticks: u64 =
            after_name.split_whitespace().skip(11).take(2).map(|n| n.parse::<u64>().expect("a number")).sum();
        Duration::from_millis(ticks * 10)
    }
}

fn http(address: &str, request: &str) -> String {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(address).expect("a connection");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

async fn fill(db: &Db, site: SiteId) {
    let now = Utc.with_ymd_and_hms(2030, 1, 1, 0, 0, 0).single().expect("a date");
    for n in 0..ROWS {
        let new = NewConnection {
            connector_slug: "webhook_generic".into(),
            connector_name: "Outbound webhook".into(),
            display_name: format!("Connection {n}"),
            auth_flow: AuthFlow::SignedToken,
            vendor_account_id: Some(format!("account-{n}")),
            vendor_account_name: None,
            scopes_granted: vec!["read".into(), "write".into()],
            configuration: vec![("url".into(), "https://example.com/".into())],
            destination_label: Some("POST /".into()),
            ordered_delivery: false,
            expires_at: None,
            test: TestReport {
                outcome: TestOutcome::Connected,
                proof: TestProof::Reachable,
                vendor_account_id: None,
                vendor_account_name: None,
                missing_scopes: Vec::new(),
                vendor_error_code: None,
                detail: None,
                latency_ms: 1,
                tested_at: now,
            },
            operator: OperatorId(1),
            consume_offer: None,
        };
        let seal =
            Box::new(|_| Ok(vec![SealedCredential { name: "fields".into(), key_version: 1, blob: vec![0; 64] }]));
        let activity = NewActivity {
            action: ActivityAction::ConnectionCreated,
            actor: None,
            connection: None,
            outcome: ActivityOutcome::Succeeded,
            detail: None,
        };
        store::connection::insert(db, site, now, new, seal, activity).await.expect("a row");
    }
}

#[tokio::main]
async fn main() {
    let directory = tempfile::tempdir().expect("a directory");
    let gateway = Gateway::start(directory.path());
    let resident = gateway.resident_kib();
    println!(
        "start to ready, empty SQLite file: {:.1} ms (bound {} ms)",
        millis(gateway.ready_after),
        READY_MAX.as_millis()
    );
    println!("resident memory after it: {:.1} MB (bound {} MB)", resident_mb(resident), RESIDENT_MAX_KIB / 1024);

    let token = token(directory.path());
    // Whoever comes second finds it installed, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let url = format!("{}/graphql", gateway.url);
    let body = serde_json::json!({ "query": QUERY }).to_string();
    let call =
        || client.post(&url).bearer_auth(&token).header("content-type", "application/json").body(body.clone()).send();
    // The first call makes the site; the rows come after it.
    call().await.expect("an answer");
    let settings = DatabaseSettings {
        url: format!("sqlite:{}", directory.path().join("gateway.db").display()),
        pool: 4,
        ca_pem: None,
    };
    let db = Db::open(&settings, Arc::new(Counter(0.into()))).await.expect("the database");
    let site = SiteId::from_claimed_row(1);
    fill(&db, site).await;

    let answer = call().await.expect("an answer").text().await.expect("a body");
    let nodes =
        serde_json::from_str::<serde_json::Value>(&answer).expect("JSON")["data"]["connections"]["nodes"].clone();
    assert_eq!(nodes.as_array().map(Vec::len), Some(ROWS), "{answer}");

    let (filter, order) = (
        ConnectionFilter::default(),
        Order { field: ConnectionOrderField::CreatedAt, direction: OrderDirection::Desc },
    );
    let page = PageRequest { size: 20, ..PageRequest::default() };
    let mut best_http = f64::MAX;
    let mut best_rows = f64::MAX;
    let mut cpu = Duration::ZERO;
    // In turns, so that whatever else the machine does hits both.
    for _ in 0..5 {
        let started = Instant::now();
        for _ in 0..ROUNDS / 5 {
            let page = store::connection::list(&db, site, &filter, order, &page).await.expect("rows");
            assert_eq!(page.rows.len(), ROWS);
        }
        best_rows = best_rows.min(micros(started.elapsed()) / f64::from(ROUNDS / 5));
        let (started, cpu_before) = (Instant::now(), gateway.cpu());
        for _ in 0..ROUNDS / 5 {
            let answer = call().await.expect("an answer").bytes().await.expect("a body");
            assert!(answer.len() > 1_000);
        }
        best_http = best_http.min(micros(started.elapsed()) / f64::from(ROUNDS / 5));
        cpu += gateway.cpu().saturating_sub(cpu_before);
    }
    println!("list of {ROWS} connections, rows straight from the database: {best_rows:.0} µs");
    println!("the same over HTTP, client included: {best_http:.0} µs, ratio {:.2}", best_http / best_rows);
    println!("CPU time of the gateway per request: {:.0} µs", micros(cpu) / f64::from(ROUNDS));

    assert!(gateway.ready_after <= READY_MAX, "the start is too slow");
    assert!(resident <= RESIDENT_MAX_KIB, "the process is too large");
}

fn token(directory: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_integrations-gateway"))
        .args(["token", "--site", "1", "--operator", "1", "--role", "Administrator"])
        .env_clear()
        .env("DATABASE_URL", format!("sqlite:{}", directory.join("gateway.db").display()))
        .output()
        .expect("a token");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000_000.0
}

fn resident_mb(kib: u64) -> f64 {
    Duration::from_millis(kib * 1_000 / 1_024).as_secs_f64()
}
