//! What the list of 20 connections with 10 fields costs on SQLite: CPU time of the serving process for each request, of
//! a known document, against the same bytes from bare axum, against mercurius with graphql-jit that serves the same
//! list from memory, and against the readings of the database that a request makes.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use integrations_gateway::{
    app::SystemEntropy,
    domain::{
        page::PageRequest,
        query::{ConnectionFilter, ConnectionOrderField, Order, OrderDirection},
    },
    store::{self, DatabaseSettings, Db},
};

use super::harness::{self, Client, Gateway, Process, ROWS, Setup, micros, site};

pub const DOCUMENT: &str = "{ connections(first: 20) { nodes { id databaseId displayName state authFlow vendorAccountId scopesGranted lastDeliveryAt createdAt updatedAt } } }";

/// The first argument with which this program is the bare server.
pub const SERVE_BYTES: &str = "serve-bytes";

/// What GraphQL may cost of what it costs there.
const OF_MERCURIUS: f64 = 0.6;
/// What a whole request may cost: so many times its readings of the database, and so much besides.
const OF_READINGS: f64 = 1.5;
const BESIDES_MICROS: f64 = 40.0;

const TURNS: u32 = 6;
const CONNECTIONS: u32 = 4;
const TIMES: u32 = 1_000;

pub fn run() -> bool {
    let directory = tempfile::tempdir().expect("a directory");
    let setup = Setup::on_sqlite(directory.path());
    let gateway = Gateway::start(&setup);
    // The first request makes the site.
    gateway.ask("{ viewer { __typename } }");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let database = runtime.block_on(async {
        let db = open(setup.database_url()).await;
        harness::fill(&db).await;
        db
    });
    let answer = gateway.ask(DOCUMENT);
    assert_eq!(answer["data"]["connections"]["nodes"].as_array().map(Vec::len), Some(ROWS), "{answer}");
    let file = directory.path().join("answer.json");
    std::fs::write(&file, answer.to_string()).expect("a file");

    let bytes = Process::start(Command::new(std::env::current_exe().expect("a path")).arg(SERVE_BYTES).arg(&file));
    let Some(mercurius) = mercurius(&file) else {
        println!("left out: benches/mercurius is not installed (npm ci)");
        return true;
    };
    let same = Client::connect(&mercurius.address).send(&gateway.request(DOCUMENT)).body.to_vec();
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&same).expect("JSON"), answer);

    let request = gateway.request(DOCUMENT);
    let served = |process: &Process, times: u32| {
        let before = process.cpu();
        harness::load(&process.address, &request, CONNECTIONS, times);
        process.cpu().saturating_sub(before)
    };
    for process in [&gateway.process, &bytes, &mercurius] {
        served(process, TIMES);
    }
    let [mut whole, mut bare, mut theirs, mut readings] = [Duration::ZERO; 4];
    // In turns, so that whatever else the machine does hits all.
    for _ in 0..TURNS {
        whole += served(&gateway.process, TIMES);
        bare += served(&bytes, TIMES);
        theirs += served(&mercurius, TIMES);
        let before = harness::cpu_of_this_process();
        runtime.block_on(read(&database, CONNECTIONS * TIMES));
        readings += harness::cpu_of_this_process().saturating_sub(before);
    }
    let each = |total: Duration| micros(total) / f64::from(TURNS * CONNECTIONS * TIMES);
    let [whole, bare, theirs, readings] = [whole, bare, theirs, readings].map(each);
    println!("CPU time for each request, list of {ROWS} connections with 10 fields");
    println!("bare axum, the same bytes: {bare:.1} µs; the gateway: {whole:.1} µs; ratio {:.2}", whole / bare);
    harness::at_most(
        "GraphQL without its readings",
        whole - readings,
        ("mercurius from memory", theirs),
        OF_MERCURIUS,
        "µs",
    );
    harness::at_most(
        "whole request",
        whole,
        (&format!("{OF_READINGS} times its readings ({readings:.1} µs) + {BESIDES_MICROS} µs"), {
            OF_READINGS.mul_add(readings, BESIDES_MICROS)
        }),
        1.0,
        "µs",
    );
    true
}

pub async fn open(url: &str) -> Db {
    let settings = DatabaseSettings { url: url.into(), pool: 4, ca_pem: None };
    Db::open(&settings, Arc::new(SystemEntropy)).await.expect("the database")
}

/// The readings that one request of the list makes, so many times.
async fn read(db: &Db, times: u32) {
    let filter = ConnectionFilter::default();
    let order = Order { field: ConnectionOrderField::CreatedAt, direction: OrderDirection::Desc };
    let page = PageRequest { size: 20, ..PageRequest::default() };
    for _ in 0..times {
        store::role::list(db, site()).await.expect("roles");
        let page = store::connection::list(db, site(), &filter, order, &page).await.expect("rows");
        assert_eq!(page.rows.len(), ROWS);
    }
}

fn mercurius(answer: &Path) -> Option<Process> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("benches/mercurius");
    if !folder.join("node_modules/.package-lock.json").is_file() {
        return None;
    }
    let server = folder.join("server.mjs");
    Some(Process::start(Command::new("node").arg(server).arg(root.join("schema.graphql")).arg(answer)))
}

/// Serves the bytes of a file at `/graphql`, with nothing but axum around them.
pub fn serve_bytes(file: &str) {
    let bytes = axum::body::Bytes::from(std::fs::read(file).expect("a file"));
    let handler = move |_: axum::body::Bytes| {
        let bytes = bytes.clone();
        async move { ([(http::header::CONTENT_TYPE, "application/json; charset=utf-8")], bytes) }
    };
    let router = axum::Router::new().route("/graphql", axum::routing::post(handler));
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("listening on http://{}", listener.local_addr().expect("an address"));
        axum::serve(listener, router).await.expect("served");
    });
}
