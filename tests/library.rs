//! The library in the schema: every shipped connector, whole, by search and filters, in one order.

use std::collections::BTreeSet;

use integrations_gateway::connector::{Library, LoadOptions, Operation, built_in};
use serde_json::{Value, json};

use crate::support::app::TestApp;

/// What the product promises, by family; the standard list comes on top.
const PROMISED: [(&str, &[&str]); 6] = [
    (
        "GOOGLE",
        &["google_analytics", "google_search_console", "google_calendar", "google_drive", "google_workspace_mail"],
    ),
    ("EMAIL", &["mailchimp", "brevo", "activecampaign"]),
    ("PAYMENTS", &["stripe", "paypal", "square"]),
    ("WEBHOOKS", &["webhook_generic"]),
    ("ANALYTICS", &["ga4", "plausible", "matomo"]),
    ("CRM", &["hubspot", "salesforce", "zoho", "pipedrive"]),
];

fn shipped() -> Library {
    Library::load(built_in(), LoadOptions::default()).expect("a library")
}

/// What a filter finds: the slugs of a page of 100, which is all of them.
async fn found(app: &TestApp, filter: Value) -> Vec<String> {
    let query = "query($f: ConnectorFilter) { connectors(filter: $f, first: 100) { totalCount nodes { slug } } }";
    let answer = app.graphql(&app.token("Administrator"), query, json!({ "f": filter })).await;
    let nodes = answer["data"]["connectors"]["nodes"].as_array().unwrap_or_else(|| panic!("{answer}"));
    let slugs: Vec<String> = nodes.iter().map(|node| node["slug"].as_str().expect("a slug").to_owned()).collect();
    assert_eq!(answer["data"]["connectors"]["totalCount"], slugs.len(), "{answer}");
    slugs
}

#[tokio::test(flavor = "multi_thread")]
async fn the_library_is_found_by_search_and_filters() {
    let (app, library) = (TestApp::start().await.restart_as_in_production().await, shipped());
    let all = found(&app, Value::Null).await;
    assert_eq!(all, library.list().iter().map(|connector| connector.slug.clone()).collect::<Vec<_>>());
    let mut sorted: Vec<&str> = library.list().iter().map(|connector| connector.display_name.as_str()).collect();
    sorted.sort_by_key(|name| name.to_lowercase());
    assert_eq!(sorted, library.list().iter().map(|connector| connector.display_name.as_str()).collect::<Vec<_>>());
    for (family, promised) in PROMISED {
        let within = found(&app, json!({ "families": [family] })).await;
        let missing: Vec<&&str> = promised.iter().filter(|slug| !within.iter().any(|found| found == *slug)).collect();
        assert!(missing.is_empty(), "{family} is without {missing:?}");
    }
    let mut counted = 0;
    for family in ["GOOGLE", "EMAIL", "PAYMENTS", "WEBHOOKS", "ANALYTICS", "CRM", "MESSAGING", "SOCIAL"] {
        counted += found(&app, json!({ "families": [family] })).await.len();
    }
    assert_eq!(counted, all.len(), "each is of one family");
    let which = |keep: &dyn Fn(&Value) -> bool, shown: &[Value]| -> Vec<String> {
        let kept = shown.iter().filter(|node| keep(node));
        kept.map(|node| node["slug"].as_str().expect("a slug").to_owned()).collect()
    };
    let shown = every_connector(&app).await;
    for flow in ["OAUTH", "API_KEY", "BASIC", "SIGNED_TOKEN"] {
        let has = |node: &Value| node["authFlows"].as_array().expect("flows").iter().any(|known| known["flow"] == flow);
        let expected = which(&has, &shown);
        assert!(!expected.is_empty(), "{flow}");
        assert_eq!(found(&app, json!({ "authFlows": [flow] })).await, expected, "{flow}");
    }
    for event in
        ["submission.created", "notification.sent", "post.published", "order.paid", "analytics.event", "made.up"]
    {
        let takes = |node: &Value| {
            let operations = node["operations"].as_array().expect("operations");
            operations.iter().any(|operation| operation["eventType"] == event || operation["eventType"] == "*")
        };
        let expected = which(&takes, &shown);
        assert!(expected.contains(&"webhook_generic".to_owned()), "{event}");
        assert!(expected.len() > 1 || event == "made.up", "{event} has no call of its own");
        assert_eq!(found(&app, json!({ "acceptsEventType": event })).await, expected, "{event}");
    }
    assert_eq!(found(&app, json!({"search": "HUBSP"})).await, ["hubspot"], "a name, whatever its case");
    assert_eq!(found(&app, json!({"search": "_drive"})).await, ["google_drive"], "a slug");
    assert_eq!(found(&app, json!({"search": "sitemap"})).await, ["google_search_console"], "a description");
    assert!(found(&app, json!({"search": "no such vendor"})).await.is_empty());
    assert_eq!(
        found(&app, json!({"search": "google", "families": ["ANALYTICS"], "authFlows": ["API_KEY"]})).await,
        ["ga4"],
        "all of it holds"
    );
    app.stop().await;
}

