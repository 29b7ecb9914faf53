//! The real binary in a process of its own, which a test can kill.

use std::{
    io::{BufRead as _, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::Duration,
};

use integrations_gateway::{
    app::SystemClock,
    domain::{id::OperatorId, principal::Actor},
    web::{Holder, mint},
};
use serde_json::{Value, json};

use super::{
    app::{CLIENT_SECRET, Database, MASTER_KEYS, TOKEN_SECRET, tokens},
    http, postgres, rows,
    vendor::Vendor,
};

/// What every process of one story stands on, and what they have said in all.
pub struct Site {
    directory: tempfile::TempDir,
    pub database_url: String,
    connect_to: String,
    said: Arc<Mutex<Vec<u8>>>,
}

impl Site {
    /// A place for processes that meet this vendor at the hosts of its certificate.
    pub async fn new(database: Database, vendor: &Vendor) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
            std::fs::write(path, text).expect("written");
        };
        file("connectors/granting.toml", include_str!("../manifests/granting.toml"));
        file("ca.pem", vendor.ca_pem.as_deref().expect("a vendor over TLS"));
        file("apps.toml", &format!("[granting]\nclient_id = \"the-client\"\nclient_secret = \"{CLIENT_SECRET}\"\n"));
        let database_url = match database {
            Database::Sqlite => format!("sqlite:{}", directory.path().join("gateway.db").display()),
            Database::Postgres => postgres::database().await,
        };
        Self { directory, database_url, connect_to: vendor.connect_to(), said: Arc::default() }
    }

    /// Starts a process, and waits until it listens.
    pub async fn start(&self) -> Process {
        let file = |name: &str| self.directory.path().join(name).display().to_string();
        let mut child = Command::new(env!("CARGO_BIN_EXE_integrations-gateway"))
            .arg("serve")
            .env_clear()
            .env("DATABASE_URL", &self.database_url)
            .env("GATEWAY_MASTER_KEYS", MASTER_KEYS)
            .env("GATEWAY_TOKEN_SECRET", TOKEN_SECRET)
            .env("GATEWAY_LISTEN", "127.0.0.1:0")
            .env("GATEWAY_PUBLIC_URL", "http://gateway.example")
            .env("GATEWAY_CONNECT_TO", &self.connect_to)
            .env("GATEWAY_ALLOWED_DESTINATIONS", "127.0.0.0/8")
            .env("GATEWAY_EXTRA_CA", file("ca.pem"))
            .env("GATEWAY_OAUTH_APPS", file("apps.toml"))
            .env("GATEWAY_CONNECTORS_DIR", file("connectors"))
            .env("GATEWAY_LOG", "debug")
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let (tell, told) = mpsc::channel();
        self.listen(child.stdout.take().expect("a pipe"), Some(tell));
        self.listen(child.stderr.take().expect("a pipe"), None);
        let address = tokio::task::spawn_blocking(move || told.recv_timeout(Duration::from_mins(1)));
        let Ok(url) = address.await.expect("a wait") else {
            let _ = (child.kill(), child.wait());
            panic!("no start: {}", String::from_utf8_lossy(&self.said()));
        };
        Process { child: Mutex::new(child), url, client: http::client(), no_redirects: http::client_that_stays() }
    }

    fn listen(&self, pipe: impl Read + Send + 'static, tell: Option<mpsc::Sender<String>>) {
        let said = Arc::clone(&self.said);
        std::thread::spawn(move || {
            let mut lines = BufReader::new(pipe);
            let mut line = Vec::new();
            while lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                if let Some((_, url)) = String::from_utf8_lossy(&line).trim_end().split_once("listening on ")
                    && let Some(tell) = &tell
                {
                    let _ = tell.send(url.to_owned());
                }
                said.lock().unwrap_or_else(PoisonError::into_inner).append(&mut line);
            }
        });
    }

    /// All that the processes have printed.
    pub fn said(&self) -> Vec<u8> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn folder(&self) -> &Path {
        self.directory.path()
    }

    /// Lets time go by for what the processes have stored, while none of them runs.
    pub async fn pass(&self, minutes: i64) {
        let moments = [
            ("renewals", "lease_until"),
            ("renewals", "begun_at"),
            ("renewals", "due_at"),
            ("renewals", "failed_at"),
            ("renewals", "renewed_at"),
            ("renewals", "closing_since"),
            ("connections", "expires_at"),
            ("authorizations", "changed_at"),
            ("authorizations", "expires_at"),
            ("authorizations", "ticket_until"),
            ("deliveries", "lease_until"),
            ("deliveries", "next_attempt_at"),
        ];
        let by = |column: &str| match self.sqlite_file() {
            Some(_) => format!("{column} - {}", minutes * 60_000_000),
            None => format!("{column} - interval '{minutes} minutes'"),
        };
        let statements: Vec<String> =
            moments.iter().map(|(table, column)| format!("UPDATE {table} SET {column} = {}", by(column))).collect();
        self.execute(&statements.join("; ")).await;
    }

    pub async fn execute(&self, statements: &str) {
        rows::execute(&self.database_url, statements).await;
    }

    pub fn sqlite_file(&self) -> Option<PathBuf> {
        self.database_url.strip_prefix("sqlite:").map(PathBuf::from)
    }
}

/// A process that serves.
pub struct Process {
    child: Mutex<Child>,
    pub url: String,
    pub client: reqwest::Client,
    pub no_redirects: reqwest::Client,
}

impl Process {
    /// Ends it in the middle of whatever it does (SIGKILL).
    pub fn kill(self) {
        self.end();
    }

    /// As [`Self::kill`], beside those who still ask it.
    pub fn end(&self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        child.kill().expect("it runs");
        child.wait().expect("it ends");
    }

    /// A token of operator 1 of site 1.
    fn token() -> String {
        let actor = Actor::Operator { id: OperatorId(1), name: Some("Ada".into()) };
        let holder = Holder { site: 1, actor, role: "Administrator".into() };
        mint(&tokens(), &SystemClock, &holder, Duration::from_hours(1)).expect("a token")
    }

    /// Runs a GraphQL operation; `None` where no answer comes, since the process was killed.
    #[expect(clippy::disallowed_methods, reason = "the gateway's answers to a test are small")]
    pub async fn try_graphql(client: reqwest::Client, url: String, token: String, body: String) -> Option<Value> {
        let request = client.post(format!("{url}/graphql")).bearer_auth(token);
        let answer = request.header("content-type", "application/json").body(body).send().await.ok()?;
        serde_json::from_str(&answer.text().await.ok()?).ok()
    }

    /// Runs a GraphQL operation and gives its data.
    pub async fn graphql(&self, query: &str, variables: Value) -> Value {
        let answer = self.begin(query, &variables).await.expect("a task").expect("an answer");
        assert_eq!(answer.get("errors"), None, "{answer}");
        answer["data"].clone()
    }

    /// Sends a GraphQL operation, in a task of its own.
    pub fn begin(&self, query: &str, variables: &Value) -> tokio::task::JoinHandle<Option<Value>> {
        let body = json!({"query": query, "variables": variables}).to_string();
        tokio::spawn(Self::try_graphql(self.client.clone(), self.url.clone(), Self::token(), body))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let ended = self.child.lock().unwrap_or_else(PoisonError::into_inner).try_wait();
        if ended.is_ok_and(|ended| ended.is_none()) {
            self.end();
        }
    }
}
