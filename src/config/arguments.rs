//! What can be set: flags and environment variables, with their defaults, as `--help` shows them.
//!
//! Values are texts here: `super::check` reads them, so that a wrong one is answered in one line. An empty
//! value counts as not set.

use clap::Args;

pub use super::limits::LimitArguments;

/// Which database.
#[derive(Args, Clone)]
pub struct DatabaseUrlArgument {
    /// `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/NAME`
    #[arg(
        long,
        env = "DATABASE_URL",
        hide_env_values = true,
        value_name = "URL",
        default_value = "sqlite:data/gateway.db"
    )]
    pub database_url: String,
}

/// How to reach the database.
#[derive(Args, Clone)]
pub struct DatabaseArguments {
    #[command(flatten)]
    pub url: DatabaseUrlArgument,
    /// The most database connections that are open at a time, 2 to 1000
    #[arg(long, env = "GATEWAY_DATABASE_POOL", hide_env_values = true, value_name = "NUMBER", default_value = "10")]
    pub database_pool: String,
    /// PEM file of further trusted roots for the database's TLS
    #[arg(long, env = "GATEWAY_DATABASE_CA", hide_env_values = true, value_name = "FILE")]
    pub database_ca: Option<String>,
}

/// What tokens are signed with.
#[derive(Args, Clone)]
pub struct TokenArguments {
    /// HS256 key for tokens, at least 32 bytes, or @FILE [default: with --dev made once and kept beside the database]
    #[arg(long, env = "GATEWAY_TOKEN_SECRET", hide_env_values = true, value_name = "SECRET|@FILE")]
    pub token_secret: Option<String>,
    /// Where an identity provider has its public keys (a JWK set): its tokens (RS256, ES256, `EdDSA`) are taken
    /// too. Issuer and audience must be set then; a private address must be allowed as for any call
    #[arg(long, env = "GATEWAY_JWKS_URL", hide_env_values = true, value_name = "URL")]
    pub jwks_url: Option<String>,
    /// Tokens must name this issuer (`iss`)
    #[arg(long, env = "GATEWAY_TOKEN_ISSUER", hide_env_values = true, value_name = "TEXT")]
    pub token_issuer: Option<String>,
    /// Tokens must name this audience (`aud`)
    #[arg(long, env = "GATEWAY_TOKEN_AUDIENCE", hide_env_values = true, value_name = "TEXT")]
    pub token_audience: Option<String>,
}

/// What is logged.
#[derive(Args, Clone)]
pub struct LogArguments {
    /// What is logged: a `tracing` filter
    #[arg(long, env = "GATEWAY_LOG", hide_env_values = true, value_name = "FILTER", default_value = "info")]
    pub log: String,
    /// `text` or `json` [default: text on a terminal, json elsewhere]
    #[arg(long, env = "GATEWAY_LOG_FORMAT", hide_env_values = true, value_name = "FORMAT")]
    pub log_format: Option<String>,
}

/// Where the gateway listens.
#[derive(Args, Clone)]
pub struct ListenArguments {
    /// Address to listen on; port 0 picks one, and the bound address is printed
    #[arg(
        long,
        env = "GATEWAY_LISTEN",
        hide_env_values = true,
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:8080"
    )]
    pub listen: String,
    /// Path prefix behind a proxy, such as /sg-admin/integrations
    #[arg(long, env = "GATEWAY_BASE_PATH", hide_env_values = true, value_name = "PATH")]
    pub base_path: Option<String>,
}

/// Everything that `serve` takes.
#[derive(Args, Clone)]
pub struct ServeArguments {
    /// The newcomer's mode: keys are made once and kept beside the database, tokens are printed, a vendor
    /// to play with stands at /sandbox, introspection is on and loopback may be called
    #[arg(long)]
    pub dev: bool,
    /// Leave the database as it is; the start fails where it is not up to date
    #[arg(long)]
    pub no_migrate: bool,
    #[command(flatten)]
    pub database: DatabaseArguments,
    #[command(flatten)]
    pub listen: ListenArguments,
    /// Where browsers and vendors reach the gateway [default: http:// and the bound address]
    #[arg(long, env = "GATEWAY_PUBLIC_URL", hide_env_values = true, value_name = "URL")]
    pub public_url: Option<String>,
    /// `id:base64` of 32 bytes, comma-separated, the newest first, or @FILE; `keys new` prints one [default:
    /// with --dev made once and kept beside the database]
    #[arg(long, env = "GATEWAY_MASTER_KEYS", hide_env_values = true, value_name = "KEYS|@FILE")]
    pub master_keys: Option<String>,
    #[command(flatten)]
    pub tokens: TokenArguments,
    /// Directory of more connector manifests, beside or over the built-in ones
    #[arg(long, env = "GATEWAY_CONNECTORS_DIR", hide_env_values = true, value_name = "DIR")]
    pub connectors_dir: Option<String>,
    /// TOML file with the client id and secret of each OAuth app that is registered with a vendor [default: none]
    #[arg(long, env = "GATEWAY_OAUTH_APPS", hide_env_values = true, value_name = "FILE")]
    pub oauth_apps: Option<String>,
    /// Origins, comma-separated, that CORS and WebSocket handshakes accept besides the public URL's own
    #[arg(long, env = "GATEWAY_RETURN_ORIGINS", hide_env_values = true, value_name = "ORIGINS")]
    pub return_origins: Option<String>,
    /// CIDR ranges, each with or without a port, that may be called though they are not public, and over http [default: none;
    /// with --dev loopback]
    #[arg(long, env = "GATEWAY_ALLOWED_DESTINATIONS", hide_env_values = true, value_name = "RANGES")]
    pub allowed_destinations: Option<String>,
    /// `host:port=addr:port,...` or `*=addr:port`: dial there instead; TLS names stay
    #[arg(long, env = "GATEWAY_CONNECT_TO", hide_env_values = true, value_name = "RULES")]
    pub connect_to: Option<String>,
    /// PEM file of further trusted roots for vendor calls
    #[arg(long, env = "GATEWAY_EXTRA_CA", hide_env_values = true, value_name = "FILE")]
    pub extra_ca: Option<String>,
    /// Whether the schema may be asked for: `on`, `off`, or `by-capability`, which shows callers what their capabilities reach
    /// [default: by-capability; with --dev on]
    #[arg(long, env = "GATEWAY_INTROSPECTION", hide_env_values = true, value_name = "on|off|by-capability")]
    pub introspection: Option<String>,
    #[command(flatten)]
    pub limits: LimitArguments,
    /// CIDR ranges, comma-separated, of proxies whose `Forwarded` and `X-Forwarded-For` are believed
    #[arg(long, env = "GATEWAY_TRUSTED_PROXIES", hide_env_values = true, value_name = "RANGES")]
    pub trusted_proxies: Option<String>,
    /// How long requests, sockets and vendor calls may take to end at shutdown
    #[arg(
        long,
        env = "GATEWAY_SHUTDOWN_GRACE",
        hide_env_values = true,
        value_name = "DURATION",
        default_value = "30s"
    )]
    pub shutdown_grace: String,
    #[command(flatten)]
    pub log: LogArguments,
}
