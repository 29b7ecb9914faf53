//! Requests per second on PostgreSQL, of the list and of a page deep in a log of a million rows, against pgbench that
//! runs the very statements which the gateway sends for them. The server has one core: PostgreSQL and the gateway share
//! it, and whoever asks (pgbench, or the client) has another.

use std::{fmt::Write as _, path::Path, process::Command, time::Duration};

use super::{
    harness::{self, Gateway, Setup},
    list,
};

#[path = "../tests/support/postgres.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod cluster;

use cluster::Cluster;

/// The ratio that there must be, and the one to aim at.
const RATIO: (f64, f64) = (0.45, 0.65);
const CONNECTIONS: u32 = 16;
const TURNS: u32 = 4;
const TURN: Duration = Duration::from_secs(3);
/// The core of the server, and the one of whoever asks.
const SERVER_CORE: &str = "0";
const CLIENT_CORE: &str = "1";
/// How often a request is made to learn its statements.
const LEARN: usize = 23;

/// A statement with its values, as the server's log has them.
#[derive(Clone, Debug, PartialEq)]
struct Statement {
    sql: String,
    values: Vec<String>,
}

pub fn run() -> bool {
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        println!("left out: needs two cores");
        return true;
    }
    let cluster = Cluster::start();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let url = runtime.block_on(cluster.create_database(None));
    let mut setup = Setup::on(url);
    setup.before = ["taskset", "-c", SERVER_CORE].map(String::from).into();
    let gateway = Gateway::start(&setup);
    // The first request makes the site.
    gateway.ask("{ viewer { __typename } }");
    runtime.block_on(async {
        harness::fill(&list::open(setup.database_url()).await).await;
        fill_log(setup.database_url()).await;
    });

    let postmaster = std::fs::read_to_string(cluster.folder.join("data/postmaster.pid")).expect("a running server");
    pin(postmaster.lines().next().expect("its id"), SERVER_CORE);
    for child in children(postmaster.lines().next().expect("its id")) {
        pin(&child, SERVER_CORE);
    }
    let deep = format!(
        "{{ deliveryLog(first: 20, after: \"{}\") {{ nodes {{ id databaseId connectionName attempt eventType eventIdentifier outcome vendorResponseCode latencyMs attemptedAt }} }} }}",
        middle(&gateway)
    );
    for (what, document, rows) in [
        ("list of 20 connections", list::DOCUMENT, "connections"),
        ("page in the middle of a log of 1,000,000 rows", deep.as_str(), "deliveryLog"),
    ] {
        let answer = gateway.ask(document);
        assert_eq!(answer["data"][rows]["nodes"].as_array().map(Vec::len), Some(harness::ROWS), "{answer}");
        let statements = runtime.block_on(statements(&cluster, &setup, || drop(gateway.ask(document))));
        assert!(!statements.is_empty(), "a request reads something");
        for statement in &statements {
            println!("   pgbench runs: {}", shortened(&statement.sql));
        }
        let [mut ours, mut theirs] = [0.0_f64; 2];
        // In turns, so that whatever else the machine does hits both.
        for _ in 0..TURNS {
            theirs = theirs.max(pgbench(&cluster, setup.database_url(), &statements));
            pin(&harness::this_process().to_string(), CLIENT_CORE);
            ours =
                ours.max(harness::serve_for(&gateway.process.address, &gateway.request(document), CONNECTIONS, TURN));
            pin(&harness::this_process().to_string(), "0-1");
        }
        harness::at_least(what, ours, ("pgbench", theirs), RATIO, "requests/s");
    }
    true
}

/// Puts all threads of a process on these cores.
fn pin(process: &str, cores: &str) {
    let pinned = Command::new("taskset").args(["-a", "-p", "-c", cores, process]).output().expect("taskset runs");
    assert!(pinned.status.success(), "{}", String::from_utf8_lossy(&pinned.stderr));
}

fn children(process: &str) -> Vec<String> {
    let listed = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    listed.split_whitespace().map(String::from).collect()
}

async fn fill_log(url: &str) {
    let client = cluster::connect(url).await;
    client.batch_execute(include_str!("log.sql")).await.unwrap_or_else(|error| panic!("{error:?}"));
}

/// The cursor in the middle of the log.
fn middle(gateway: &Gateway) -> String {
    let page = gateway.ask(
        "{ deliveryLog(first: 1, filter: { attemptedUntil: \"2029-12-06T18:53:20Z\" }) { pageInfo { endCursor } } }",
    );
    page["data"]["deliveryLog"]["pageInfo"]["endCursor"].as_str().expect("a cursor").to_owned()
}

