//! The commands of the binary, as scripts call them.

use std::process::{Command, Output};

fn gateway(directory: &std::path::Path, arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_integrations-gateway"))
        .args(arguments)
        .env_clear()
        .envs(settings.iter().copied())
        .current_dir(directory)
        .output()
        .expect("the binary runs")
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

#[track_caller]
fn assert_refused(output: &Output, code: i32, name: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(name), "{name} is not named: {said}");
    assert_eq!(said.trim_end().lines().count(), 1, "one line is enough: {said}");
}

#[test]
fn a_wrong_setting_stops_the_start_with_one_line_that_names_it() {
    let directory = directory();
    let keys = ("GATEWAY_MASTER_KEYS", "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    let secret = ("GATEWAY_TOKEN_SECRET", "0123456789abcdef0123456789abcdef");
    for (wrong, name) in [
        (vec![secret], "GATEWAY_MASTER_KEYS"),
        (vec![keys], "GATEWAY_TOKEN_SECRET"),
        (vec![keys, ("GATEWAY_TOKEN_SECRET", "short-planted")], "GATEWAY_TOKEN_SECRET"),
        (vec![secret, ("GATEWAY_MASTER_KEYS", "k1:planted")], "GATEWAY_MASTER_KEYS"),
        (vec![keys, secret, ("DATABASE_URL", "mysql://db")], "DATABASE_URL"),
        (vec![keys, secret, ("GATEWAY_LISTEN", "nowhere")], "GATEWAY_LISTEN"),
        (vec![keys, secret, ("GATEWAY_PUBLIC_URL", "ftp://x")], "GATEWAY_PUBLIC_URL"),
        (vec![keys, secret, ("GATEWAY_ALLOWED_DESTINATIONS", "10.0.0.0/99")], "GATEWAY_ALLOWED_DESTINATIONS"),
        (vec![keys, secret, ("GATEWAY_CONNECT_TO", "a=b=c")], "GATEWAY_CONNECT_TO"),
        (vec![keys, secret, ("GATEWAY_EXTRA_CA", "/no/such/file")], "GATEWAY_EXTRA_CA"),
        (vec![keys, secret, ("GATEWAY_CONNECTORS_DIR", "/no/such/dir")], "GATEWAY_CONNECTORS_DIR"),
        (vec![keys, secret, ("GATEWAY_MAX_BODY", "lots")], "GATEWAY_MAX_BODY"),
        (vec![keys, secret, ("GATEWAY_INTROSPECTION", "maybe")], "GATEWAY_INTROSPECTION"),
    ] {
        let output = gateway(directory.path(), &["serve"], &wrong);
        assert_refused(&output, 2, name);
        assert!(!String::from_utf8_lossy(&output.stderr).contains("planted"), "a secret is repeated");
    }
    let nowhere = ("DATABASE_URL", "postgres://nobody:planted@127.0.0.1:1/none");
    let output = gateway(directory.path(), &["serve"], &[keys, secret, nowhere]);
    assert_refused(&output, 1, "DATABASE_URL");
    assert!(!String::from_utf8_lossy(&output.stderr).contains("planted"), "the password is repeated");
}

#[test]
fn a_database_from_a_newer_version_is_refused() {
    use diesel::{Connection as _, RunQueryDsl as _, SqliteConnection, sql_query};
    let directory = directory();
    let path = directory.path().join("gateway.db");
    let url = format!("sqlite:{}", path.display());
    let output = gateway(directory.path(), &["migrate"], &[("DATABASE_URL", &url)]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut connection = SqliteConnection::establish(path.to_str().expect("a path")).expect("the database");
    sql_query("INSERT INTO __diesel_schema_migrations (version) VALUES ('99999999999999')")
        .execute(&mut connection)
        .expect("a row");
    drop(connection);
    let output = gateway(directory.path(), &["migrate"], &[("DATABASE_URL", &url)]);
    assert_refused(&output, 1, "99999999999999");
}

#[test]
fn token_prints_a_token_and_nothing_else() {
    let directory = directory();
    let settings = [("GATEWAY_TOKEN_SECRET", "0123456789abcdef0123456789abcdef")];
    for arguments in [
        &["token", "--site", "1", "--operator", "7", "--role", "Viewer"][..],
        &["token", "--site", "1", "--module", "forms", "--ttl", "1h"],
    ] {
        let output = gateway(directory.path(), arguments, &settings);
        let printed = String::from_utf8(output.stdout).expect("text");
        assert!(output.status.success() && output.stderr.is_empty());
        assert_eq!(printed.trim_end().split('.').count(), 3, "{printed}");
        assert_eq!(printed.lines().count(), 1);
    }
    let both = gateway(directory.path(), &["token", "--site", "1", "--module", "forms", "--operator", "1"], &settings);
    assert_eq!(both.status.code(), Some(2));
}

#[test]
fn connectors_are_listed_and_checked() {
    let directory = directory();
    let list = gateway(directory.path(), &["connectors", "list"], &[]);
    let printed = String::from_utf8(list.stdout).expect("text");
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/connectors");
    let files = std::fs::read_dir(shipped).expect("the connectors").map(|file| file.expect("a file").path());
    let manifests = files.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    for slug in manifests.map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned()) {
        assert!(printed.contains(&slug), "{slug}: {printed}");
    }
    assert!(gateway(directory.path(), &["connectors", "check", shipped], &[]).status.success());

    let stripe = std::fs::read_to_string(format!("{shipped}/stripe.toml")).expect("a manifest");
    let leaving = stripe.replacen("url = \"/v1/account\"", "url = \"/v1/account\", sunset = \"2000-01-01\"", 1);
    std::fs::create_dir(directory.path().join("leaving")).expect("a directory");
    std::fs::write(directory.path().join("leaving/stripe.toml"), &leaving).expect("written");
    let check = gateway(directory.path(), &["connectors", "check", "leaving"], &[]);
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    let line = leaving.lines().position(|line| line.contains("2000-01-01")).expect("a line") + 1;
    assert!(check.status.success(), "a sunset is no fault");
    assert!(said.contains(&format!("leaving/stripe.toml:{line}:")) && said.contains("off on 2000-01-01"), "{said}");
    assert!(said.ends_with("1 manifests, no fault\n"), "{said}");

    let broken = "version = 1\nslug = \"Bad Slug\"\nname = \"Broken\"\nfamily = \"nonsense\"\ndescripton = \"x\"\n";
    std::fs::write(directory.path().join("broken.toml"), broken).expect("written");
    let check = gateway(directory.path(), &["connectors", "check", "."], &[]);
    assert_eq!(check.status.code(), Some(1));
    let said = [String::from_utf8_lossy(&check.stdout), String::from_utf8_lossy(&check.stderr)].concat();
    for place in [
        "broken.toml:2:8: `slug` must be lower-case",
        "broken.toml:4:10: `family` cannot be `nonsense`; known here: google",
        "broken.toml:5:1: unknown key `descripton`; did you mean `description`?",
    ] {
        assert!(said.contains(place), "{place} is not there: {said}");
    }
}

#[test]
fn the_schema_is_the_committed_one() {
    let directory = directory();
    let printed = gateway(directory.path(), &["schema"], &[]).stdout;
    let committed = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/schema.graphql"));
    assert!(printed == committed, "schema.graphql is not what `schema` prints: run `make schema`");
}

#[test]
fn a_master_key_that_the_database_needs_must_be_given() {
    use diesel::{Connection as _, RunQueryDsl as _, SqliteConnection, sql_query};
    let directory = directory();
    let path = directory.path().join("gateway.db");
    let url = format!("sqlite:{}", path.display());
    assert!(gateway(directory.path(), &["migrate"], &[("DATABASE_URL", &url)]).status.success());
    let mut connection = SqliteConnection::establish(path.to_str().expect("a path")).expect("the database");
    sql_query("INSERT INTO sites (site_id, created_at) VALUES (1, 0)").execute(&mut connection).expect("a row");
    sql_query(
        "INSERT INTO site_keys (site_id, version, master_key_id, wrapped, created_at) VALUES (1, 1, 'lost', x'00', 0)",
    )
    .execute(&mut connection)
    .expect("a row");
    drop(connection);
    let settings = [
        ("DATABASE_URL", url.as_str()),
        ("GATEWAY_MASTER_KEYS", "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
        ("GATEWAY_TOKEN_SECRET", "0123456789abcdef0123456789abcdef"),
        ("GATEWAY_LISTEN", "127.0.0.1:0"),
    ];
    assert_refused(&gateway(directory.path(), &["serve"], &settings), 2, "\"lost\"");
}
