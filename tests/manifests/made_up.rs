//! A vendor that nobody has heard of, added as an integrator would: its files were written from the reference alone, and
//! lie in the directory that `GATEWAY_CONNECTORS_DIR` names.

use serde_json::{Value, json};

use crate::oauth::{Browser, begin, read};
use crate::support::{
    app::{Database, TestApp, on_both},
    calls,
    vendor::{Recorded, Reply, Vendor},
};

on_both!(a_made_up_vendor_is_shown_connected_tested_and_delivered_to, a_made_up_vendor_is_connected_by_consent,);

const FILES: [(&str, &str); 2] = [
    ("tidemark.toml", include_str!("made_up/tidemark.toml")),
    ("providers/harbour.toml", include_str!("made_up/providers/harbour.toml")),
];
const KEY: &str = "tm_0123456789abcdef";
const CREATE: &str = "mutation($input: CreateConnectionInput!) { createConnection(input: $input) { ... on ConnectionCreated { connection { id displayName vendorAccountId vendorAccountName } test { outcome proof } } ... on ConnectionRejected { test { outcome missingScopes vendorErrorCode detail } violations { field message } } } }";

/// As the made-up documentation of the vendor has it.
fn answer(request: &Recorded) -> Reply {
    if request.header("x-tidemark-key") != KEY {
        let expired = json!({"error": {"code": "key_expired", "text": "This key has run out."}});
        return Reply::json(401, &expired);
    }
    match request.path.as_str() {
        "/v1/whoami" => Reply::json(200, &json!({"account": {"id": "acc-7", "name": "Tide & Co"}})),
        "/v1/people" if request.body.contains("twice@") => Reply::json(409, &json!({"error": {"code": "exists"}})),
        "/v1/people" if request.body.contains("busy@") => {
            Reply::json(429, &json!({"error": {"code": "slow_down"}})).header("x-tidemark-reset", "4102444800")
        }
        "/v1/people" if request.body.contains("barred@") => {
            Reply::json(403, &json!({"error": {"code": "permission", "missing": ["people.write", "notes"]}}))
        }
        "/v1/people" => Reply::json(201, &json!({"id": "p-1"})),
        _ => Reply::status(404),
    }
}

async fn a_made_up_vendor_is_shown_connected_tested_and_delivered_to(database: Database) {
    let vendor = Vendor::tls(&["api.tidemark.example"]).await;
    vendor.answer(answer);
    let app = TestApp::with_connectors(database, &vendor, &FILES).await;
    let (admin, module) = (app.token("Administrator"), app.module_token("forms"));
    let library = "{ connectors(filter: {search: \"tidem\"}) { totalCount nodes { slug family scopes { id default } authFlows { flow refreshable scopesEditable revocableAtVendor fields { name secret required } } operations { eventType requiredScopes } } } }";
    let shown = app.graphql(&admin, library, json!({})).await;
    let expected = json!({
        "totalCount": 1,
        "nodes": [{
            "slug": "tidemark",
            "family": "CRM",
            "scopes": [{"id": "profile", "default": true}, {"id": "people.write", "default": true}],
            "authFlows": [
                {"flow": "API_KEY", "refreshable": false, "scopesEditable": false, "revocableAtVendor": false, "fields": [{"name": "api_key", "secret": true, "required": true}]},
                {"flow": "OAUTH", "refreshable": true, "scopesEditable": true, "revocableAtVendor": true, "fields": []},
            ],
            "operations": [{"eventType": "submission.created", "requiredScopes": ["people.write"]}],
        }],
    });
    assert_eq!(shown["data"]["connectors"], expected, "{shown}");

    let create = |key: &str| json!({"input": {"connectorSlug": "tidemark", "authFlow": "API_KEY", "fields": [{"name": "api_key", "value": key}]}});
    let refused = app.graphql(&admin, CREATE, create("tm_old")).await;
    assert_eq!(
        refused["data"]["createConnection"]["test"],
        json!({"outcome": "CREDENTIAL_EXPIRED", "missingScopes": [], "vendorErrorCode": "key_expired", "detail": "the key has expired (its words: This key has run out.)"})
    );
    let created = app.graphql(&admin, CREATE, create(KEY)).await["data"]["createConnection"].clone();
    assert_eq!(created["test"], json!({"outcome": "CONNECTED", "proof": "ACCOUNT"}), "{created}");
    assert_eq!(created["connection"]["vendorAccountId"], "acc-7");
    assert_eq!(created["connection"]["vendorAccountName"], "Tide & Co");
    let id = created["connection"]["id"].as_str().expect("an id");
    let tested = calls::act(&app, &admin, "testConnection", id, "test { outcome }").await;
    assert_eq!(tested["test"]["outcome"], "CONNECTED");

    let mut log = app
        .subscribe(
            &admin,
            "subscription { deliveryLogged { entry { outcome failure vendorMessage delivery { waitingFor } } } }",
        )
        .await;
    for (number, email, expected) in [
        (
            "1",
            "ada@example.com",
            json!({"outcome": "DELIVERED", "failure": null, "vendorMessage": "{\"id\":\"p-1\"}", "delivery": {"waitingFor": null}}),
        ),
        (
            "2",
            "twice@example.com",
            json!({"outcome": "DELIVERED", "failure": null, "vendorMessage": "the person is there already (its words: {\"error\":{\"code\":\"exists\"}})", "delivery": {"waitingFor": null}}),
        ),
        (
            "4",
            "barred@example.com",
            json!({"outcome": "FAILED", "failure": "SCOPE_INSUFFICIENT", "vendorMessage": "the credential lacks a permission: people.write, notes (its words: {\"error\":{\"code\":\"permission\",\"missing\":[\"people.write\",\"notes\"]}})", "delivery": {"waitingFor": null}}),
        ),
        // The last: the vendor asks for no other event until then.
        (
            "3",
            "busy@example.com",
            json!({"outcome": "RETRIED", "failure": "RATE_LIMITED", "vendorMessage": "{\"error\":{\"code\":\"slow_down\"}}", "delivery": {"waitingFor": "RATE_LIMIT"}}),
        ),
    ] {
        let payload = json!({"email": email, "first_name": "Ada", "last_name": "Lovelace"});
        let input = json!({"connectionId": id, "eventType": "submission.created", "eventIdentifier": number, "payload": payload});
        let accepted = app.graphql(&module, calls::DISPATCH, json!({ "input": input })).await;
        assert_eq!(accepted["data"]["dispatchEvent"]["__typename"], "DispatchAccepted", "{accepted}");
        assert_eq!(log.next().await["deliveryLogged"]["entry"], expected, "{email}");
    }
    let sent: Vec<Recorded> = vendor.requests().into_iter().filter(|request| request.path == "/v1/people").collect();
    assert_eq!(sent[0].json(), json!({"email": "ada@example.com", "full_name": "Ada Lovelace"}));
    let keys: Vec<&str> = sent.iter().map(|request| request.header("idempotency-key")).collect();
    assert!(!keys[0].is_empty() && keys[0] != keys[1], "{keys:?}");

    let wrong =
        json!({"connectionId": id, "eventType": "submission.created", "eventIdentifier": "5", "payload": {"email": 4}});
    let rejected: Value = app.graphql(&module, calls::DISPATCH, json!({ "input": wrong })).await;
    assert_eq!(rejected["data"]["dispatchEvent"]["violations"][0]["pointer"], "/email", "{rejected}");
    app.stop().await;
}

