//! A PostgreSQL server of the test run's own, so that no test needs one that somebody set up.
//!
//! The first test of a process that asks for a database starts a private cluster: a unix socket in a new folder,
//! no TCP port, no fsync. Every test then gets a database of its own. The integration tests are one binary run by
//! `cargo test`, one process, so that they share one cluster; under nextest, a process for each test, each would
//! start its own (about two seconds).
//!
//! The cluster lives in the hands of a shell (`SUPERVISE`) that waits for the end of its standard input, which this
//! process holds open. However the process ends, a kill included, that input ends too, and the shell stops the
//! server and removes its folder.
//!
//! Texts sort as a language does (ICU `en-US`) in these databases, as on most production servers, and not by bytes:
//! a query that relies on the order of texts without saying `COLLATE "C"` fails here rather than there.

use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader, Read as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use tokio::sync::OnceCell;
use tokio_postgres::{Client, NoTls};

/// Makes, starts, holds, stops and removes a cluster. `$1` is the folder of the server programs. Prints the folder of
/// the socket once the server accepts connections, or what went wrong.
///
/// The socket's path may have 107 bytes at most, so it lies under `/tmp` and not where `TMPDIR` says.
const SUPERVISE: &str = r#"
bin=$1
dir=$(mktemp -d /tmp/gateway-postgres.XXXXXX) || exit 1
trap 'rm -rf "$dir"' EXIT
export LC_ALL=C
icu=
if "$bin/initdb" --help | grep -q -- --locale-provider; then icu='--locale-provider=icu --icu-locale=en-US'; fi
{
    "$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C $icu --no-sync --no-instructions &&
    "$bin/pg_ctl" -D "$dir/data" -l "$dir/server.log" -w -t 60 start -o "-c listen_addresses='' \
        -c unix_socket_directories='$dir' -c fsync=off -c full_page_writes=off -c max_connections=300"
} </dev/null >"$dir/setup.log" 2>&1 || { cat "$dir"/*.log; exit 1; }
echo "$dir"
read -r _
"$bin/pg_ctl" -D "$dir/data" -m immediate -w stop </dev/null >/dev/null 2>&1
"#;

/// Leaves root, as which the server refuses to run, for the account that Debian's package makes for it.
const LEAVE_ROOT: &str = r#"
if [ "$(id -u)" = 0 ]; then set -- setpriv --reuid=postgres --regid=postgres --init-groups sh -c "$1" "$0" "$2"
else set -- sh -c "$1" "$0" "$2"; fi
exec "$@"
"#;

/// A running server, stopped and removed when dropped or when the process ends.
pub struct Cluster {
    /// Has the socket, the log (`server.log`) and the data.
    pub folder: PathBuf,
    supervisor: Child,
    /// Its end is the supervisor's sign to clean up.
    hold: Option<ChildStdin>,
}

impl Cluster {
    /// Starts a server of its own, for a test that stops or floods it. Others share one through [`database`].
    pub fn start() -> Self {
        let programs = server_programs();
        let mut supervisor = Command::new("sh")
            .args(["-c", LEAVE_ROOT, "test-cluster", SUPERVISE])
            .arg(&programs)
            .current_dir("/")
            // A Ctrl-C at the terminal goes to the tests' process group; the clean-up has to outlive it.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("sh runs");
        let hold = supervisor.stdin.take();
        let mut output = BufReader::new(supervisor.stdout.take().expect("a piped output"));
        let mut said = String::new();
        output.read_line(&mut said).expect("the supervisor's output is UTF-8");
        let folder = PathBuf::from(said.trim_end());
        if !folder.is_dir() {
            output.read_to_string(&mut said).expect("the supervisor's output is UTF-8");
            panic!("PostgreSQL from {} did not start: {said}", programs.display());
        }
        Self { folder, supervisor, hold }
    }

    /// The URL of a database of this server.
    pub fn url(&self, database: &str) -> String {
        format!("postgres:///{database}?host={}&user=postgres", self.folder.display())
    }

    /// Makes a new database, a copy of `template` if one is named, and answers its URL.
    pub async fn create_database(&self, template: Option<&str>) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let from = template.unwrap_or("template1");
        self.administer(&[format!("CREATE DATABASE {name} TEMPLATE {from}")]).await;
        self.url(&name)
    }

    async fn administer(&self, statements: &[String]) {
        let client = connect(&self.url("postgres")).await;
        for statement in statements {
            client.batch_execute(statement).await.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.hold.take());
        // Waiting keeps a test that starts clusters of its own from leaving them to the next one. It can fail only
        // when the supervisor is gone already.
        let _ = self.supervisor.wait();
    }
}

/// A connection that nothing pools, driven by the current runtime until it is dropped.
pub async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("the cluster accepts connections");
    tokio::spawn(connection);
    client
}

/// A new, empty database for the caller alone: a URL that `DATABASE_URL` and tokio-postgres take.
pub async fn database() -> String {
    shared().create_database(None).await
}

/// A new database like the one that `init` makes of an empty one, for the caller alone.
///
/// `init` gets the URL of the empty database and runs once in a process for each `template`, a plain SQL name;
/// the databases are copies of what it leaves. Its connections must be closed when it returns; what is still open
/// then is cut off.
pub async fn database_from<F>(template: &str, init: impl FnOnce(String) -> F) -> String
where
    F: Future<Output = ()>,
{
    static TEMPLATES: Mutex<Option<HashMap<String, Arc<OnceCell<()>>>>> = Mutex::new(None);
    let made = {
        let mut templates = TEMPLATES.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(templates.get_or_insert_default().entry(template.to_owned()).or_default())
    };
    let cluster = shared();
    made.get_or_init(|| async {
        // There is one already only if an earlier `init` panicked.
        cluster
            .administer(&[
                format!("DROP DATABASE IF EXISTS {template} WITH (FORCE)"),
                format!("CREATE DATABASE {template}"),
            ])
            .await;
        init(cluster.url(template)).await;
        cluster
            .administer(&[
                format!("ALTER DATABASE {template} ALLOW_CONNECTIONS false"),
                format!("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{template}'"),
            ])
            .await;
    })
    .await;
    cluster.create_database(Some(template)).await
}

fn shared() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(Cluster::start)
}

/// The folder with the newest server programs of this machine.
pub fn server_programs() -> PathBuf {
    let configured = Command::new("pg_config").arg("--bindir").stderr(Stdio::null()).output();
    let configured = configured.ok().map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end()));
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    versions.sort_unstable();
    let complete = |folder: &Path| folder.join("initdb").is_file() && folder.join("postgres").is_file();
    let mut candidates = versions.into_iter().rev().map(|(_, folder)| folder).chain(configured);
    candidates
        .find(|folder| complete(folder))
        .expect("the tests need the programs of a PostgreSQL server: install Debian's package postgresql")
}
