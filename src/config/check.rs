//! From texts to a [`Config`]: every setting is looked at, and every fault told, before anything starts.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use super::{
    Config, DatabaseSettings, LogFormat, LogSettings, WrongSetting,
    arguments::{
        DatabaseArguments, DatabaseUrlArgument, ListenArguments, LogArguments, ServeArguments, TokenArguments,
    },
    keyfile, limits, oauth_apps, values,
};
use crate::{
    domain::{clock::Entropy, secret::Secret, secret::SecretBytes},
    egress::{AllowedDestination, ConnectTo},
    graphql::Introspection,
    vault::MasterKeys,
    web::TokenSettings,
};

/// What `--dev` allows to be called unless the setting says otherwise.
const LOOPBACK: &str = "127.0.0.0/8,::1/128";
/// The shortest token secret, in bytes: HS256 wants no less (RFC 7518, section 3.2).
const TOKEN_SECRET_MIN: usize = 32;
/// A right value of `DATABASE_URL`.
const DATABASE_URL: &str = "sqlite:data/gateway.db or postgres://gateway@localhost/gateway";

/// Where the database lies unless the setting says otherwise.
const DATABASE_URL_DEFAULT: &str = "sqlite:data/gateway.db";
/// What a token secret is like.
const TOKEN_SECRET_EXAMPLE: &str = "at least 32 random bytes, as `openssl rand -base64 32` prints, or @FILE";

/// Gathers faults, so that one start tells all of them.
#[derive(Default)]
pub(super) struct Faults(Vec<WrongSetting>);

impl Faults {
    /// Takes note of a fault of the setting `name`; `example` is what would be right.
    pub(super) fn note<T>(
        &mut self,
        name: &'static str,
        example: &'static str,
        outcome: Result<T, String>,
    ) -> Option<T> {
        outcome
            .map_err(|problem| {
                // One line, whatever a library's message looks like.
                let problem = problem.replace(['\n', '\r'], " ");
                self.0.push(WrongSetting { name, problem, example });
            })
            .ok()
    }

    fn merge<T>(&mut self, outcome: Result<T, Vec<WrongSetting>>) -> Option<T> {
        outcome.map_err(|faults| self.0.extend(faults)).ok()
    }
}

/// An empty value counts as not set.
fn given(value: Option<&String>) -> Option<&str> {
    value.map(|value| value.trim()).filter(|value| !value.is_empty())
}

/// A value that has a default.
pub(super) fn or<'a>(value: &'a str, default: &'a str) -> &'a str {
    if value.trim().is_empty() { default } else { value.trim() }
}

