//! The only place that constructs and wires: start, and graceful stop.
//!
//! `main`'s commands call in here, and the integration tests, which hand in a clock and randomness of
//! their own.

mod library;
mod system;

use std::{fmt, io::Write as _, net::SocketAddr, sync::Arc, time::Duration};

use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::library::with_sandbox;
pub use self::{
    library::{load_library, read_manifests},
    system::{SystemClock, SystemEntropy},
};
use crate::{
    bus::Bus,
    config::{self, Config},
    connector::OAuthClient,
    domain::{
        clock::{SharedClock, SharedEntropy},
        id::OperatorId,
        principal::Actor,
    },
    egress::{Egress, EgressSettings},
    graphql::{Api, ApiSettings},
    sandbox::{Sandbox, SandboxApp},
    service::{Gateway, Limits, OAuthSettings, Parts},
    store::{self, DatabaseKind, DatabaseSettings, Db, StoreError},
    vault::Vault,
    web::{
        self, Accepting, Connections, FetchKeys, Holder, Stop, Throttle, Timeouts, TokenSettings, TokenVerifier,
        WebSettings, WebState,
    },
    worker::{self, DeliverLimits},
};

/// How long a connection to a vendor may take to stand.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The name of the OAuth app that the sandbox's connector uses: its slug.
const SANDBOX: &str = "sandbox";
/// How long the tokens live that `--dev` prints.
const DEV_TOKEN_LIFETIME: Duration = Duration::from_hours(12);

/// What the process takes from its surroundings, and tests replace.
pub struct Wiring {
    pub clock: SharedClock,
    pub entropy: SharedEntropy,
    /// Whether the workers run. Without them nothing is delivered: for tests that count statements.
    pub workers: bool,
    pub timeouts: Timeouts,
}

impl Wiring {
    /// The system's clock and randomness, and all workers.
    #[must_use]
    pub fn system() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            workers: true,
            timeouts: Timeouts::default(),
        }
    }
}

/// Why the process did not start. Shows as one line for each fault.
#[derive(Debug)]
pub enum StartError {
    /// A setting is wrong: exit code 2.
    Setting(String),
    /// What the settings name could not be used: exit code 1.
    Failed(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting(line) | Self::Failed(line) => f.write_str(line),
        }
    }
}

/// A running gateway.
pub struct App {
    /// Where it listens.
    pub address: SocketAddr,
    db: Db,
    gateway: Gateway,
    sandbox: Option<Sandbox>,
    stop_web: CancellationToken,
    web: tokio::task::JoinHandle<()>,
    stop_workers: CancellationToken,
    workers: TaskTracker,
    grace: Duration,
}

