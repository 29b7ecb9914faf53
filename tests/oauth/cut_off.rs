//! Whoever asked goes away while the vendor is slow: what was begun still comes to its end.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Browser, begin, connected};
use crate::support::{
    app::{Database, TestApp, on_both},
    calls,
    grants::Granting,
    keys::{self, SECOND, accepting, last_key},
    vendor::Vendor,
};

on_both!(
    connecting_goes_on,
    authorizing_again_goes_on,
    renewing_goes_on,
    disconnecting_goes_on,
    a_key_is_stored_all_the_same,
    a_rotation_goes_on,
    a_retry_goes_on,
);

const LOGGED: &str = "subscription { activityLogged { entry { action outcome } } }";

/// A request whose sender hears no answer.
struct Sent(tokio::net::TcpStream);

impl Sent {
    /// Sends a request's bytes.
    async fn request(app: &TestApp, head: &str, body: &str) -> Self {
        let address = app.url.strip_prefix("http://").expect("an address");
        let mut socket = tokio::net::TcpStream::connect(address).await.expect("a connection");
        let request = format!("{head}\r\nHost: {address}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        socket.write_all(request.as_bytes()).await.expect("sent");
        Self(socket)
    }

    async fn graphql(app: &TestApp, token: &str, query: &str, variables: Value) -> Self {
        let body = json!({"query": query, "variables": variables}).to_string();
        let head = format!(
            "POST /graphql HTTP/1.1\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nAccept: application/json"
        );
        Self::request(app, &head, &body).await
    }

    /// Goes away without an answer.
    async fn cut(mut self) {
        let mut byte = [0];
        let early = tokio::time::timeout(std::time::Duration::from_millis(1), self.0.read(&mut byte)).await;
        assert!(early.is_err(), "it was answered before it went away");
    }
}

/// The vendor does not answer this path until it is let go on.
fn hold(granting: &Granting, path: &'static str) {
    granting.book().held = Some((path, usize::MAX));
}

async fn connecting_goes_on(database: Database) {
    for path in ["/token", "/me"] {
        let granting = Granting::start().await;
        let app = TestApp::with_grants(database, &granting).await;
        let token = app.token("Administrator");
        let begun = begin(&app, &token, json!({"connectorSlug": "granting"})).await;
        let mut log = app.subscribe(&token, LOGGED).await;
        come_back(&app, &granting, &begun, path).await;
        let entry = log.next().await["activityLogged"]["entry"].clone();
        assert_eq!(entry, json!({"action": "CONNECTION_CREATED", "outcome": "SUCCEEDED"}));
        assert_eq!(super::read(&app, &token, &begun["id"]).await["status"], "SUCCEEDED");
        let made = {
            let book = granting.book();
            (book.exchanges, book.live())
        };
        assert_eq!(made, (1, 1));
        app.stop().await;
    }
}

/// A browser that comes back from the vendor, and is closed before the page is there.
async fn come_back(app: &TestApp, granting: &Granting, begun: &Value, path: &'static str) {
    let mut browser = Browser::new();
    let address = browser.begin(app, begun["authorizationUrl"].as_str().expect("a link")).await;
    let query = granting.consent(&address, "acme");
    let before = granting.vendor.requests().len();
    hold(granting, path);
    let head = format!("GET /oauth/callback?{query} HTTP/1.1\r\nCookie: {}", browser.cookie.expect("a cookie"));
    let sent = Sent::request(app, &head, "").await;
    granting.vendor.wait_for_path(path, before).await;
    sent.cut().await;
    granting.vendor.release();
}

async fn authorizing_again_goes_on(database: Database) {
    const AGAIN: &str = "mutation($id: ID!) { reauthorizeConnection(input: {connectionId: $id}) { authorization { id authorizationUrl } } }";
    for path in ["/token", "/me", "/revoke"] {
        let granting = Granting::start().await;
        let app = TestApp::with_grants(database, &granting).await;
        let token = app.token("Administrator");
        let id = connected(&app, &granting, &token, "acme").await;
        let begun = app.graphql(&token, AGAIN, json!({ "id": id })).await;
        let begun = &begun["data"]["reauthorizeConnection"]["authorization"];
        let mut log = app.subscribe(&token, LOGGED).await;
        come_back(&app, &granting, begun, path).await;
        let entry = log.next().await["activityLogged"]["entry"].clone();
        assert_eq!(entry, json!({"action": "CONNECTION_REAUTHORIZED", "outcome": "SUCCEEDED"}));
        // Stopping waits for what is left of it: the grant before goes back.
        app.stop().await;
        let book = granting.book();
        assert_eq!((book.exchanges, book.revocations, book.live()), (2, 1, 1), "{path}");
    }
}

async fn renewing_goes_on(database: Database) {
    for path in ["/token", "/me"] {
        let granting = Granting::start().await;
        let app = TestApp::with_grants(database, &granting).await;
        let token = app.token("Administrator");
        let id = connected(&app, &granting, &token, "acme").await;
        let mut log = app.subscribe(&token, LOGGED).await;
        cut_at(&app, &granting, "refreshCredentials", "test { outcome }", &id, path).await;
        let entry = log.next().await["activityLogged"]["entry"].clone();
        assert_eq!(entry, json!({"action": "CREDENTIALS_REFRESHED", "outcome": "SUCCEEDED"}));
        assert_eq!((granting.uses(), granting.book().live()), ((1, 0), 1));
        let tested = calls::act(&app, &token, "testConnection", &id, "test { outcome }").await;
        assert_eq!(tested["test"]["outcome"], "CONNECTED");
        app.stop().await;
    }
}

/// A mutation whose caller goes away while the vendor is asked at this path.
async fn cut_at(app: &TestApp, granting: &Granting, verb: &str, fields: &str, id: &str, path: &'static str) {
    let before = granting.vendor.requests().len();
    hold(granting, path);
    let query = format!("mutation($id: ID!) {{ {verb}(input: {{connectionId: $id}}) {{ {fields} }} }}");
    let sent = Sent::graphql(app, &app.token("Administrator"), &query, json!({ "id": id })).await;
    granting.vendor.wait_for_path(path, before).await;
    sent.cut().await;
    granting.vendor.release();
}

async fn disconnecting_goes_on(database: Database) {
    for path in ["/me", "/revoke"] {
        let granting = Granting::start().await;
        let app = TestApp::with_grants(database, &granting).await;
        let token = app.token("Administrator");
        let id = connected(&app, &granting, &token, "acme").await;
        let mut log = app.subscribe(&token, LOGGED).await;
        cut_at(&app, &granting, "disconnectConnection", "disconnected", &id, path).await;
        let entry = log.next().await["activityLogged"]["entry"].clone();
        assert_eq!(entry, json!({"action": "CONNECTION_DISCONNECTED", "outcome": "SUCCEEDED"}));
        assert_eq!((app.count_rows("connections").await, granting.book().live()), (0, 0));
        app.stop().await;
    }
}

async fn a_key_is_stored_all_the_same(database: Database) {
    let vendor = Vendor::tls(&["api.brevo.com"]).await;
    let app = TestApp::with_vendor(database, &vendor).await;
    let token = app.token("Administrator");
    let mut log = app.subscribe(&token, LOGGED).await;
    vendor.answer(|request| accepting(&[(SECOND, "acme")])(request).held());
    let create = "mutation($input: CreateConnectionInput!) { createConnection(input: $input) { __typename } }";
    let input =
        json!({"connectorSlug": "brevo", "authFlow": "API_KEY", "fields": [{"name": "api_key", "value": SECOND}]});
    let sent = Sent::graphql(&app, &token, create, json!({ "input": input })).await;
    vendor.wait_for(1).await;
    sent.cut().await;
    vendor.release();
    let entry = log.next().await["activityLogged"]["entry"].clone();
    assert_eq!(entry, json!({"action": "CONNECTION_CREATED", "outcome": "SUCCEEDED"}));
    assert_eq!(app.count_rows("connections").await, 1);
    app.stop().await;
}

async fn a_rotation_goes_on(database: Database) {
    let (vendor, app, token, id) = keys::connected(database).await;
    let mut log = app.subscribe(&token, LOGGED).await;
    vendor.answer(|request| accepting(&[(SECOND, "acme")])(request).held());
    let rotate = "mutation($input: RotateCredentialsInput!) { rotateCredentials(input: $input) { rotated } }";
    let input = json!({"connectionId": id, "fields": [{"name": "api_key", "value": SECOND}]});
    let before = vendor.requests().len();
    let sent = Sent::graphql(&app, &token, rotate, json!({ "input": input })).await;
    vendor.wait_for(before + 1).await;
    sent.cut().await;
    vendor.release();
    let entry = log.next().await["activityLogged"]["entry"].clone();
    assert_eq!(entry, json!({"action": "CREDENTIALS_ROTATED", "outcome": "SUCCEEDED"}));
    calls::act(&app, &token, "testConnection", &id, "test { outcome }").await;
    assert_eq!(last_key(&vendor), SECOND);
    app.stop().await;
}

async fn a_retry_goes_on(database: Database) {
    const RETRY: &str = "mutation($id: ID!) { retryDelivery(input: {deliveryEntryId: $id}) { __typename } }";
    let granting = Granting::start().await;
    let app = TestApp::with_grants(database, &granting).await;
    let token = app.token("Administrator");
    let id = connected(&app, &granting, &token, "acme").await;
    let mut log = app.subscribe(&token, "subscription { deliveryLogged { entry { id outcome } } }").await;
    granting.book().refused = true;
    calls::dispatch(&app, &app.module_token("forms"), &id, "submission.created", "1", "REJECT").await;
    let failed = log.next().await["deliveryLogged"]["entry"].clone();
    granting.book().refused = false;
    let before = granting.vendor.requests().len();
    hold(&granting, "/contacts");
    let sent = Sent::graphql(&app, &token, RETRY, json!({"id": failed["id"]})).await;
    granting.vendor.wait_for_path("/contacts", before).await;
    sent.cut().await;
    granting.vendor.release();
    assert_eq!(log.next().await["deliveryLogged"]["entry"]["outcome"], "DELIVERED");
    app.stop().await;
}
