//! Role × mutation × family: each cell tried over HTTP, and refused exactly where a capability is missing.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::{
    schema::Schema,
    support::{app::TestApp, calls, vendor::Vendor},
};

/// What needs, besides its own capability, those of the connector's family.
const CREDENTIAL_ACTIONS: [&str; 9] = [
    "createConnection",
    "beginOAuthConnection",
    "beginSignedConnection",
    "configureConnection",
    "editConnectionScopes",
    "reauthorizeConnection",
    "refreshCredentials",
    "rotateCredentials",
    "disconnectConnection",
];

fn words(list: &Value) -> BTreeSet<String> {
    let list = list.as_array().unwrap_or_else(|| panic!("no list: {list}"));
    list.iter().map(|word| word.as_str().expect("a word").to_owned()).collect()
}

/// The arguments that a mutation is tried with.
fn variables(schema: &Schema, mutation: &str, slug: &str, ids: &BTreeMap<&str, String>) -> Value {
    let mut all = json!({});
    for (argument, ty, default) in &schema.fields["Mutation"][mutation].arguments {
        if !ty.nullable && !default {
            all[argument] = schema.value(argument, ty, ids);
        }
    }
    let input = &mut all["input"];
    if input.get("connectorSlug").is_some() {
        input["connectorSlug"] = json!(slug);
    }
    if input.get("authFlow").is_some() {
        input["authFlow"] = json!("API_KEY");
    }
    if mutation == "saveRole" {
        input["name"] = json!("Somebody");
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cell_is_refused_exactly_where_a_capability_is_missing() {
    let schema = Schema::read();
    let receiver = Vendor::plain().await;
    let app = TestApp::start().await;
    let admin = app.token("Administrator");
    let all: Vec<&str> = integrations_gateway::domain::capability::Capability::ALL.iter().map(|c| c.as_str()).collect();
    let without = |word: &str| all.iter().copied().filter(|c| *c != word).collect::<Vec<_>>();
    app.save_role("No payments", &without("manage_payment_credentials")).await;
    app.save_role("No settings", &without("manage_settings")).await;
    app.save_role("Clerk", &["create_connection", "disconnect", "manage_settings"]).await;
    app.save_role("Nobody", &[]).await;
    let own =
        json!([{"family": "CRM", "extraCapabilities": ["MANAGE_SETTINGS", "BROWSE_ACTIVITY_LOG"], "enabled": true}]);
    let update = "mutation($own: [FamilyOverrideInput!]) { updateSettings(input: {familyOverrides: $own}) { settings { holdLimitHours } } }";
    app.graphql(&admin, update, json!({ "own": own })).await;

    let library = "{ connectors(first: 100) { nodes { slug family extraCapabilities authFlows { flow } } } }";
    let library = app.graphql(&admin, library, json!({})).await["data"]["connectors"]["nodes"].clone();
    let mut families: BTreeMap<String, Value> = BTreeMap::new();
    for connector in library.as_array().expect("connectors") {
        let flows = |connector: &Value| connector["authFlows"].as_array().map_or(0, Vec::len);
        let known = families.entry(connector["family"].as_str().expect("a family").to_owned()).or_default();
        if flows(known) < flows(connector) {
            *known = connector.clone();
        }
    }
    assert!(families.len() >= 7, "{:?}", families.keys());

    let mut connection = calls::connect_webhook(&app, &admin, &receiver, "/").await.connection;
    let (mut tried, mut refused) = (0, 0);
    for (family, connector) in &families {
        let slug = connector["slug"].as_str().expect("a slug");
        let extra = words(&connector["extraCapabilities"]);
        assert_eq!(extra.is_empty(), !["PAYMENTS", "CRM"].contains(&family.as_str()), "{family}");
        let flows: BTreeSet<&str> =
            connector["authFlows"].as_array().expect("flows").iter().filter_map(|f| f["flow"].as_str()).collect();
        for role in ["Administrator", "Editor", "Viewer", "Module", "No payments", "No settings", "Clerk", "Nobody"] {
            let token = if role == "Module" { app.module_token("forms") } else { app.token(role) };
            let held = app.graphql(&token, "{ viewer { capabilities } }", json!({})).await;
            let held = words(&held["data"]["viewer"]["capabilities"]);
            for (mutation, field) in &schema.fields["Mutation"] {
                // A family is asked for where it has such a flow.
                let offered = match mutation.as_str() {
                    "createConnection" => flows.contains("API_KEY"),
                    "beginOAuthConnection" => flows.contains("OAUTH"),
                    "beginSignedConnection" => flows.contains("SIGNED_TOKEN"),
                    _ => true,
                };
                let mut needed = BTreeSet::from([field.requires.clone().expect("every mutation requires something")]);
                if CREDENTIAL_ACTIONS.contains(&mutation.as_str()) && offered {
                    needed.extend(extra.iter().cloned());
                }
                let missing: BTreeSet<String> = needed.difference(&held).cloned().collect();
                let set = format!("UPDATE connections SET connector_slug = '{slug}', state = 'active'");
                app.execute(&set).await;
                let ids = BTreeMap::from([
                    ("connectionId", connection.clone()),
                    ("id", connection.clone()),
                    ("deliveryEntryId", connection.clone()),
                    ("offerId", connection.clone()),
                ]);
                let variables = variables(&schema, mutation, slug, &ids);
                let arguments = &field.arguments;
                let query = if arguments.is_empty() {
                    format!("mutation {{ {mutation} {{ __typename }} }}")
                } else {
                    let (name, ty, _) = &arguments[0];
                    format!("mutation T(${name}: {ty}) {{ {mutation}({name}: ${name}) {{ __typename }} }}")
                };
                let answer = app.graphql(&token, &query, variables).await;
                let extensions = &answer["errors"][0]["extensions"];
                let cell = format!("{role} × {mutation} × {family}: {answer}");
                if missing.is_empty() {
                    assert_ne!(extensions["code"], "FORBIDDEN", "{cell}");
                } else {
                    assert_eq!(extensions["code"], "FORBIDDEN", "{cell}");
                    let named = extensions["capability"].as_str().expect("it is named");
                    assert!(missing.contains(named), "{cell}");
                    assert!(answer["data"][mutation].is_null(), "{cell}");
                    refused += 1;
                }
                if mutation == "disconnectConnection" && missing.is_empty() {
                    connection = calls::connect_webhook(&app, &admin, &receiver, "/").await.connection;
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 1_000 && refused > 500, "{refused} of {tried}");
    app.stop().await;
}
