//! A connection by an API key, and the vendor that takes it.

use serde_json::json;

use super::{
    app::{Database, TestApp},
    vendor::{Recorded, Reply, Vendor},
};

pub const FIRST: &str = "xkeysib-first0planted";
pub const SECOND: &str = "xkeysib-second0planted";

/// Takes these keys, each of an account.
pub fn accepting(keys: &'static [(&str, &str)]) -> impl Fn(&Recorded) -> Reply + Send + Sync + 'static {
    |request| match keys.iter().find(|(key, _)| *key == request.header("api-key")) {
        Some((_, account)) => {
            Reply::json(200, &json!({"organization_id": account, "companyName": account, "email": "a@example.com"}))
        }
        None => Reply::json(401, &json!({"message": "Key not found", "code": "unauthorized"})),
    }
}

/// A vendor that takes the first key, and a connection with it.
pub async fn connected(database: Database) -> (Vendor, TestApp, String, String) {
    let vendor = Vendor::tls(&["api.brevo.com"]).await;
    let app = TestApp::with_vendor(database, &vendor).await;
    let admin = app.token("Administrator");
    vendor.answer(accepting(&[(FIRST, "acme")]));
    let create = "mutation($input: CreateConnectionInput!) { createConnection(input: $input) { ... on ConnectionCreated { connection { id } } } }";
    let input =
        json!({"connectorSlug": "brevo", "authFlow": "API_KEY", "fields": [{"name": "api_key", "value": FIRST}]});
    let created = app.graphql(&admin, create, json!({ "input": input })).await;
    let id = created["data"]["createConnection"]["connection"]["id"].as_str();
    let id = id.unwrap_or_else(|| panic!("not connected: {created}")).to_owned();
    (vendor, app, admin, id)
}

/// The key of the last request.
pub fn last_key(vendor: &Vendor) -> String {
    vendor.requests().last().expect("a request").header("api-key").to_owned()
}
