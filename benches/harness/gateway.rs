//! A gateway in a process of its own.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use super::{Client, Process};

const BINARY: &str = env!("CARGO_BIN_EXE_integrations-gateway");

/// What a gateway is started with.
pub struct Setup {
    settings: Vec<(&'static str, String)>,
    /// The programs in front of it, which hand over to it.
    pub before: Vec<String>,
}

impl Setup {
    /// On this database, with rates off.
    pub fn on(database_url: String) -> Self {
        let settings = [
            ("DATABASE_URL", database_url),
            ("GATEWAY_LISTEN", "127.0.0.1:0".into()),
            ("GATEWAY_LOG", "warn".into()),
            ("GATEWAY_RATE_LIMIT", "off".into()),
            ("GATEWAY_ADDRESS_RATE_LIMIT", "off".into()),
            ("GATEWAY_MASTER_KEYS", "bench:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".into()),
            ("GATEWAY_TOKEN_SECRET", "a-token-secret-that-only-benches-know-0123456789".into()),
        ];
        Self { settings: settings.into(), before: Vec::new() }
    }

    /// On a SQLite file in this directory.
    pub fn on_sqlite(directory: &Path) -> Self {
        Self::on(format!("sqlite:{}", directory.join("gateway.db").display()))
    }

    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.settings.push((name, value.into()));
        self
    }

    pub fn database_url(&self) -> &str {
        &self.settings[0].1
    }

    fn command(&self) -> Command {
        let mut words = self.before.iter().map(String::as_str).chain([BINARY]);
        let mut command = Command::new(words.next().expect("the binary at least"));
        command.args(words).env_clear().env("PATH", "/usr/bin:/bin").envs(self.settings.iter().map(|(n, v)| (n, v)));
        command
    }
}

/// A running gateway.
pub struct Gateway {
    pub process: Process,
    pub ready_after: Duration,
    /// The bearer token of an administrator of site 1.
    pub token: String,
}

impl Gateway {
    pub fn start(setup: &Setup) -> Self {
        let started = Instant::now();
        let process = Process::start(setup.command().args(["serve", "--dev"]));
        let mut client = Client::connect(&process.address);
        let answer = client.send(b"GET /readyz HTTP/1.1\r\nhost: bench\r\n\r\n");
        assert_eq!(answer.status, 200);
        let ready_after = started.elapsed();
        let output = setup
            .command()
            .args(["token", "--site", "1", "--operator", "1", "--role", "Administrator"])
            .output()
            .expect("a token");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let token = String::from_utf8(output.stdout).expect("text").trim().to_owned();
        Self { process, ready_after, token }
    }

    /// The bytes of a request with this document.
    pub fn request(&self, document: &str) -> Vec<u8> {
        super::post(&serde_json::json!({ "query": document }).to_string(), Some(&self.token))
    }

    /// Asks once.
    pub fn ask(&self, document: &str) -> serde_json::Value {
        let mut client = Client::connect(&self.process.address);
        let answer = client.send(&self.request(document));
        serde_json::from_slice(answer.body).expect("JSON")
    }
}