/// Checks the settings of `serve`. With `--dev`, and only where everything is right, makes the keys that are
/// not set and not there yet.
///
/// # Errors
/// Every setting that is wrong or missing.
#[expect(clippy::too_many_lines, reason = "one list of all settings, so that none is forgotten")]
pub fn check(arguments: &ServeArguments, entropy: &dyn Entropy) -> Result<Config, Vec<WrongSetting>> {
    let dev = arguments.dev;
    let mut faults = Faults::default();
    let database = faults.merge(check_database(&arguments.database));
    let listen = faults.note("GATEWAY_LISTEN", "127.0.0.1:8080", listen_address(&arguments.listen.listen, dev));
    let base_path = values::base_path(given(arguments.listen.base_path.as_ref()).unwrap_or_default());
    let base_path = faults.note("GATEWAY_BASE_PATH", "/sg-admin/integrations", base_path);
    let public_url = given(arguments.public_url.as_ref())
        .map(|url| values::public_url(url, base_path.as_deref().unwrap_or_default()))
        .transpose();
    let public_url = faults.note("GATEWAY_PUBLIC_URL", "https://gateway.example.com", public_url);
    let connectors_dir = given(arguments.connectors_dir.as_ref()).map(values::directory).transpose();
    let connectors_dir = faults.note("GATEWAY_CONNECTORS_DIR", "/etc/gateway/connectors", connectors_dir);
    let apps = given(arguments.oauth_apps.as_ref()).map_or_else(|| Ok(HashMap::new()), oauth_apps::read);
    let apps = faults.note("GATEWAY_OAUTH_APPS", "/etc/gateway/oauth-apps.toml", apps);
    let return_origins = values::origins(given(arguments.return_origins.as_ref()).unwrap_or_default());
    let return_origins = faults.note("GATEWAY_RETURN_ORIGINS", "https://console.example.com", return_origins);
    let ranges = given(arguments.allowed_destinations.as_ref()).or(dev.then_some(LOOPBACK));
    let allowed = ranges.map_or_else(|| Ok(Vec::new()), AllowedDestination::parse_list);
    let allowed = faults.note("GATEWAY_ALLOWED_DESTINATIONS", "127.0.0.0/8,10.1.2.0/24:8443", allowed);
    let connect_to = given(arguments.connect_to.as_ref()).map_or_else(|| Ok(Vec::new()), ConnectTo::parse_list);
    let connect_to = faults.note("GATEWAY_CONNECT_TO", "api.example.com:443=127.0.0.1:9000", connect_to);
    let extra_ca = given(arguments.extra_ca.as_ref()).map(values::certificates).transpose();
    let extra_ca = faults.note("GATEWAY_EXTRA_CA", "/etc/gateway/roots.pem", extra_ca);
    let introspection = introspection(given(arguments.introspection.as_ref()), dev);
    let introspection = faults.note("GATEWAY_INTROSPECTION", "by-capability", introspection);
    let limits = limits::check(&arguments.limits, &mut faults);
    let trusted_proxies = values::ranges(given(arguments.trusted_proxies.as_ref()).unwrap_or_default());
    let trusted_proxies = faults.note("GATEWAY_TRUSTED_PROXIES", "10.0.0.0/8,192.168.1.7", trusted_proxies);
    let shutdown_grace = values::duration(or(&arguments.shutdown_grace, "30s"));
    let shutdown_grace = faults.note("GATEWAY_SHUTDOWN_GRACE", "30s", shutdown_grace);

    // Keys are made last, so that a start that fails leaves nothing behind.
    let keys_directory = (dev && faults.0.is_empty()).then(|| directory_beside(&arguments.database.url));
    let master_keys = match (given(arguments.master_keys.as_ref()), &keys_directory) {
        (Some(text), _) => Some(values::secret(text)),
        (None, Some(directory)) => Some(
            keyfile::read_or_make(directory, keyfile::MASTER_KEYS, || keyfile::new_master_key(entropy))
                .map(|keys| keys.expose().to_owned()),
        ),
        (None, None) if dev => None,
        (None, None) => Some(Err("is missing (with --dev it is made)".to_owned())),
    };
    let master_keys = master_keys.and_then(|keys| {
        let keys = keys.and_then(|keys| MasterKeys::parse(&keys));
        faults.note("GATEWAY_MASTER_KEYS", "what `integrations-gateway keys new` prints", keys)
    });
    let tokens = match &keys_directory {
        Some(directory) if given(arguments.tokens.token_secret.as_ref()).is_none() => {
            let secret = keyfile::read_or_make(directory, keyfile::TOKEN_SECRET, || keyfile::new_token_secret(entropy));
            faults
                .note("GATEWAY_TOKEN_SECRET", TOKEN_SECRET_EXAMPLE, secret)
                .and_then(|secret| faults.merge(tokens_with(Some(&secret), &arguments.tokens)))
        }
        None if dev && given(arguments.tokens.token_secret.as_ref()).is_none() => None,
        _ => faults.merge(check_tokens(&arguments.tokens, None)),
    };

    let (
        Some(database),
        Some(listen),
        Some(base_path),
        Some(public_url),
        Some(connectors_dir),
        Some(oauth_apps),
        Some(return_origins),
        Some(allowed_destinations),
        Some(connect_to),
        Some(extra_ca),
        Some(introspection),
        Some(limits),
        Some(trusted_proxies),
        Some(shutdown_grace),
        Some(master_keys),
        Some(tokens),
    ) = (
        database,
        listen,
        base_path,
        public_url,
        connectors_dir,
        apps,
        return_origins,
        allowed,
        connect_to,
        extra_ca,
        introspection,
        limits,
        trusted_proxies,
        shutdown_grace,
        master_keys,
        tokens,
    )
    else {
        return Err(faults.0);
    };
    Ok(Config {
        database,
        listen,
        public_url,
        base_path,
        master_keys,
        tokens,
        connectors_dir,
        oauth_apps,
        return_origins,
        allowed_destinations,
        connect_to,
        extra_ca,
        introspection,
        limits,
        trusted_proxies,
        shutdown_grace,
        dev,
        migrate: !arguments.no_migrate,
    })
}