/// As the made-up documentation of its authorization server has it.
fn consented(request: &Recorded) -> Reply {
    match (request.path.as_str(), request.header("authorization")) {
        ("/token", _) if request.body.contains("code=the-code&") => Reply::json(
            200,
            &json!({"access_token": "access-1", "refresh_token": "refresh-1", "expires_in": 60, "scope": "profile people.write"}),
        ),
        ("/token", _) => Reply::json(400, &json!({"error": "consent_withdrawn"})),
        ("/v1/whoami", "Bearer access-1") => {
            Reply::json(200, &json!({"account": {"id": "acc-7", "name": "Tide & Co"}}))
        }
        ("/v1/people", "Bearer access-1") => Reply::json(201, &json!({"id": "p-1"})),
        _ => Reply::status(401),
    }
}

async fn a_made_up_vendor_is_connected_by_consent(database: Database) {
    let vendor = Vendor::tls(&["api.tidemark.example", "login.harbour.example"]).await;
    vendor.answer(consented);
    let app = TestApp::with_connectors(database, &vendor, &FILES).await;
    let (admin, module) = (app.token("Administrator"), app.module_token("forms"));
    let begun = begin(&app, &admin, json!({"connectorSlug": "tidemark"})).await;
    let mut browser = Browser::new();
    let address = browser.begin(&app, begun["authorizationUrl"].as_str().expect("a link")).await;
    let address = url::Url::parse(&address).expect("an address");
    let asked: std::collections::HashMap<_, _> = address.query_pairs().into_owned().collect();
    assert_eq!((asked["scope"].as_str(), asked["access"].as_str()), ("profile people.write", "offline"));
    browser.come_back(&app, &format!("code=the-code&state={}", asked["state"])).await;
    let ended = read(&app, &admin, &begun["id"]).await;
    assert_eq!(
        (&ended["status"], &ended["connection"]["vendorAccountId"]),
        (&json!("SUCCEEDED"), &json!("acc-7")),
        "{ended}"
    );

    let id = ended["connection"]["id"].as_str().expect("an id");
    let mut log = app.subscribe(&admin, "subscription { deliveryLogged { entry { outcome } } }").await;
    let payload = json!({"email": "ada@example.com"});
    let input =
        json!({"connectionId": id, "eventType": "submission.created", "eventIdentifier": "1", "payload": payload});
    app.graphql(&module, calls::DISPATCH, json!({ "input": input })).await;
    assert_eq!(log.next().await["deliveryLogged"]["entry"]["outcome"], "DELIVERED");
    // Its own words for a grant that was taken back are understood.
    let refreshed = calls::act(&app, &admin, "refreshCredentials", id, "connection { state stateReason }").await;
    assert_eq!(refreshed["connection"]["state"], "AUTH_REVOKED", "{refreshed}");
    app.stop().await;
}
