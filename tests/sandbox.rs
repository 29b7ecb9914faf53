//! The vendor to play with, over a real socket: where it stands, and its connector.

mod client;
mod connector;
mod oauth;
mod switches;

use integrations_gateway::{
    connector::{Library, LoadOptions, Operation, Source, built_in, manifest_schema},
    domain::connector::AuthFlow,
    sandbox::Sandbox,
};
use reqwest::Method;
use serde_json::{Value, json};

use self::client::{Client, read};
use crate::support::{
    app::TestApp,
    clock::{ManualClock, SeededEntropy},
};

#[tokio::test]
async fn the_metadata_names_what_there_is() {
    let client = Client::start().await;
    let metadata = read(client.request(Method::GET, "/.well-known/oauth-authorization-server/sandbox")).await.json();
    assert_eq!(metadata["issuer"], format!("{}/sandbox", client.app.url));
    for name in ["authorization", "token", "revocation", "introspection"] {
        let address = metadata[format!("{name}_endpoint")].as_str().expect("an address");
        let path = address.strip_prefix(&client.app.url).expect("the gateway's own");
        // Each is there, and takes what it takes: a page, or the form of a client.
        let (method, expected) = if name == "authorization" { (Method::GET, 400) } else { (Method::POST, 400) };
        assert_eq!(read(client.request(method, path)).await.status, expected, "{address}");
    }
    assert_eq!(metadata["code_challenge_methods_supported"], json!(["S256"]));
}

#[tokio::test]
async fn it_is_there_in_dev_only() {
    let app = TestApp::start().await.restart_as_in_production().await;
    for path in [
        "/sandbox",
        "/sandbox/grants",
        "/sandbox/oauth/authorize",
        "/sandbox/api/account",
        "/sandbox/inbox",
        "/.well-known/oauth-authorization-server/sandbox",
    ] {
        assert_eq!(read(app.client.get(format!("{}{path}", app.url))).await.status, 404, "{path}");
    }
    assert_eq!(in_library(&app).await, Value::Null);
    let app = app.restart().await;
    assert_eq!(in_library(&app).await, Value::Null, "a restart changes nothing of it");
}

async fn in_library(app: &TestApp) -> Value {
    let query = "{ connector(slug: \"sandbox\") { displayName authFlows { authFlow: flow refreshable scopesEditable revocableAtVendor } } }";
    let answer = app.graphql(&app.token("Administrator"), query, json!({})).await;
    assert_eq!(answer.get("errors"), None, "{answer}");
    answer["data"]["connector"].clone()
}

#[tokio::test]
async fn its_connector_is_in_the_library() {
    let app = TestApp::start().await;
    let flow = json!({"authFlow": "OAUTH", "refreshable": true, "scopesEditable": true, "revocableAtVendor": true});
    assert_eq!(in_library(&app).await, json!({"displayName": "Sandbox", "authFlows": [flow]}));
}

#[test]
fn its_manifest_is_one_like_any_other() {
    let sandbox = |url: &str| {
        let url = url.parse().expect("an address");
        Sandbox::new(&url, ManualClock::new(), &*SeededEntropy::new(1))
    };
    let text = include_str!("../src/sandbox/sandbox.toml");
    let value: toml::Value = toml::from_str(text).expect("TOML");
    let schema = jsonschema::draft202012::new(&manifest_schema()).expect("a schema");
    assert!(schema.is_valid(&serde_json::to_value(value).expect("JSON")));

    for (public, called) in [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("https://gateway.example.com/a/b", "http://[::1]:9000/a/b"),
        ("http://localhost:3000/a", "http://127.0.0.1:1/a"),
    ] {
        let manifest = sandbox(public).manifest(&called.parse().expect("an address"));
        assert!(!manifest.text.contains(".invalid\""), "every address is put in");
        let source = Source { file: "sandbox.toml".to_owned(), text: manifest.text };
        let shipped = Library::load(built_in(), LoadOptions::default());
        let library = shipped.expect("the library").with_own(&source, &manifest.origins);
        let library = library.unwrap_or_else(|faults| panic!("{public} {called}: {faults:?}"));
        let connector = library.get("sandbox").expect("the connector");
        assert!(connector.flow(AuthFlow::Oauth).is_some());
        // Other connectors keep their own idea of what is called how: the event's shape is theirs too.
        let own = connector.operation("submission.created").expect("the operation");
        let shape = |operation: &Operation| operation.payload_schema["properties"].clone();
        for other in library.list().iter().filter_map(|other| other.operation("submission.created")) {
            if other.event_type == "submission.created" {
                assert_eq!(shape(own), shape(other), "{}", own.title);
            }
        }
    }
}