impl App {
    /// Puts the parts together and starts them. Ready when it returns.
    ///
    /// # Errors
    /// What stands in the way, in words for an operator.
    pub async fn start(config: Config, wiring: Wiring) -> Result<Self, StartError> {
        let Wiring { clock, entropy, workers: run_workers, timeouts } = wiring;
        let library = load_library(&config)?;
        let egress = Egress::new(EgressSettings {
            allowed: config.allowed_destinations.clone(),
            connect_to: config.connect_to.clone(),
            extra_ca_pem: config.extra_ca.clone(),
            connect_timeout: CONNECT_TIMEOUT,
        })
        .map_err(StartError::Setting)?;
        let db = open_database(&config.database, Arc::clone(&entropy)).await?;
        if config.migrate {
            db.migrate().await.map_err(database_error)?;
        }
        db.check_schema().await.map_err(database_error)?;
        let listener = TcpListener::bind(config.listen).await.map_err(|error| {
            StartError::Failed(format!("GATEWAY_LISTEN: {} cannot be listened on: {error}", config.listen))
        })?;
        let address =
            listener.local_addr().map_err(|error| StartError::Failed(format!("the bound address: {error}")))?;

        let bus = Bus::default();
        let public_url = config.public_url_at(address);
        let sandbox = config.dev.then(|| Sandbox::new(&public_url, Arc::clone(&clock), &*entropy));
        let library = match &sandbox {
            Some(sandbox) => with_sandbox(library, sandbox, address, &config.base_path)?,
            None => library,
        };
        let mut apps = config.oauth_apps;
        if let Some(SandboxApp { id, secret }) = sandbox.as_ref().map(Sandbox::app) {
            apps.entry(SANDBOX.to_owned()).or_insert(OAuthClient { id, secret });
        }
        let vault = Vault::new(config.master_keys, Arc::clone(&entropy));
        check_master_keys(&db, &vault).await?;
        let gateway = Gateway::new(Parts {
            db: db.clone(),
            vault,
            egress,
            library: Arc::new(library),
            bus: bus.clone(),
            clock: Arc::clone(&clock),
            entropy: Arc::clone(&entropy),
            limits: Limits { max_payload: config.limits.max_payload, max_queued: config.limits.max_queued },
            oauth: OAuthSettings {
                apps,
                public_url: public_url.clone(),
                return_origins: config.return_origins.clone(),
            },
        });
        rewrap_keys(&gateway).await?;
        let stop_web = CancellationToken::new();
        let tasks = TaskTracker::new();
        let connections = Connections::new(
            connections_max(config.limits.max_connections),
            config.limits.max_connections_per_address,
            config.trusted_proxies.clone(),
        );
        let accepting = Accepting { connections, timeouts, clock: Arc::clone(&clock) };
        let state = WebState {
            api: Api::new(
                gateway.clone(),
                ApiSettings { introspection: config.introspection, limits: config.limits.documents },
            ),
            gateway: gateway.clone(),
            tokens: TokenVerifier::new(&config.tokens, Arc::clone(&clock), fetch_keys(&gateway, &config.tokens)),
            clock: Arc::clone(&clock),
            entropy,
            settings: WebSettings {
                public_url,
                base_path: config.base_path,
                max_body: config.limits.max_body,
                max_subscriptions: config.limits.max_subscriptions,
                return_origins: config.return_origins,
                trusted_proxies: config.trusted_proxies,
                timeouts,
            },
            throttle: Throttle::new(
                Arc::clone(&clock),
                config.limits.rate,
                config.limits.address_rate,
                config.limits.max_sockets,
            ),
            sandbox: sandbox.clone(),
            shutdown: stop_web.clone(),
            tasks: tasks.clone(),
        };
        let stop = Stop { shutdown: stop_web.clone(), tasks, grace: config.shutdown_grace };
        let web = tokio::spawn(web::serve(listener, web::router(state), accepting, stop));

        let stop_workers = CancellationToken::new();
        let workers = TaskTracker::new();
        if run_workers {
            let limits = DeliverLimits::default();
            workers.spawn(worker::deliver(
                gateway.clone(),
                bus.clone(),
                Arc::clone(&clock),
                limits,
                stop_workers.clone(),
            ));
            workers.spawn(worker::renew(gateway.clone(), Arc::clone(&clock), stop_workers.clone()));
            workers.spawn(worker::check(gateway.clone(), Arc::clone(&clock), stop_workers.clone()));
            workers.spawn(worker::reseal(gateway.clone(), Arc::clone(&clock), stop_workers.clone()));
            workers.spawn(worker::purge(gateway.clone(), Arc::clone(&clock), stop_workers.clone()));
        }
        if matches!(db.kind(), DatabaseKind::Postgres) {
            workers.spawn(worker::watch(gateway.clone(), bus, clock, stop_workers.clone()));
        }
        workers.close();
        Ok(Self { address, db, gateway, sandbox, stop_web, web, stop_workers, workers, grace: config.shutdown_grace })
    }

    /// How many subscriptions follow a stream now.
    #[must_use]
    pub fn followers(&self) -> tokio::sync::watch::Receiver<usize> {
        self.gateway.followers()
    }

    /// The gateway as the sandbox knows it, in `--dev`.
    #[must_use]
    pub fn sandbox_app(&self) -> Option<SandboxApp> {
        self.sandbox.as_ref().map(Sandbox::app)
    }

    /// Statements run so far, for tests that count them.
    #[must_use]
    pub fn query_count(&self) -> u64 {
        self.db.query_count()
    }

    /// Stops: no new request, sockets closed, verbs and attempts under way brought to their commit, all
    /// within the grace period.
    pub async fn stop(self) {
        self.stop_web.cancel();
        self.stop_workers.cancel();
        if let Err(error) = self.web.await {
            tracing::error!(%error, "serving broke off");
        }
        let ended = async {
            self.workers.wait().await;
            self.gateway.finish().await;
        };
        if tokio::time::timeout(self.grace, ended).await.is_err() {
            tracing::warn!("the grace period is over: what is under way is taken up again by leases");
        }
    }
}

/// Runs the gateway until the process is told to stop.
///
/// # Errors
/// See [`App::start`].
pub async fn serve(config: Config) -> Result<(), StartError> {
    let tokens = config.dev.then(|| dev_tokens(&config.tokens)).transpose()?;
    let base_path = config.base_path.clone();
    let app = App::start(config, Wiring::system()).await?;
    say(&format!("listening on http://{}\n", app.address));
    if let Some(tokens) = tokens {
        say(&dev_notes(app.address, &base_path, &tokens));
    }
    system::told_to_stop().await;
    tracing::info!("stopping");
    app.stop().await;
    Ok(())
}