/// Each by itself: a page of all with all that is in them would be over the bound on costs.
async fn every_connector(app: &TestApp) -> Vec<Value> {
    let query = "query($slug: String!) { connector(slug: $slug) { slug displayName description authFlows { flow fields { name label kind secret options { value label } } } scopes { id title default sensitive } operations { eventType title requiredScopes payloadSchema examplePayload } } }";
    let mut shown = Vec::new();
    for slug in found(app, Value::Null).await {
        let answer = app.graphql(&app.token("Administrator"), query, json!({ "slug": slug })).await;
        assert_eq!(answer["data"]["connector"]["slug"], slug, "{answer}");
        shown.push(answer["data"]["connector"].clone());
    }
    shown
}

#[tokio::test(flavor = "multi_thread")]
async fn every_connector_is_shown_whole() {
    let (app, library) = (TestApp::start().await.restart_as_in_production().await, shipped());
    let shown = every_connector(&app).await;
    assert_eq!(shown.len(), library.list().len());
    for node in &shown {
        let slug = node["slug"].as_str().expect("a slug");
        let known = library.get(slug).expect("a connector");
        assert_eq!(node["displayName"], known.display_name);
        assert_eq!(node["description"], known.description);
        let flows = node["authFlows"].as_array().expect("flows");
        assert_eq!(flows.len(), known.flows.len(), "{slug}");
        for (flow, known) in flows.iter().zip(&known.flows) {
            let fields: Vec<(Value, Value, Value)> =
                known.fields.iter().map(|field| (json!(field.name), json!(field.label), json!(field.secret))).collect();
            let found = flow["fields"].as_array().expect("fields").iter();
            let found: Vec<(Value, Value, Value)> =
                found.map(|field| (field["name"].clone(), field["label"].clone(), field["secret"].clone())).collect();
            assert_eq!(found, fields, "{slug}");
        }
        let scopes: BTreeSet<&str> =
            node["scopes"].as_array().expect("scopes").iter().filter_map(|scope| scope["id"].as_str()).collect();
        assert_eq!(scopes, known.scopes.iter().map(|scope| scope.id.as_str()).collect(), "{slug}");
        let operations = node["operations"].as_array().expect("operations");
        assert_eq!(operations.len(), known.operations.len(), "{slug}");
        for (operation, known) in operations.iter().zip(&known.operations) {
            assert_operation(slug, operation, known, &scopes);
        }
    }
    app.stop().await;
}

fn assert_operation(slug: &str, shown: &Value, known: &Operation, scopes: &BTreeSet<&str>) {
    assert_eq!(shown["eventType"], known.event_type, "{slug}");
    assert_eq!(shown["payloadSchema"], known.payload_schema, "{slug}");
    let validator = jsonschema::draft202012::new(&shown["payloadSchema"]).expect("a schema");
    assert!(validator.is_valid(&shown["examplePayload"]), "{slug}: its example does not fit");
    let mut required = shown["requiredScopes"].as_array().expect("scopes").iter().filter_map(Value::as_str);
    assert!(required.all(|scope| scopes.contains(scope)), "{slug}: a scope that cannot be granted");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_the_library_are_in_one_order() {
    let app = TestApp::start().await;
    let all = found(&app, Value::Null).await;
    let query = "query($first: Int, $after: String, $last: Int, $before: String) { connectors(first: $first, after: $after, last: $last, before: $before) { totalCount nodes { slug } pageInfo { startCursor endCursor hasNextPage hasPreviousPage } } }";
    for (size, cursor, from, more) in
        [("first", "after", "endCursor", "hasNextPage"), ("last", "before", "startCursor", "hasPreviousPage")]
    {
        let (mut seen, mut at) = (Vec::new(), Value::Null);
        loop {
            let variables = json!({ size: 4, cursor: at });
            let answer = app.graphql(&app.token("Administrator"), query, variables).await;
            let page = &answer["data"]["connectors"];
            assert_eq!(page["totalCount"], all.len(), "{answer}");
            let slugs = page["nodes"].as_array().unwrap_or_else(|| panic!("{answer}")).iter();
            let slugs: Vec<String> = slugs.map(|node| node["slug"].as_str().expect("a slug").to_owned()).collect();
            seen = if size == "first" { [seen, slugs].concat() } else { [slugs, seen].concat() };
            at = page["pageInfo"][from].clone();
            if page["pageInfo"][more] != true {
                break;
            }
            assert!(seen.len() < all.len(), "the pages do not end");
        }
        assert_eq!(seen, all, "by {size}");
    }
    app.stop().await;
}
