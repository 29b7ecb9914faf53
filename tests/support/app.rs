//! The app as the tests drive it: wired as in production, but for the clock, randomness and the vendor.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::SinkExt as _;
use integrations_gateway::{
    app::{App, Wiring},
    config::{Config, DatabaseSettings, Limits},
    connector::OAuthClient,
    domain::{
        id::OperatorId,
        principal::Actor,
        secret::{Secret, SecretBytes},
    },
    egress::{AllowedDestination, ConnectTo},
    graphql::{DocumentLimits, Introspection},
    sandbox::SandboxApp,
    vault::MasterKeys,
    web::{Holder, Timeouts, TokenSettings, mint},
};
use ipnet::IpNet;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest as _};

use super::{
    clock::{ManualClock, SeededEntropy},
    grants::Granting,
    http, postgres,
    subscription::Subscription,
    vendor::Vendor,
};

pub const MASTER_KEYS: &str = "test:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
/// What tokens are signed with.
pub const TOKEN_SECRET: &str = "a-token-secret-that-only-tests-know-0123456789";
/// The secret of the client that is registered with the vendor that grants.
pub const CLIENT_SECRET: &str = "client-secret-planted";
/// How long tokens live: beyond every test's clock.
const YEAR: Duration = Duration::from_hours(24 * 365);

/// The database that a story runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    Sqlite,
    Postgres,
}

/// Makes two tests of each story: one on SQLite, one on PostgreSQL.
macro_rules! on_both {
    ($($story:ident),+ $(,)?) => {$(
        mod $story {
            use crate::support::app::Database;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                super::$story(Database::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                super::$story(Database::Postgres).await;
            }
        }
    )+};
}
pub(crate) use on_both;

/// A running gateway in the hands of a test.
pub struct TestApp {
    pub url: String,
    pub client: reqwest::Client,
    /// A client that stays where it is sent away from, as a test of a browser's steps must.
    pub no_redirects: reqwest::Client,
    pub clock: Arc<ManualClock>,
    address: SocketAddr,
    app: App,
    setup: Setup,
}

/// What a restart keeps.
#[derive(Clone)]
struct Setup {
    directory: Arc<tempfile::TempDir>,
    database_url: String,
    connectors_dir: Option<std::path::PathBuf>,
    connect_to: Option<String>,
    ca_pem: Option<String>,
    oauth_apps: HashMap<String, OAuthClient>,
    tokens: TokenSettings,
    seed: u64,
    master_keys: String,
    introspection: Introspection,
    limits: Limits,
    dev: bool,
    trusted_proxies: Vec<IpNet>,
    timeouts: Timeouts,
}

/// Bounds as they are by default, but as often as the test likes.
fn limits() -> Limits {
    Limits {
        max_body: 1024 * 1024,
        max_payload: 256 * 1024,
        max_queued: 1_000_000,
        documents: DocumentLimits::default(),
        max_sockets: 100,
        max_subscriptions: 100,
        max_connections: 10_000,
        max_connections_per_address: 1_000,
        rate: None,
        address_rate: None,
    }
}

impl TestApp {
    /// A gateway on SQLite.
    pub async fn start() -> Self {
        Self::on(Database::Sqlite).await
    }

    /// A gateway on this database.
    pub async fn on(database: Database) -> Self {
        Self::set_up(database, None, &[]).await
    }

    /// A gateway for which this vendor stands at the hosts of its certificate.
    pub async fn with_vendor(database: Database, vendor: &Vendor) -> Self {
        Self::set_up(database, Some(vendor), &[]).await
    }

    /// A gateway with one connector more.
    pub async fn with_manifest(database: Database, manifest: &str) -> Self {
        Self::set_up(database, None, &[("more.toml", manifest)]).await
    }

    /// A gateway for the vendor that grants access by OAuth.
    pub async fn with_grants(database: Database, granting: &Granting) -> Self {
        let manifest = include_str!("../manifests/granting.toml");
        Self::with_connectors(database, &granting.vendor, &[("granting.toml", manifest)]).await
    }

    /// A gateway with these files in its directory of connectors, and this vendor at the hosts of its certificate.
    pub async fn with_connectors(database: Database, vendor: &Vendor, files: &[(&str, &str)]) -> Self {
        Self::set_up(database, Some(vendor), files).await
    }

