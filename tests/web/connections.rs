//! Connections that ask for nothing: how many there may be, and for how long.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Command, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{Answer, PATIENCE, post, query, sockets::Socket};
use crate::support::app::TestApp;

const ALIVE: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: gateway\r\n\r\n";

/// A connection that was taken: it has been answered once. `None` where it was closed instead.
async fn taken(address: &str) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let asked = async {
        stream.write_all(ALIVE).await.ok()?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.ok()?;
        assert_eq!(&answer, b"HTTP/1.1 200");
        let mut rest = Vec::new();
        while !rest.ends_with(b"\r\n\r\nok") {
            rest.push(stream.read_u8().await.ok()?);
        }
        Some(())
    };
    tokio::time::timeout(PATIENCE, asked).await.expect("an answer, or an end, in time")?;
    Some(stream)
}

/// Asks until a connection is taken: the gateway learns of one that was closed a little later.
async fn taken_in_time(address: &str) -> TcpStream {
    let asked = async {
        loop {
            if let Some(stream) = taken(address).await {
                return stream;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.expect("a connection is taken")
}

async fn ends(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    // Some ends are a reset.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("the connection ends in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_has_only_so_many_connections_and_sockets() {
    let app = TestApp::start().await.restart_bounded(|limits| limits.max_connections_per_address = 3).await;
    let address = app.url.strip_prefix("http://").expect("http").to_owned();
    let socket = Socket::ready(&app, "Viewer").await;
    let mut open = vec![taken(&address).await.expect("taken"), taken(&address).await.expect("taken")];
    assert!(taken(&address).await.is_none(), "one too many is closed at once");
    // Those that are open go on, and one that ends makes room, a socket as well.
    open[0].write_all(ALIVE).await.expect("sent");
    let mut answer = [0; 12];
    open[0].read_exact(&mut answer).await.expect("an answer");
    drop(open.pop());
    open.push(taken_in_time(&address).await);
    assert!(taken(&address).await.is_none(), "the socket holds its place");
    drop(socket);
    open.push(taken_in_time(&address).await);
    assert!(taken(&address).await.is_none());
    drop(open);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trusted_proxy_is_bounded_in_all_only() {
    let app = TestApp::start().await.restart_behind("127.0.0.0/8").await;
    let bounds = |limits: &mut integrations_gateway::config::Limits| {
        (limits.max_connections_per_address, limits.max_connections) = (1, 4);
    };
    let app = app.restart_bounded(bounds).await;
    let address = app.url.strip_prefix("http://").expect("http").to_owned();
    let mut open = Vec::new();
    for _ in 0..4 {
        open.push(taken(&address).await.expect("a proxy has many"));
    }
    assert!(taken(&address).await.is_none(), "but not more than all");
    drop(open);
    drop(taken_in_time(&address).await);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_without_a_request_is_closed_in_time() {
    let app = TestApp::start().await.restart_waiting(|timeouts| timeouts.head = Duration::from_millis(300)).await;
    let address = app.url.strip_prefix("http://").expect("http").to_owned();
    let mut silent = TcpStream::connect(&address).await.expect("a connection");
    let mut slow = TcpStream::connect(&address).await.expect("a connection");
    slow.write_all(b"GET /healthz HTTP/1.1\r\nHost: ").await.expect("sent");
    let mut idle = taken(&address).await.expect("taken");
    let mut socket = Socket::ready(&app, "Viewer").await;
    for stream in [&mut silent, &mut slow, &mut idle] {
        ends(stream).await;
    }
    // What has become a socket is no longer waited for.
    socket.subscribe("1", super::VIEWER).await;
    assert_eq!(socket.next().await["type"], "next");
    drop(socket);
    assert_eq!(Answer::of(post(&app, &query(super::VIEWER))).await.status, 200);
    app.stop().await;
}

/// A gateway that may open this many files, with its address and what it logs.
struct Cramped {
    process: std::process::Child,
    address: String,
    _directory: tempfile::TempDir,
}

impl Cramped {
    fn start(files: u32) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut process = Command::new("sh")
            .args([
                "-c",
                &format!("ulimit -n {files} && exec \"$0\" serve --dev"),
                env!("CARGO_BIN_EXE_integrations-gateway"),
            ])
            .env("GATEWAY_LISTEN", "127.0.0.1:0")
            .env("DATABASE_URL", format!("sqlite:{}/gateway.db", directory.path().display()))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().expect("piped")).read_line(&mut line).expect("a line");
        let address = line.trim().strip_prefix("listening on http://").expect("an address").to_owned();
        Self { process, address, _directory: directory }
    }

    /// Ends it, and gives what it has logged.
    fn end(mut self) -> String {
        self.process.kill().expect("killed");
        let mut log = String::new();
        self.process.stderr.take().expect("piped").read_to_string(&mut log).expect("text");
        self.process.wait().expect("ended");
        log
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_without_files_left_neither_ends_nor_fills_its_log() {
    let gateway = Cramped::start(60);
    let mut held = Vec::new();
    for _ in 0..200 {
        held.push(TcpStream::connect(&gateway.address).await.expect("the system's queue has room"));
    }
    // Some were taken and some closed; while they are held the gateway comes to its bound, or to that of the system.
    for stream in held.iter_mut().rev().take(50) {
        let _ = stream.write_all(ALIVE).await;
    }
    drop(held);
    drop(taken_in_time(&gateway.address).await);
    let log = gateway.end();
    let told = log.lines().filter(|line| line.contains("connections") || line.contains("accepted")).count();
    assert!((1..=2).contains(&told), "{log}");
}
