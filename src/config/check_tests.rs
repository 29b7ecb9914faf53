use clap::{CommandFactory as _, FromArgMatches as _, Parser};

use super::*;
use crate::domain::secret::SecretBytes;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    serve: ServeArguments,
}

struct Counting;

impl Entropy for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.iter_mut().zip(1..).for_each(|(byte, n)| *byte = n);
    }
}

/// The arguments with the environment of the test run left out.
fn arguments(list: &[&str]) -> ServeArguments {
    let command = Cli::command().mut_args(|argument| argument.env(None));
    let matches = command.get_matches_from([&["test"], list].concat());
    Cli::from_arg_matches(&matches).expect("arguments").serve
}

fn checked(list: &[&str]) -> Result<Config, Vec<String>> {
    check(&arguments(list), &Counting).map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

const SECRET: &str = "a token secret of tests that is long enough";
const KEYS: &str = "k1:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";

fn with(list: &[&str]) -> Result<Config, Vec<String>> {
    checked(&[&["--token-secret", SECRET, "--master-keys", KEYS], list].concat())
}

#[test]
fn defaults_are_as_documented() {
    let config = with(&[]).expect("right");
    assert_eq!(config.database.url.expose(), "sqlite:data/gateway.db");
    assert_eq!((config.listen.to_string(), config.base_path.as_str()), ("127.0.0.1:8080".to_owned(), ""));
    assert_eq!(
        (config.limits.max_body, config.limits.max_payload, config.limits.max_subscriptions),
        (1 << 20, 256 << 10, 100)
    );
    assert_eq!((config.introspection, config.dev, config.migrate), (Introspection::ByCapability, false, true));
    assert!(config.allowed_destinations.is_empty());
    assert_eq!(config.public_url_at("127.0.0.1:1234".parse().expect("an address")).as_str(), "http://127.0.0.1:1234/");
}

#[test]
fn an_empty_value_counts_as_not_set() {
    let config = with(&["--listen=", "--public-url=", "--max-body=", "--token-issuer= ", "--database-url="]);
    let config = config.expect("right");
    assert_eq!((config.limits.max_body, config.tokens.issuer, config.public_url), (1 << 20, None, None));
}

#[test]
fn what_is_missing_is_named() {
    let faults = checked(&[]).expect_err("nothing is set");
    assert_eq!(
        faults,
        [
            "GATEWAY_MASTER_KEYS: is missing (with --dev it is made); a right value is what `integrations-gateway keys new` prints",
            "GATEWAY_TOKEN_SECRET: is missing (with --dev it is made); a right value is at least 32 random bytes, as `openssl rand -base64 32` prints, or @FILE",
        ]
    );
}

#[test]
fn each_wrong_value_is_told_in_one_line() {
    for (flag, value, name) in [
        ("--database-url", "mysql://u:hunter2@h/d", "DATABASE_URL"),
        ("--database-url", "postgres://u:hunter2@h", "DATABASE_URL"),
        ("--database-url", "postgres://u:hunter2@h:port/d", "DATABASE_URL"),
        ("--database-url", "sqlite:", "DATABASE_URL"),
        ("--database-url", "sqlite::memory:", "DATABASE_URL"),
        ("--database-pool", "1", "GATEWAY_DATABASE_POOL"),
        ("--database-ca", "/nowhere/ca.pem", "GATEWAY_DATABASE_CA"),
        ("--listen", "localhost:8080", "GATEWAY_LISTEN"),
        ("--listen", "127.0.0.1", "GATEWAY_LISTEN"),
        ("--public-url", "gateway.example", "GATEWAY_PUBLIC_URL"),
        ("--public-url", "https://gateway.example/x", "GATEWAY_PUBLIC_URL"),
        ("--base-path", "x y", "GATEWAY_BASE_PATH"),
        ("--master-keys", "hunter2", "GATEWAY_MASTER_KEYS"),
        ("--master-keys", "@/nowhere/keys", "GATEWAY_MASTER_KEYS"),
        ("--token-secret", "hunter2", "GATEWAY_TOKEN_SECRET"),
        ("--token-secret", "@/nowhere/secret", "GATEWAY_TOKEN_SECRET"),
        ("--connectors-dir", "/nowhere", "GATEWAY_CONNECTORS_DIR"),
        ("--return-origins", "https://a.example/x", "GATEWAY_RETURN_ORIGINS"),
        ("--allowed-destinations", "everywhere", "GATEWAY_ALLOWED_DESTINATIONS"),
        ("--connect-to", "there", "GATEWAY_CONNECT_TO"),
        ("--extra-ca", "/nowhere/ca.pem", "GATEWAY_EXTRA_CA"),
        ("--introspection", "some", "GATEWAY_INTROSPECTION"),
        ("--max-body", "1GB", "GATEWAY_MAX_BODY"),
        ("--max-payload", "lots", "GATEWAY_MAX_PAYLOAD"),
        ("--max-queued", "0", "GATEWAY_MAX_QUEUED"),
        ("--max-document", "2MiB", "GATEWAY_MAX_DOCUMENT"),
        ("--max-tokens", "99", "GATEWAY_MAX_TOKENS"),
        ("--max-depth", "41", "GATEWAY_MAX_DEPTH"),
        ("--max-cost", "none", "GATEWAY_MAX_COST"),
        ("--max-sockets", "0", "GATEWAY_MAX_SOCKETS"),
        ("--max-subscriptions", "0", "GATEWAY_MAX_SUBSCRIPTIONS"),
        ("--max-connections", "9", "GATEWAY_MAX_CONNECTIONS"),
        ("--max-connections-per-address", "0", "GATEWAY_MAX_CONNECTIONS_PER_ADDRESS"),
        ("--rate-limit", "200", "GATEWAY_RATE_LIMIT"),
        ("--address-rate-limit", "0/s", "GATEWAY_ADDRESS_RATE_LIMIT"),
        ("--trusted-proxies", "proxy.example", "GATEWAY_TRUSTED_PROXIES"),
        ("--shutdown-grace", "30", "GATEWAY_SHUTDOWN_GRACE"),
    ] {
        let mut list = vec![flag, value];
        for (other, right) in [("--token-secret", SECRET), ("--master-keys", KEYS)] {
            if other != flag {
                list.extend([other, right]);
            }
        }
        let faults = checked(&list).expect_err(value);
        assert_eq!(faults.len(), 1, "{flag} {value}: {faults:?}");
        assert!(faults[0].starts_with(&format!("{name}: ")) && faults[0].contains("; a right value is "), "{faults:?}");
        assert!(!faults[0].contains('\n') && !faults[0].contains("hunter2"), "{faults:?}");
    }
}

#[test]
fn all_faults_are_told_at_once() {
    let faults = with(&["--listen", "x", "--max-body", "x", "--introspection", "x"]).expect_err("three");
    assert_eq!(faults.len(), 3, "{faults:?}");
}

#[test]
fn dev_makes_its_keys_once_beside_the_database() {
    let home = tempfile::tempdir().expect("a directory");
    let url = format!("sqlite:{}/data/gateway.db", home.path().display());
    let dev = ["--dev", "--database-url", &url];
    let faults = checked(&[&dev[..], &["--max-body", "x"]].concat()).expect_err("one");
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(!home.path().join("data").exists(), "a start that fails leaves nothing behind");

    let first = checked(&dev).expect("right");
    assert!(first.dev && first.introspection == Introspection::On);
    assert!(!first.allowed_destinations.is_empty());
    let second = checked(&dev).expect("right again");
    assert_eq!(first.tokens.secret, second.tokens.secret);
    assert!(home.path().join("data").join(keyfile::MASTER_KEYS).exists());

    let arguments = arguments(&dev);
    let found = check_tokens(&arguments.tokens, Some(&arguments.database.url)).expect("found beside the database");
    assert_eq!(found.secret, first.tokens.secret);
    let set = checked(&[&dev[..], &["--token-secret", SECRET, "--introspection", "off"]].concat()).expect("right");
    let secret = set.tokens.secret.as_ref().map(SecretBytes::expose);
    assert_eq!(secret, Some(SECRET.as_bytes()), "what is set wins");
    assert_eq!(set.introspection, Introspection::Off);
}

#[test]
fn dev_stays_on_loopback() {
    let home = tempfile::tempdir().expect("a directory");
    let url = format!("sqlite:{}/gateway.db", home.path().display());
    let faults = checked(&["--dev", "--database-url", &url, "--listen", "0.0.0.0:8080"]).expect_err("refused");
    assert!(faults[0].starts_with("GATEWAY_LISTEN: "), "{faults:?}");
}

#[test]
fn without_a_secret_there_is_no_token() {
    let home = tempfile::tempdir().expect("a directory");
    let arguments = arguments(&["--database-url", &format!("sqlite:{}/gateway.db", home.path().display())]);
    let faults = check_tokens(&arguments.tokens, Some(&arguments.database.url)).expect_err("there is none");
    assert!(faults[0].to_string().starts_with("GATEWAY_TOKEN_SECRET: is not set"), "{faults:?}");
}

#[test]
fn a_provider_needs_an_issuer_and_an_audience_and_no_secret() {
    let provider = ["--master-keys", KEYS, "--jwks-url", "https://id.example/jwks?v=1"];
    let faults = checked(&provider).expect_err("two are missing");
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults[0].starts_with("GATEWAY_TOKEN_ISSUER: must be set beside GATEWAY_JWKS_URL"), "{faults:?}");
    assert!(faults[1].starts_with("GATEWAY_TOKEN_AUDIENCE: "), "{faults:?}");
    let whole = [&provider[..], &["--token-issuer", "https://id.example", "--token-audience", "us"]].concat();
    let config = checked(&whole).expect("right");
    assert!(config.tokens.secret.is_none());
    assert_eq!(config.tokens.jwks.as_ref().map(url::Url::as_str), Some("https://id.example/jwks?v=1"));
    let both = checked(&[&whole[..], &["--token-secret", SECRET]].concat()).expect("right");
    assert!(both.tokens.secret.is_some() && both.tokens.jwks.is_some());
    for wrong in ["id.example/jwks", "ftp://id.example/", "https://u:p@id.example/", "https://id.example/#k"] {
        let faults = with(&["--jwks-url", wrong]).expect_err("wrong");
        assert!(faults[0].starts_with("GATEWAY_JWKS_URL: ") && !faults[0].contains("u:p"), "{faults:?}");
    }
}

#[test]
fn secrets_are_in_no_debug_text() {
    let config = with(&["--database-url", "postgres://u:hunter2@h/d"]).expect("right");
    let text = format!("{config:?}");
    for secret in [SECRET, "hunter2", "AQIDBAUG"] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[test]
fn a_log_filter_is_checked() {
    let mut log = arguments(&[]).log;
    assert_eq!(check_log(&log).expect("right").filter, "info");
    log.log = "integrations_gateway=loud".to_owned();
    log.log_format = Some("xml".to_owned());
    let faults = check_log(&log).expect_err("both");
    assert_eq!(faults.iter().map(|fault| fault.name).collect::<Vec<_>>(), ["GATEWAY_LOG", "GATEWAY_LOG_FORMAT"]);
}
