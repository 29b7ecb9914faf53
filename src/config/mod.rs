//! Settings: typed, checked once at the start, and plain data from then on.
//!
//! [`arguments`] declares what can be set, by flag or by environment variable; [`check`] makes a [`Config`]
//! of it, or says in one line for each what is wrong. Nothing else in the house reads the environment. Only
//! `main`'s commands and `app` call in here.

pub mod arguments;
mod check;
mod keyfile;
mod limits;
mod oauth_apps;
mod values;

use std::{collections::HashMap, net::SocketAddr, path::PathBuf, time::Duration};

use ipnet::IpNet;
use url::Url;

pub use self::{
    check::{check, check_database, check_listen, check_log, check_tokens},
    keyfile::new_master_key,
    limits::Limits,
    values::duration,
};
use crate::{
    connector::OAuthClient,
    domain::secret::Secret,
    egress::{AllowedDestination, ConnectTo},
    graphql::Introspection,
    vault::MasterKeys,
    web::TokenSettings,
};

/// The settings of `serve`.
#[derive(Debug)]
pub struct Config {
    pub database: DatabaseSettings,
    /// Where to listen; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Where browsers and vendors reach the gateway, base path included, without a slash at its end. `None`:
    /// `http://`, the bound address and the base path ([`Config::public_url_at`]).
    pub public_url: Option<Url>,
    /// Empty, or a prefix such as `/sg-admin/integrations`, without a slash at its end.
    pub base_path: String,
    pub master_keys: MasterKeys,
    pub tokens: TokenSettings,
    /// More manifests, beside or over the built-in ones.
    pub connectors_dir: Option<PathBuf>,
    /// The clients that the gateway's operator has registered with vendors, by the names that manifests have for them.
    pub oauth_apps: HashMap<String, OAuthClient>,
    /// Origins as browsers spell them, besides the public URL's own.
    pub return_origins: Vec<String>,
    pub allowed_destinations: Vec<AllowedDestination>,
    pub connect_to: Vec<ConnectTo>,
    /// Certificates in PEM form, trusted for vendor calls besides the public ones.
    pub extra_ca: Option<Vec<u8>>,
    pub introspection: Introspection,
    /// What clients are bounded by.
    pub limits: Limits,
    /// Proxies that say truly for whom they ask.
    pub trusted_proxies: Vec<IpNet>,
    /// How long requests, sockets and verbs may take to end at shutdown.
    pub shutdown_grace: Duration,
    /// The newcomer's mode: tokens are printed, and there is a sandbox.
    pub dev: bool,
    /// Whether to bring the database up to date at the start.
    pub migrate: bool,
}

impl Config {
    /// The public URL, once the bound address is known.
    ///
    /// # Panics
    /// Where the base path was not checked.
    #[must_use]
    pub fn public_url_at(&self, bound: SocketAddr) -> Url {
        self.public_url.clone().unwrap_or_else(|| {
            format!("http://{bound}{}", self.base_path).parse().expect("a socket address and a checked path make a URL")
        })
    }
}

/// How to reach the database.
#[derive(Clone, Debug)]
pub struct DatabaseSettings {
    /// `sqlite:PATH` or `postgres://...`; the latter may hold a password.
    pub url: Secret,
    /// The most connections that are open at a time, at least 2.
    pub pool: u32,
    /// Certificates in PEM form, trusted for the database besides the public ones.
    pub ca: Option<Vec<u8>>,
}

/// What is logged, and how.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// A filter of `tracing`, checked.
    pub filter: String,
    /// `None`: text on a terminal, JSON elsewhere.
    pub format: Option<LogFormat>,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// A setting that is wrong or missing. Shows as one line that names it, says what is wrong and shows a right
/// value; never the value of a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {problem}; a right value is {example}")]
pub struct WrongSetting {
    /// The environment variable.
    pub name: &'static str,
    pub problem: String,
    pub example: &'static str,
}