/// What the server is sent for a request, in its order: what its log has as often as the request was made.
async fn statements(cluster: &Cluster, setup: &Setup, request: impl Fn()) -> Vec<Statement> {
    let client = cluster::connect(setup.database_url()).await;
    let log = cluster.folder.join("server.log");
    // So that all sessions have prepared what they need.
    (0..LEARN).for_each(|_| request());
    log_statements(&client, "all", &log).await;
    let before = read(&log).len();
    (0..LEARN).for_each(|_| request());
    log_statements(&client, "none", &log).await;
    let logged = logged(&read(&log)[before..]);
    let mut wanted: Vec<Statement> = Vec::new();
    for statement in &logged {
        let times = logged.iter().filter(|other| *other == statement).count();
        if times == LEARN && !wanted.contains(statement) {
            wanted.push(statement.clone());
        }
    }
    wanted
}

fn read(log: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(log).expect("the server's log")).into_owned()
}

/// Sets what is logged, and waits until the server has heard of it.
async fn log_statements(client: &tokio_postgres::Client, which: &str, log: &Path) {
    let heard = |text: &str| text.matches("received SIGHUP").count();
    let before = heard(&read(log));
    client.batch_execute(&format!("ALTER SYSTEM SET log_statement = '{which}'")).await.expect("a superuser");
    client.batch_execute("SELECT pg_reload_conf()").await.expect("a superuser");
    while heard(&read(log)) == before {
        std::thread::yield_now();
    }
    let shown = format!("SELECT 1 WHERE current_setting('log_statement') = '{which}'");
    while client.query_opt(&shown, &[]).await.expect("a setting").is_none() {}
}

/// Reads `execute NAME: SQL` with the line of its parameters.
fn logged(text: &str) -> Vec<Statement> {
    let mut statements = Vec::new();
    for line in text.lines() {
        if let Some((_, sql)) = line.split_once("LOG:  execute ").and_then(|(_, rest)| rest.split_once(": ")) {
            statements.push(Statement { sql: sql.to_owned(), values: Vec::new() });
        } else if let Some((_, list)) = line.split_once("DETAIL:  parameters: ")
            && let Some(last) = statements.last_mut()
        {
            last.values = values(list);
        }
    }
    statements
}

/// Reads `$1 = 'a', $2 = 'b'`.
fn values(list: &str) -> Vec<String> {
    let mut values = Vec::new();
    let mut rest = list;
    while let Some((_, text)) = rest.split_once(" = '") {
        let end = text.match_indices('\'').map(|(at, _)| at).find(|at| !text[*at..].starts_with("''"));
        let end = end.expect("a value ends");
        values.push(text[..end].replace("''", "'"));
        rest = &text[end + 1..];
    }
    values
}

/// Transactions per second of a script of these statements.
fn pgbench(cluster: &Cluster, url: &str, statements: &[Statement]) -> f64 {
    let folder = tempfile::tempdir().expect("a directory");
    let script = folder.path().join("statements.sql");
    let mut text = String::new();
    let mut command = Command::new("taskset");
    command.args(["-c", CLIENT_CORE]).arg(cluster::server_programs().join("pgbench"));
    for (i, statement) in statements.iter().enumerate() {
        let mut sql = statement.sql.clone();
        // From the last, since $1 is also the beginning of $10.
        for (n, value) in statement.values.iter().enumerate().rev() {
            sql = sql.replace(&format!("${}", n + 1), &format!(":p{i}_{n}"));
            command.args(["-D", &format!("p{i}_{n}={value}")]);
        }
        let _ = writeln!(text, "{sql};");
    }
    std::fs::write(&script, text).expect("a file");
    let database = url.trim_start_matches("postgres:///").split('?').next().expect("a name");
    let (connections, seconds) = (CONNECTIONS.to_string(), TURN.as_secs().to_string());
    let output = command
        .args(["-n", "-M", "prepared", "-c", &connections, "-j", "1", "-T", &seconds, "-U", "postgres", "-f"])
        .arg(&script)
        .arg("-h")
        .arg(&cluster.folder)
        .arg(database)
        .output()
        .expect("pgbench runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let tps = said.lines().find_map(|line| line.strip_prefix("tps = ")).expect("a result");
    tps.split(' ').next().and_then(|tps| tps.parse().ok()).expect("a number")
}

fn shortened(sql: &str) -> String {
    let text: String = sql.chars().take(70).collect();
    let from = sql.find(" FROM ").map(|at| sql[at..].chars().take(160).collect::<String>()).unwrap_or_default();
    format!("{text} …{from}")
}