/// Checks where a gateway of this machine listens.
///
/// # Errors
/// The setting, if it is wrong or lets the system choose the port.
pub fn check_listen(arguments: &ListenArguments) -> Result<std::net::SocketAddr, Vec<WrongSetting>> {
    let address = listen_address(&arguments.listen, false).and_then(|address| {
        if address.port() == 0 { Err("has port 0, which nobody can call".to_owned()) } else { Ok(address) }
    });
    let mut faults = Faults::default();
    faults.note("GATEWAY_LISTEN", "127.0.0.1:8080", address).ok_or(faults.0)
}

fn listen_address(text: &str, dev: bool) -> Result<std::net::SocketAddr, String> {
    let text = or(text, "127.0.0.1:8080");
    let address: std::net::SocketAddr =
        text.parse().map_err(|_| format!("{text:?} is not an IP address with a port"))?;
    if dev && !address.ip().is_loopback() {
        return Err(format!("with --dev anybody who reaches {text} could use the sandbox: listen on loopback"));
    }
    Ok(address)
}

fn introspection(text: Option<&str>, dev: bool) -> Result<Introspection, String> {
    match text {
        None if dev => Ok(Introspection::On),
        None | Some("by-capability") => Ok(Introspection::ByCapability),
        Some("on") => Ok(Introspection::On),
        Some("off") => Ok(Introspection::Off),
        Some(other) => Err(format!("{other:?} is none of on, off and by-capability")),
    }
}

/// Checks how to reach the database.
///
/// # Errors
/// Every setting that is wrong.
pub fn check_database(arguments: &DatabaseArguments) -> Result<DatabaseSettings, Vec<WrongSetting>> {
    let mut faults = Faults::default();
    // The URL may hold a password, so no fault repeats it.
    let url = or(&arguments.url.database_url, DATABASE_URL_DEFAULT);
    let checked = match url.split_once(':') {
        Some(("sqlite", path)) if path.trim_start_matches('/').is_empty() => Err("names no file".to_owned()),
        Some(("sqlite", path)) if path.contains(":memory:") => {
            Err("names a database in memory, which ends with its connection; name a file".to_owned())
        }
        Some(("sqlite", _)) => Ok(Secret::from(url)),
        Some(("postgres" | "postgresql", _)) => match url::Url::parse(url) {
            Ok(parsed) if parsed.path().len() > 1 => Ok(Secret::from(url)),
            Ok(_) => Err("names no database".to_owned()),
            Err(error) => Err(format!("is not a URL: {error}")),
        },
        _ => Err("begins with neither sqlite: nor postgres:".to_owned()),
    };
    let url = faults.note("DATABASE_URL", DATABASE_URL, checked);
    let pool = values::number(or(&arguments.database_pool, "10"), 2..=1_000);
    let pool = faults.note("GATEWAY_DATABASE_POOL", "10", pool);
    let ca = given(arguments.database_ca.as_ref()).map(values::certificates).transpose();
    let ca = faults.note("GATEWAY_DATABASE_CA", "/etc/gateway/database.pem", ca);
    match (url, pool, ca) {
        (Some(url), Some(pool), Some(ca)) => Ok(DatabaseSettings { url, pool, ca }),
        _ => Err(faults.0),
    }
}

/// The directory in which the database's file lies, `data` for a database elsewhere.
fn directory_beside(arguments: &DatabaseUrlArgument) -> PathBuf {
    match or(&arguments.database_url, DATABASE_URL_DEFAULT).strip_prefix("sqlite:") {
        Some(path) => {
            let path = path.strip_prefix("//").unwrap_or(path);
            let path = path.split_once('?').map_or(path, |(path, _)| path);
            Path::new(path).parent().unwrap_or(Path::new(".")).to_path_buf()
        }
        None => PathBuf::from("data"),
    }
}

