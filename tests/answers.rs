//! Answers that no vendor should give, through the whole house: each ends a test or an attempt with the right reason, in
//! time, and without being kept whole.

#![expect(clippy::disallowed_methods, reason = "a server that drips needs a pace")]

use std::{
    convert::Infallible,
    io::Write as _,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{Response, StatusCode},
};
use flate2::{Compression, write::GzEncoder};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{
    app::{Database, TestApp, on_both},
    calls,
};

on_both!(a_test_fails_by_what_it_is_answered, an_attempt_ends_by_what_it_is_answered);

/// What comes under a status.
#[derive(Clone, Copy, Debug)]
enum Shape {
    /// What the vendor would say.
    Right,
    /// A page for people.
    Page,
    /// 10 MB of JSON.
    Long,
    /// Without an end.
    Endless,
    /// A little that unpacks to more and more, without an end.
    Packed,
    /// A byte a second.
    Drip,
}

type Told = Arc<Mutex<(u16, Shape)>>;

struct Odd {
    address: SocketAddr,
    told: Told,
}

impl Odd {
    async fn start() -> Self {
        let told = Told::new(Mutex::new((200, Shape::Right)));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&told));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, router).await.expect("serving") });
        Self { address, told }
    }

    fn answer(&self, status: u16, shape: Shape) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = (status, shape);
    }
}

async fn answer(State(told): State<Told>) -> Response<Body> {
    let (status, shape) = *told.lock().unwrap_or_else(PoisonError::into_inner);
    let mut response = Response::builder().status(StatusCode::from_u16(status).expect("a status"));
    let body = match shape {
        Shape::Right => Body::from(json!({"idsite": 7, "name": "Shop"}).to_string()),
        Shape::Page => Body::from("<html>Sign in</html>"),
        Shape::Long => Body::from(json!({"idsite": 7, "name": "x".repeat(10_000_000)}).to_string()),
        Shape::Endless => {
            Body::from_stream(stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from_static(&[b'x'; 8_192]))))
        }
        Shape::Packed => {
            response = response.header("content-encoding", "gzip");
            let packed = stream::repeat_with({
                let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
                move || {
                    packer.write_all(&[b'x'; 16_384]).expect("packed");
                    packer.flush().expect("packed");
                    Ok::<_, Infallible>(Bytes::from(std::mem::take(packer.get_mut())))
                }
            });
            Body::from_stream(packed)
        }
        Shape::Drip => {
            let pace = tokio::time::interval(Duration::from_secs(1));
            Body::from_stream(stream::unfold(pace, |mut pace| async {
                pace.tick().await;
                Some((Ok::<_, Infallible>(Bytes::from_static(b"x")), pace))
            }))
        }
    };
    response.body(body).expect("an answer")
}

const CREATE: &str = "mutation($input: CreateConnectionInput!) { createConnection(input: $input) { ... on ConnectionCreated { connection { id } } ... on ConnectionRejected { test { outcome detail latencyMs } } } }";

async fn create(app: &TestApp, vendor: &Odd) -> Value {
    let fields = json!([
        {"name": "base_url", "value": format!("http://{}", vendor.address)},
        {"name": "id_site", "value": "7"},
        {"name": "token_auth", "value": "0123456789abcdef0123456789abcdef"},
    ]);
    let input = json!({"input": {"connectorSlug": "matomo", "authFlow": "API_KEY", "fields": fields}});
    let answer = app.graphql(&app.token("Administrator"), CREATE, input).await;
    assert_eq!(answer.get("errors"), None, "{answer}");
    answer["data"]["createConnection"].clone()
}