    async fn set_up(database: Database, vendor: Option<&Vendor>, connectors: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let connectors_dir = directory.path().join("connectors");
        for (file, text) in connectors {
            let path = connectors_dir.join(file);
            std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
            std::fs::write(path, text).expect("written");
        }
        let connectors_dir = Some(connectors_dir).filter(|_| !connectors.is_empty());
        let database_url = match database {
            Database::Sqlite => format!("sqlite:{}", directory.path().join("gateway.db").display()),
            Database::Postgres => postgres::database().await,
        };
        let setup = Setup {
            directory: Arc::new(directory),
            database_url,
            connectors_dir,
            connect_to: vendor.map(Vendor::connect_to),
            ca_pem: vendor.and_then(|vendor| vendor.ca_pem.clone()),
            oauth_apps: ["granting", "harbour"].map(registered).into(),
            tokens: tokens(),
            seed: 1,
            introspection: Introspection::On,
            limits: limits(),
            master_keys: MASTER_KEYS.to_owned(),
            dev: true,
            trusted_proxies: Vec::new(),
            timeouts: Timeouts::default(),
        };
        Self::boot(setup, ManualClock::new(), true).await
    }

    async fn boot(setup: Setup, clock: Arc<ManualClock>, workers: bool) -> Self {
        let entropy = SeededEntropy::new(setup.seed);
        let wiring = Wiring { clock: clock.clone(), entropy, workers, timeouts: setup.timeouts };
        let app = App::start(config(&setup), wiring).await.unwrap_or_else(|error| panic!("no start: {error}"));
        let address = app.address;
        let (client, no_redirects) = (http::client(), http::client_that_stays());
        Self { url: format!("http://{address}"), client, no_redirects, clock, address, app, setup }
    }

    /// Stops this gateway and starts another one on the same database.
    pub async fn restart(self) -> Self {
        self.again(true).await
    }

    /// As [`Self::restart`], but nothing is delivered afterwards.
    pub async fn restart_without_worker(self) -> Self {
        self.again(false).await
    }

    /// As [`Self::restart`], with other bounds for clients.
    pub async fn restart_bounded(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.setup.limits);
        self.again(true).await
    }

    /// As [`Self::restart`], behind proxies that say truly for whom they ask.
    pub async fn restart_behind(mut self, proxies: &str) -> Self {
        self.setup.trusted_proxies = vec![proxies.parse().expect("a range")];
        self.again(true).await
    }

    /// As [`Self::restart`], with other patience for peers that are silent.
    pub async fn restart_waiting(mut self, change: impl FnOnce(&mut Timeouts)) -> Self {
        change(&mut self.setup.timeouts);
        self.again(true).await
    }

    /// As [`Self::restart`], with another answer to those who ask for the schema.
    pub async fn restart_showing(mut self, introspection: Introspection) -> Self {
        self.setup.introspection = introspection;
        self.again(true).await
    }

    /// As [`Self::restart`], with these master keys.
    pub async fn restart_with_keys(mut self, keys: &str) -> Self {
        keys.clone_into(&mut self.setup.master_keys);
        self.again(true).await
    }

    /// Why no gateway starts with these master keys on the same database.
    pub async fn refused_with_keys(&self, keys: &str) -> String {
        let setup = Setup { master_keys: keys.to_owned(), ..self.setup.clone() };
        let entropy = SeededEntropy::new(setup.seed + 1_000);
        let wiring = Wiring { clock: self.clock.clone(), entropy, workers: false, timeouts: setup.timeouts };
        match App::start(config(&setup), wiring).await {
            Ok(_) => panic!("it starts"),
            Err(error) => error.to_string(),
        }
    }

    /// As [`Self::beside`], with these master keys.
    pub async fn beside_with_keys(&self, keys: &str) -> Self {
        let setup = Setup { master_keys: keys.to_owned(), seed: self.setup.seed + 200, ..self.setup.clone() };
        Self::boot(setup, Arc::clone(&self.clock), true).await
    }

    /// Another gateway on the same database, by the same clock; it delivers nothing.
    pub async fn beside(&self) -> Self {
        let setup = Setup { seed: self.setup.seed + 100, ..self.setup.clone() };
        Self::boot(setup, Arc::clone(&self.clock), false).await
    }

    /// As [`Self::restart`], with tokens of an identity provider too.
    pub async fn restart_with_provider(mut self, jwks: &str, issuer: &str, audience: &str) -> Self {
        let (issuer, audience) = (Some(issuer.to_owned()), Some(audience.to_owned()));
        let jwks = Some(jwks.parse().expect("an address"));
        self.setup.tokens = TokenSettings { jwks, issuer, audience, ..tokens() };
        self.again(true).await
    }

    /// As [`Self::restart`], but not for newcomers.
    pub async fn restart_as_in_production(mut self) -> Self {
        self.setup.dev = false;
        self.again(true).await
    }

    async fn again(self, workers: bool) -> Self {
        let Self { app, mut setup, clock, .. } = self;
        app.stop().await;
        setup.seed += 1;
        Self::boot(setup, clock, workers).await
    }

    /// Stops as a signal would.
    pub async fn stop(self) {
        self.app.stop().await;
    }

    /// Stops, and hands over the directory with the database's files.
    pub async fn stop_and_keep_files(self) -> Arc<tempfile::TempDir> {
        self.app.stop().await;
        self.setup.directory
    }

    /// A token of operator 1, Ada, of site 1, with this role.
    pub fn token(&self, role: &str) -> String {
        self.site_token(1, role)
    }

    /// A token of another operator of site 1.
    pub fn operator_token(&self, operator: i64, role: &str) -> String {
        self.mint(1, Actor::Operator { id: OperatorId(operator), name: None }, role)
    }

    /// A token of operator 1 of this site.
    pub fn site_token(&self, site: i64, role: &str) -> String {
        self.mint(site, Actor::Operator { id: OperatorId(1), name: Some("Ada".into()) }, role)
    }

    /// A token of a module of site 1.
    pub fn module_token(&self, module: &str) -> String {
        self.mint(1, Actor::Module { name: module.into() }, "Module")
    }

    fn mint(&self, site: i64, actor: Actor, role: &str) -> String {
        mint(&self.setup.tokens, &*self.clock, &Holder { site, actor, role: role.into() }, YEAR).expect("a token")
    }

    /// A GraphQL request, not yet sent.
    pub fn post(&self, token: &str, query: &str, variables: &Value) -> reqwest::RequestBuilder {
        self.client
            .post(format!("{}/graphql", self.url))
            .bearer_auth(token)
            .header("content-type", "application/json")
            .body(json!({"query": query, "variables": variables}).to_string())
    }

    /// Runs a GraphQL operation and gives the whole answer.
    #[expect(clippy::disallowed_methods, reason = "the gateway's answers to a test are small")]
    pub async fn graphql(&self, token: &str, query: &str, variables: Value) -> Value {
        let answer = self.post(token, query, &variables).send().await.expect("an answer");
        let text = answer.text().await.expect("a body");
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}"))
    }

    /// Starts a subscription on a socket of its own; it follows from when this returns.
    pub async fn subscribe(&self, token: &str, query: &str) -> Subscription {
        let before = *self.app.followers().borrow();
        let mut request = format!("ws://{}/graphql", self.address).into_client_request().expect("a request");
        request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().expect("a header"));
        let (mut socket, _) = tokio_tungstenite::connect_async(request).await.expect("a socket");
        let init = json!({"type": "connection_init", "payload": {"Authorization": format!("Bearer {token}")}});
        socket.send(Message::text(init.to_string())).await.expect("sent");
        let mut subscription = Subscription { socket };
        assert_eq!(subscription.message().await["type"], "connection_ack");
        let subscribe = json!({"id": "1", "type": "subscribe", "payload": {"query": query}});
        subscription.socket.send(Message::text(subscribe.to_string())).await.expect("sent");
        let followed = self.app.followers().wait_for(|now| *now > before).await.map(|now| *now);
        assert!(followed.is_ok(), "the gateway is there");
        subscription
    }

    /// The gateway as the sandbox knows it.
    pub fn sandbox_app(&self) -> SandboxApp {
        self.app.sandbox_app().expect("a sandbox")
    }

    /// Statements that the gateway has run.
    pub fn query_count(&self) -> u64 {
        self.app.query_count()
    }

    /// The path of the SQLite file.
    pub fn sqlite_file(&self) -> &str {
        self.setup.database_url.strip_prefix("sqlite:").expect("an SQLite file")
    }

    pub fn database_url(&self) -> &str {
        &self.setup.database_url
    }
}

