//! Reading the address of the database. What is wrong with one is said without repeating it, since it
//! may hold a password.

use std::time::Duration;

use tokio_postgres::config::{Host, SslMode};

use super::{
    database::DatabaseSettings,
    error::{Result, StoreError},
    postgres::Server,
    tls,
};

const RIGHT: &str = "right are `sqlite:data/gateway.db` and `postgres://user:password@host:5432/gateway`";

/// Where the database is.
pub(super) enum Address {
    /// A file's path.
    Sqlite(String),
    Postgres(Box<Server>),
}

impl Address {
    /// Reads the settings.
    pub(super) fn parse(settings: &DatabaseSettings) -> Result<Self> {
        let url = settings.url.as_str();
        if let Some(path) = url.strip_prefix("sqlite:") {
            return sqlite(path);
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return postgres(url, settings.ca_pem.as_deref());
        }
        Err(wrong("it begins with neither `sqlite:` nor `postgres://`"))
    }
}

fn wrong(what: &str) -> StoreError {
    StoreError::InvalidUrl(format!("DATABASE_URL: {what}; {RIGHT}"))
}

fn sqlite(path: &str) -> Result<Address> {
    if path.is_empty() {
        return Err(wrong("it names no file"));
    }
    if path.starts_with(":memory:") || path.starts_with("file:") || path.starts_with("//") || path.contains('\0') {
        return Err(wrong("after `sqlite:` comes the path of a file, and nothing else"));
    }
    Ok(Address::Sqlite(path.to_owned()))
}

/// `sslmode` as libpq knows it; tokio-postgres knows the first three. The certificate is checked whenever
/// TLS is used, so that `verify-ca` and `verify-full` ask for nothing more than `require`.
fn ssl_mode(value: &str) -> Option<SslMode> {
    match value {
        "disable" => Some(SslMode::Disable),
        "prefer" => Some(SslMode::Prefer),
        "require" | "verify-ca" | "verify-full" => Some(SslMode::Require),
        _ => None,
    }
}

fn postgres(url: &str, ca_pem: Option<&[u8]>) -> Result<Address> {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let (mode, rest): (Vec<&str>, Vec<&str>) =
        query.split('&').filter(|pair| !pair.is_empty()).partition(|pair| pair.starts_with("sslmode="));
    let asked = match mode.as_slice() {
        [] => None,
        [pair, ..] => Some(
            ssl_mode(&pair["sslmode=".len()..])
                .ok_or_else(|| wrong("`sslmode` is one of disable, prefer, require, verify-ca and verify-full"))?,
        ),
    };
    let mut config: tokio_postgres::Config =
        format!("{base}?{}", rest.join("&")).parse().map_err(|error: tokio_postgres::Error| {
            let cause = std::error::Error::source(&error).map(|cause| format!(" ({cause})")).unwrap_or_default();
            wrong(&format!("it cannot be read{cause}"))
        })?;
    if config.get_hosts().is_empty() {
        return Err(wrong("it names no host"));
    }
    let local = config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)));
    let mode = match (asked, ca_pem) {
        (Some(SslMode::Disable), Some(_)) => {
            return Err(wrong("`sslmode=disable` contradicts GATEWAY_DATABASE_CA"));
        }
        // TLS is not spoken over a socket of the same machine.
        _ if local => SslMode::Disable,
        (Some(mode), _) => mode,
        (None, Some(_)) => SslMode::Require,
        (None, None) => SslMode::Disable,
    };
    config.ssl_mode(mode);
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(Duration::from_secs(5));
    }
    if config.get_application_name().is_none() {
        config.application_name("integrations-gateway");
    }
    let tls = if mode == SslMode::Disable { None } else { Some(tls::connector(ca_pem)?) };
    Ok(Address::Postgres(Box::new(Server { config, tls })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str, ca_pem: Option<Vec<u8>>) -> Result<Address> {
        Address::parse(&DatabaseSettings { url: url.to_owned(), pool: 1, ca_pem })
    }

    fn mode(url: &str) -> SslMode {
        match parse(url, None) {
            Ok(Address::Postgres(server)) => server.config.get_ssl_mode(),
            Ok(Address::Sqlite(_)) => panic!("{url} is no file"),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for url in [
            "mysql://u:hunter2@h/d",
            "postgres://u:hunter2@h:99999/d",
            "postgres://u:hunter2@h/d?sslmode=maybe",
            "postgres://u:hunter2@h/d?colour=hunter2",
            "postgres://u:hunter2@/d",
            "sqlite:",
            "sqlite::memory:",
            "sqlite://hunter2",
        ] {
            let Err(StoreError::InvalidUrl(text)) = parse(url, None) else { panic!("{url} was taken") };
            assert!(!text.contains("hunter2"), "{text}");
            assert!(text.starts_with("DATABASE_URL: ") && text.contains("sqlite:data/gateway.db"), "{text}");
        }
    }

    #[test]
    fn a_path_is_kept_as_it_is() {
        for path in ["data/gateway.db", "/var/lib/gateway/a b.db", "g.db"] {
            assert!(matches!(parse(&format!("sqlite:{path}"), None), Ok(Address::Sqlite(read)) if read == path));
        }
    }

    #[test]
    fn tls_is_spoken_where_it_is_asked_for() {
        assert_eq!(mode("postgres://u@h/d"), SslMode::Disable);
        assert_eq!(mode("postgres://u@h/d?sslmode=prefer"), SslMode::Prefer);
        assert_eq!(mode("postgres://u@h/d?application_name=x&sslmode=require"), SslMode::Require);
        assert_eq!(mode("postgresql://u@h/d?sslmode=verify-full"), SslMode::Require);
        assert_eq!(mode("postgres:///d?host=/run/postgresql&user=u"), SslMode::Disable);
    }

    #[test]
    fn a_broken_ca_file_is_refused() {
        assert!(matches!(parse("postgres://u@h/d", Some(b"no PEM".to_vec())), Err(StoreError::InvalidUrl(_))));
    }
}