/// Brings the database up to date.
///
/// # Errors
/// Where it cannot be reached, or comes from a newer version.
pub async fn migrate(settings: &config::DatabaseSettings) -> Result<(), StartError> {
    let db = open_database(settings, Arc::new(SystemEntropy)).await?;
    db.migrate().await.map_err(database_error)
}

async fn open_database(settings: &config::DatabaseSettings, entropy: SharedEntropy) -> Result<Db, StartError> {
    let settings =
        DatabaseSettings { url: settings.url.expose().to_owned(), pool: settings.pool, ca_pem: settings.ca.clone() };
    Db::open(&settings, entropy).await.map_err(database_error)
}

fn database_error(error: StoreError) -> StartError {
    match error {
        StoreError::InvalidUrl(problem) => StartError::Setting(format!("DATABASE_URL: {problem}")),
        other => StartError::Failed(format!("DATABASE_URL: {other}")),
    }
}

/// Refuses to start without a key that the database needs: every credential under it would be lost to sight.
async fn check_master_keys(db: &Db, vault: &Vault) -> Result<(), StartError> {
    let needed = store::site::master_key_ids(db).await.map_err(database_error)?;
    match needed.iter().find(|id| !vault.knows(id)) {
        None => Ok(()),
        Some(id) => Err(StartError::Setting(format!(
            "GATEWAY_MASTER_KEYS: the database needs the key {id:?}, which is not given; a right value is that key, beside a \
             newer one if there is one: new:BASE64,{id}:BASE64"
        ))),
    }
}

/// How the identity provider's keys are fetched, where there is one.
fn fetch_keys(gateway: &Gateway, tokens: &TokenSettings) -> Option<FetchKeys> {
    let (gateway, url) = (gateway.clone(), tokens.jwks.clone()?);
    Some(Arc::new(move || {
        let (gateway, url) = (gateway.clone(), url.clone());
        Box::pin(async move { gateway.fetch_public_keys(&url).await })
    }))
}

/// Wraps sites' keys by the newest master key, and refuses to start with one that is not what it was.
async fn rewrap_keys(gateway: &Gateway) -> Result<(), StartError> {
    let rewrapped = gateway
        .rewrap_keys()
        .await
        .map_err(|problem| StartError::Setting(format!("GATEWAY_MASTER_KEYS: {problem}")))?;
    if rewrapped > 0 {
        tracing::info!(rewrapped, "sites' keys are wrapped by the newest master key now");
    }
    Ok(())
}

/// As many as are set, but no more than three quarters of the files that the process may open: the database, calls and
/// workers need the rest.
fn connections_max(set: usize) -> usize {
    let files = system::open_files_max();
    let bound = set.min(files / 4 * 3);
    if bound < set {
        tracing::warn!(bound, files, "GATEWAY_MAX_CONNECTIONS: this process may not open enough files (ulimit -n)");
    }
    bound
}

/// A token for each of the three roles and for one module, with the name to print it under.
fn dev_tokens(settings: &TokenSettings) -> Result<Vec<(&'static str, String)>, StartError> {
    let operator = |id, name: &str| Actor::Operator { id: OperatorId(id), name: Some(name.to_owned()) };
    let holders = [
        ("Administrator", operator(1, "Ada"), "Administrator"),
        ("Editor", operator(2, "Edith"), "Editor"),
        ("Viewer", operator(3, "Victor"), "Viewer"),
        ("Module (forms)", Actor::Module { name: "forms".to_owned() }, "Module"),
    ];
    holders
        .into_iter()
        .map(|(title, actor, role)| {
            let holder = Holder { site: 1, actor, role: role.to_owned() };
            let token = web::mint(settings, &SystemClock, &holder, DEV_TOKEN_LIFETIME).map_err(StartError::Failed)?;
            Ok((title, token))
        })
        .collect()
}

fn dev_notes(address: SocketAddr, base_path: &str, tokens: &[(&str, String)]) -> String {
    let tokens_told: String = tokens.iter().map(|(title, token)| [title, ":\n", token, "\n\n"].concat()).collect();
    let playground = tokens.first().map_or_else(String::new, |(_, administrator)| {
        let page = format!("http://{address}{base_path}/playground/#token={administrator}");
        format!("The playground, as Administrator:\n{page}\n\n")
    });
    format!(
        "\nTokens for site 1, good for 12 hours:\n\n{tokens_told}{playground}A vendor to play with: \
         http://{address}{base_path}/sandbox\n"
    )
}

/// Writes to standard output. Whoever reads there may go away; the gateway stays.
fn say(text: &str) {
    let mut stdout = std::io::stdout().lock();
    if stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).is_err() {
        tracing::debug!("nobody reads the standard output");
    }
}