/// The client that is registered under this name.
fn registered(app: &str) -> (String, OAuthClient) {
    (app.to_owned(), OAuthClient { id: "the-client".to_owned(), secret: Secret::from(CLIENT_SECRET) })
}

pub fn tokens() -> TokenSettings {
    TokenSettings {
        secret: Some(SecretBytes::new(TOKEN_SECRET.as_bytes().to_vec())),
        jwks: None,
        issuer: None,
        audience: None,
    }
}

fn config(setup: &Setup) -> Config {
    Config {
        database: DatabaseSettings { url: Secret::from(setup.database_url.as_str()), pool: 4, ca: None },
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        public_url: None,
        base_path: String::new(),
        master_keys: MasterKeys::parse(&setup.master_keys).expect("keys"),
        tokens: setup.tokens.clone(),
        connectors_dir: setup.connectors_dir.clone(),
        oauth_apps: setup.oauth_apps.clone(),
        return_origins: Vec::new(),
        allowed_destinations: AllowedDestination::parse_list("127.0.0.0/8").expect("ranges"),
        connect_to: ConnectTo::parse_list(setup.connect_to.as_deref().unwrap_or_default()).expect("rules"),
        extra_ca: setup.ca_pem.clone().map(String::into_bytes),
        introspection: setup.introspection,
        limits: setup.limits,
        trusted_proxies: setup.trusted_proxies.clone(),
        shutdown_grace: Duration::from_secs(20),
        dev: setup.dev,
        migrate: true,
    }
}