async fn a_test_fails_by_what_it_is_answered(database: Database) {
    let (app, vendor) = (TestApp::on(database).await, Odd::start().await);
    for shape in [Shape::Page, Shape::Long, Shape::Endless, Shape::Packed] {
        vendor.answer(200, shape);
        let test = create(&app, &vendor).await["test"].clone();
        assert_eq!(test["outcome"], "VENDOR_ERROR", "{shape:?}: {test}");
        assert_eq!(test["detail"], "the address answers, but not as Matomo does", "{shape:?}");
        // What has no end was not read to one.
        assert!(test["latencyMs"].as_u64().is_some_and(|ms| ms < 15_000), "{shape:?}: {test}");
    }
    assert_eq!(app.count_rows("connections").await, 0);
    vendor.answer(200, Shape::Right);
    assert!(create(&app, &vendor).await["connection"]["id"].is_string(), "the same address, rightly answered");
    app.stop().await;
}

async fn an_attempt_ends_by_what_it_is_answered(database: Database) {
    let (app, vendor) = (TestApp::on(database).await, Odd::start().await);
    // A machine that is busy may need longer for what is no question of time here.
    app.save_settings(|settings| settings.delivery_timeout_ms = 50_000).await;
    let created = create(&app, &vendor).await;
    let admin = app.token("Administrator");
    let logged = "subscription { deliveryLogged { entry { outcome failure vendorResponseCode vendorMessage } } }";
    let mut log = app.subscribe(&admin, logged).await;
    for (n, (status, shape, outcome, failure, kept)) in [
        // What is recorded is answered by a picture, or by nothing: the status says it all.
        (200, Shape::Page, "DELIVERED", Value::Null, 20),
        (200, Shape::Endless, "DELIVERED", Value::Null, 1_024),
        (503, Shape::Page, "RETRIED", json!("VENDOR_ERROR"), 20),
        (503, Shape::Long, "RETRIED", json!("VENDOR_ERROR"), 1_024),
        (503, Shape::Endless, "RETRIED", json!("VENDOR_ERROR"), 1_024),
        (503, Shape::Packed, "RETRIED", json!("VENDOR_ERROR"), 1_024),
        (400, Shape::Packed, "FAILED", json!("VENDOR_REJECTED"), 1_024),
        (200, Shape::Drip, "RETRIED", json!("TIMEOUT"), "no answer came in time".len()),
    ]
    .into_iter()
    .enumerate()
    {
        if matches!(shape, Shape::Drip) {
            app.save_settings(|settings| settings.delivery_timeout_ms = 500).await;
        }
        vendor.answer(status, shape);
        let input = json!({
            "connectionId": created["connection"]["id"],
            "eventType": "analytics.event",
            "eventIdentifier": n.to_string(),
            "payload": {"name": "x", "url": "https://example.com/"},
        });
        let accepted = app.graphql(&app.module_token("forms"), calls::DISPATCH, json!({ "input": input })).await;
        assert_eq!(accepted["data"]["dispatchEvent"]["__typename"], "DispatchAccepted", "{accepted}");
        let entry = log.next().await["deliveryLogged"]["entry"].clone();
        assert_eq!((&entry["outcome"], &entry["failure"]), (&json!(outcome), &failure), "{shape:?}: {entry}");
        let message = entry["vendorMessage"].as_str().unwrap_or_default();
        assert_eq!(message.len(), kept, "{status} {shape:?}");
        let code = if matches!(shape, Shape::Drip) { Value::Null } else { json!(status) };
        assert_eq!(entry["vendorResponseCode"], code, "{shape:?}");
    }
    app.stop().await;
}

/// By itself, since it takes the time that a test's call may take.
#[tokio::test(flavor = "multi_thread")]
async fn a_test_does_not_wait_for_a_byte_a_second() {
    let (app, vendor) = (TestApp::start().await, Odd::start().await);
    vendor.answer(200, Shape::Drip);
    let test = create(&app, &vendor).await["test"].clone();
    assert_eq!(test["outcome"], "NETWORK_ERROR", "{test}");
    assert_eq!(test["detail"], "no answer in time: no answer came in time");
    assert_eq!(app.count_rows("connections").await, 0);
    app.stop().await;
}