/// Checks what tokens are signed with. Where the secret is not set, it is read from beside the database, if
/// the caller names that.
///
/// # Errors
/// Every setting that is wrong or missing.
pub fn check_tokens(
    arguments: &TokenArguments,
    beside: Option<&DatabaseUrlArgument>,
) -> Result<TokenSettings, Vec<WrongSetting>> {
    let secret = match (given(arguments.token_secret.as_ref()), beside) {
        (Some(text), _) => values::secret(text).map(Secret::new),
        // The identity provider's tokens are all that are taken.
        (None, None) if given(arguments.jwks_url.as_ref()).is_some() => return tokens_with(None, arguments),
        (None, Some(database)) => {
            let path = directory_beside(database).join(keyfile::TOKEN_SECRET);
            keyfile::read(&path).map_err(|error| {
                format!("is not set, and {} beside the database cannot be used: {error}", path.display())
            })
        }
        (None, None) => Err("is missing (with --dev it is made)".to_owned()),
    };
    let secret = secret.and_then(|secret| {
        let length = secret.expose().len();
        if length < TOKEN_SECRET_MIN { Err(format!("has only {length} bytes")) } else { Ok(secret) }
    });
    let mut faults = Faults::default();
    match faults.note("GATEWAY_TOKEN_SECRET", TOKEN_SECRET_EXAMPLE, secret) {
        Some(secret) => tokens_with(Some(&secret), arguments),
        None => Err(faults.0),
    }
}

fn tokens_with(secret: Option<&Secret>, arguments: &TokenArguments) -> Result<TokenSettings, Vec<WrongSetting>> {
    let mut faults = Faults::default();
    let jwks = given(arguments.jwks_url.as_ref()).map(values::address).transpose();
    let jwks = faults.note("GATEWAY_JWKS_URL", "https://id.example/.well-known/jwks.json", jwks);
    let (issuer, audience) = (given(arguments.token_issuer.as_ref()), given(arguments.token_audience.as_ref()));
    if matches!(jwks, Some(Some(_))) {
        // Else a token that the provider has made for somebody else would be good here.
        for (name, value, example) in [
            ("GATEWAY_TOKEN_ISSUER", issuer, "https://id.example"),
            ("GATEWAY_TOKEN_AUDIENCE", audience, "integrations-gateway"),
        ] {
            let set = value.map(drop).ok_or_else(|| "must be set beside GATEWAY_JWKS_URL".to_owned());
            faults.note(name, example, set);
        }
    }
    match jwks {
        Some(jwks) if faults.0.is_empty() => Ok(TokenSettings {
            secret: secret.map(|secret| SecretBytes::new(secret.expose().as_bytes().to_vec())),
            jwks,
            issuer: issuer.map(str::to_owned),
            audience: audience.map(str::to_owned),
        }),
        _ => Err(faults.0),
    }
}

/// Checks what is logged.
///
/// # Errors
/// Every setting that is wrong.
pub fn check_log(arguments: &LogArguments) -> Result<LogSettings, Vec<WrongSetting>> {
    let mut faults = Faults::default();
    let filter = or(&arguments.log, "info");
    let checked = tracing_subscriber::EnvFilter::try_new(filter)
        .map(|_| filter.to_owned())
        .map_err(|error| format!("{filter:?} is not a filter: {error}"));
    let filter = faults.note("GATEWAY_LOG", "info,integrations_gateway=debug", checked);
    let format = match given(arguments.log_format.as_ref()) {
        None => Ok(None),
        Some("text") => Ok(Some(LogFormat::Text)),
        Some("json") => Ok(Some(LogFormat::Json)),
        Some(other) => Err(format!("{other:?} is neither text nor json")),
    };
    let format = faults.note("GATEWAY_LOG_FORMAT", "json", format);
    match (filter, format) {
        (Some(filter), Some(format)) => Ok(LogSettings { filter, format }),
        _ => Err(faults.0),
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
