//! HTTP as a client sees it: what is refused, and how.

mod connections;
mod limits;
mod sockets;

use std::time::Duration;

use self::sockets::connect;
use crate::support::app::TestApp;
use chrono::TimeDelta;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// How long a test waits for what must come. Long, since the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longer than any token of a test lives.
const ALL_EXPIRED: TimeDelta = TimeDelta::days(5_000);
const VIEWER: &str = "{ viewer { role } }";
const FOLLOW: &str = "subscription { connectionStateChanged { state } }";
const JSON: &str = "application/json";
const GRAPHQL: &str = "application/graphql-response+json";

struct Answer {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: String,
}

impl Answer {
    #[expect(clippy::disallowed_methods, reason = "the gateway's answers to a test are small")]
    async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, body: response.text().await.expect("a body") }
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{} {}", self.status, self.body))
    }

    fn code(&self) -> Value {
        self.json()["errors"][0]["extensions"]["code"].clone()
    }
}

fn post(app: &TestApp, body: &str) -> reqwest::RequestBuilder {
    let request = app.client.post(format!("{}/graphql", app.url)).header("content-type", JSON);
    request.bearer_auth(app.token("Viewer")).body(body.to_owned())
}

fn query(text: &str) -> String {
    json!({ "query": text }).to_string()
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_without_a_right_token_is_refused_alike() {
    let app = TestApp::start().await;
    let good = app.token("Viewer");
    let mut answers = Vec::new();
    for credentials in [
        None,
        Some(String::new()),
        Some(good.clone()),
        Some("Bearer".to_owned()),
        Some("Bearer x.y.z".to_owned()),
        Some(format!("Basic {good}")),
        Some(format!("Bearer {good}x")),
        Some(format!("Bearer {}", &good[..good.len() - 1])),
    ] {
        let mut request = app.client.post(format!("{}/graphql", app.url)).header("content-type", JSON);
        if let Some(credentials) = &credentials {
            request = request.header("authorization", credentials);
        }
        let answer = Answer::of(request.body(query(VIEWER))).await;
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, "Bearer"), "{credentials:?}");
        answers.push(answer.body);
    }
    let twice = app.client.post(format!("{}/graphql", app.url)).bearer_auth(&good).bearer_auth(&good);
    answers.push(Answer::of(twice.body(query(VIEWER))).await.body);
    app.clock.advance(ALL_EXPIRED);
    let expired = app.client.get(format!("{}/graphql?query={}", app.url, encoded(VIEWER))).bearer_auth(&good);
    answers.push(Answer::of(expired).await.body);
    assert!(answers.iter().all(|body| *body == answers[0]), "{answers:?}");
    let expected = json!({ "errors": [{
        "message": "Authentication is required: send a valid bearer token.",
        "extensions": { "code": "UNAUTHENTICATED" },
    }] });
    assert_eq!(serde_json::from_str::<Value>(&answers[0]).expect("JSON"), expected);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_checked_before_it_is_executed() {
    let app = TestApp::start().await;
    let url = format!("{}/graphql", app.url);
    let large = query(&format!("{{ viewer {{ role }} }} #{}", "x".repeat(1024 * 1024)));
    for (what, request, status, code) in [
        ("two types", post(&app, &query(VIEWER)).header("content-type", "text/plain"), 415, "BAD_USER_INPUT"),
        ("batch", post(&app, &format!("[{}]", query(VIEWER))), 400, "BAD_USER_INPUT"),
        ("no JSON", post(&app, "{"), 400, "BAD_USER_INPUT"),
        ("no query", post(&app, "{}"), 400, "BAD_USER_INPUT"),
        ("wrong type", post(&app, r#"{"query":"{__typename}","variables":[]}"#), 400, "BAD_USER_INPUT"),
        ("large", post(&app, &large), 413, "LIMIT_EXCEEDED"),
        ("packed", post(&app, &query(VIEWER)).header("content-encoding", "gzip"), 415, "BAD_USER_INPUT"),
        ("picky", post(&app, &query(VIEWER)).header("accept", "text/html"), 406, "BAD_USER_INPUT"),
        ("put", app.client.put(&url).bearer_auth(app.token("Viewer")), 405, "BAD_USER_INPUT"),
        ("get without query", app.client.get(&url).bearer_auth(app.token("Viewer")), 400, "BAD_USER_INPUT"),
    ] {
        let answer = Answer::of(request).await;
        assert_eq!((answer.status, answer.code()), (status, json!(code)), "{what}: {}", answer.body);
        assert_eq!(answer.header("cache-control"), "no-store", "{what}");
        if status == 405 {
            assert_eq!(answer.header("allow"), "GET, POST");
        }
    }
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""] {
        let request = app.client.post(&url).bearer_auth(app.token("Viewer")).header("content-type", content_type);
        assert_eq!(Answer::of(request.body(query(VIEWER))).await.status, 415, "{content_type:?}");
    }
    for content_type in ["application/json; charset=utf-8", "Application/JSON;charset=\"UTF-8\""] {
        let request = app.client.post(&url).bearer_auth(app.token("Viewer")).header("content-type", content_type);
        assert_eq!(Answer::of(request.body(query(VIEWER))).await.status, 200, "{content_type:?}");
    }
    let latin = app.client.post(&url).bearer_auth(app.token("Viewer"));
    let latin = latin.header("content-type", "application/json; charset=iso-8859-1").body(query(VIEWER));
    assert_eq!(Answer::of(latin).await.status, 415);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_media_type_decides_the_status_of_a_request_error() {
    let app = TestApp::start().await;
    for (accept, media, status) in [(JSON, JSON, 200), ("*/*", JSON, 200), (GRAPHQL, GRAPHQL, 400)] {
        for wrong in ["{", "{ nothingOfTheKind }", "query A { __typename } query B { __typename }", FOLLOW] {
            let answer = Answer::of(post(&app, &query(wrong)).header("accept", accept)).await;
            assert_eq!(answer.status, status, "{accept} {wrong}: {}", answer.body);
            assert_eq!(answer.header("content-type"), format!("{media}; charset=utf-8"));
            assert_eq!(answer.json().get("data"), None, "{wrong}: {}", answer.body);
            assert!(answer.json()["errors"][0]["message"].is_string());
        }
        let answer = Answer::of(post(&app, &query(VIEWER)).header("accept", accept)).await;
        assert_eq!((answer.status, answer.json()), (200, json!({ "data": { "viewer": { "role": "Viewer" } } })));
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_get_reads_and_never_changes() {
    let app = TestApp::start().await;
    let get = |parameters: String| {
        let request = app.client.get(format!("{}/graphql?{parameters}", app.url));
        Answer::of(request.bearer_auth(app.token("Editor")).header("accept", GRAPHQL))
    };
    let answer = get(format!("query={}", encoded(VIEWER))).await;
    assert_eq!((answer.status, &answer.json()["data"]["viewer"]["role"]), (200, &json!("Editor")));
    let two = encoded("query Read { viewer { role } } mutation Write { __typename }");
    assert_eq!(get(format!("query={two}&operationName=Read")).await.status, 200);
    for wrong in [format!("query={two}&operationName=Write"), format!("query={}", encoded("mutation { __typename }"))] {
        let answer = get(wrong).await;
        assert_eq!((answer.status, answer.header("allow")), (405, "POST"), "{}", answer.body);
    }
    let variables = encoded(r#"{"with":false}"#);
    let query = encoded("query($with: Boolean!) { viewer { role @include(if: $with) __typename } }");
    let answer = get(format!("query={query}&variables={variables}")).await;
    assert_eq!(answer.json()["data"]["viewer"], json!({ "__typename": "Viewer" }), "{}", answer.body);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_has_an_id_of_its_own_and_is_safe_in_a_browser() {
    let app = TestApp::start().await;
    let mut ids = std::collections::HashSet::new();
    for path in ["/healthz", "/readyz", "/nothing", "/playground/", "/graphql", "/playground/nothing.js"] {
        let request = app.client.get(format!("{}{path}", app.url)).header("x-request-id", "mine");
        let answer = Answer::of(request).await;
        let id = answer.header("x-request-id");
        assert!(id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{path}: {id}");
        assert!(ids.insert(id.to_owned()), "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert!(!policy.contains("http") && !policy.contains('*'), "{path}: {policy}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_and_playground_need_no_token() {
    let app = TestApp::start().await;
    let get = |path: &str| Answer::of(app.client.get(format!("{}{path}", app.url)));
    let alive = get("/healthz").await;
    assert_eq!((alive.status, alive.body.as_str()), (200, "ok"));
    let ready = get("/readyz").await;
    assert_eq!((ready.status, ready.json()), (200, json!({ "ready": true })));
    for path in ["/", "/playground", "/playground/"] {
        let page = get(path).await;
        assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"), "{path}");
        assert!(page.header("content-security-policy").contains("script-src 'self';"), "{path}");
    }
    assert_eq!(get("/playground/../healthz").await.status, 200);
    assert_eq!(get("/playground/%2e%2e/Cargo.toml").await.status, 404);
    assert_eq!(get("/nothing").await.status, 404);
    let posted = Answer::of(app.client.post(format!("{}/healthz", app.url))).await;
    assert_eq!((posted.status, posted.header("allow")), (405, "GET,HEAD"));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_another_origin_may_neither_read_nor_open_a_socket() {
    let app = TestApp::start().await;
    let preflight = |origin: &str| {
        let request = app.client.request(reqwest::Method::OPTIONS, format!("{}/graphql", app.url));
        Answer::of(request.header("origin", origin).header("access-control-request-method", "POST"))
    };
    let own = preflight(&app.url).await;
    assert_eq!((own.status, own.header("access-control-allow-origin")), (204, app.url.as_str()));
    assert!(own.header("access-control-allow-headers").contains("authorization"));
    let foreign = preflight("https://evil.example").await;
    assert_eq!(foreign.header("access-control-allow-origin"), "");
    assert_eq!(foreign.header("access-control-allow-headers"), "");
    let read = Answer::of(post(&app, &query(VIEWER)).header("origin", "https://evil.example")).await;
    assert_eq!((read.header("access-control-allow-origin"), read.header("vary")), ("", "Origin"));

    for (origin, opens) in [("https://evil.example", false), ("null", false), (app.url.as_str(), true)] {
        let opened = connect(&app, &[("origin", origin)]).await;
        match opened {
            Ok(_) => assert!(opens, "{origin}"),
            Err(status) => assert!(!opens && status == 403, "{origin}: {status}"),
        }
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_off_body_and_a_broken_request_do_no_harm() {
    let app = TestApp::start().await;
    let host = app.url.strip_prefix("http://").expect("http");
    let head = format!(
        "POST /graphql HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nAuthorization: Bearer {}\r\n",
        app.token("Viewer")
    );
    for request in [
        format!("{head}Content-Length: 100\r\n\r\n{{"),
        format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\n{{\"que"),
        "GET / HTTP/9.9\r\n\r\n".to_owned(),
        "\0\0\0\0\r\n\r\n".to_owned(),
        format!("GET / HTTP/1.1\r\nHost: {host}\r\nX: {}\r\n\r\n", "x".repeat(200_000)),
    ] {
        let mut stream = TcpStream::connect(host).await.expect("a connection");
        // The gateway may refuse, and close, before all of it was sent.
        let _ = stream.write_all(request.as_bytes()).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        assert!(read.is_ok(), "the connection ends: {request:.40}");
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    }
    // A body without a length that grows beyond the bound is refused while it still comes.
    let mut stream = TcpStream::connect(host).await.expect("a connection");
    stream.write_all(format!("{head}Transfer-Encoding: chunked\r\n\r\n").as_bytes()).await.expect("sent");
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    for _ in 0..17 {
        let _ = stream.write_all(chunk.as_bytes()).await;
    }
    let mut start = [0; 12];
    let read = tokio::time::timeout(PATIENCE, stream.read_exact(&mut start)).await;
    read.expect("in time").expect("an answer");
    assert_eq!(&start, b"HTTP/1.1 413");
    assert_eq!(Answer::of(post(&app, &query(VIEWER))).await.status, 200);
    app.stop().await;
}
