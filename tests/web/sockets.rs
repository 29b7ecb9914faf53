//! A socket as a client sees it, frame by frame: what it says when, and with which code it closes.

use std::time::Duration;

use chrono::TimeDelta;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{self, Message, client::IntoClientRequest as _},
};

use super::{ALL_EXPIRED, FOLLOW, PATIENCE, VIEWER};
use crate::support::app::TestApp;

pub(super) struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// Opens a socket with further headers; the status where it is refused.
pub(super) async fn connect(app: &TestApp, headers: &[(&'static str, &str)]) -> Result<Socket, u16> {
    let url = format!("{}/graphql", app.url.replacen("http", "ws", 1));
    let mut request = url.into_client_request().expect("a request");
    request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().expect("a header"));
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().expect("a header"));
    }
    match tokio_tungstenite::connect_async(request).await {
        Ok((socket, _)) => Ok(Socket(socket)),
        Err(tungstenite::Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

impl Socket {
    async fn open(app: &TestApp) -> Self {
        connect(app, &[]).await.unwrap_or_else(|status| panic!("{status}"))
    }

    /// A socket that was acknowledged.
    pub(super) async fn ready(app: &TestApp, role: &str) -> Self {
        let mut socket = Self::open(app).await;
        socket.init(&format!("Bearer {}", app.token(role))).await;
        assert_eq!(socket.next().await, json!({ "type": "connection_ack" }));
        socket
    }

    async fn init(&mut self, credentials: &str) {
        self.say(json!({ "type": "connection_init", "payload": { "Authorization": credentials } })).await;
    }

    async fn say(&mut self, message: Value) {
        self.send(Message::text(message.to_string())).await;
    }

    async fn send(&mut self, message: Message) {
        self.0.send(message).await.expect("sent");
    }

    pub(super) async fn subscribe(&mut self, id: &str, query: &str) {
        self.say(json!({ "type": "subscribe", "id": id, "payload": { "query": query } })).await;
    }

    async fn frame(&mut self) -> Option<Result<Message, tungstenite::Error>> {
        tokio::time::timeout(PATIENCE, self.0.next()).await.expect("a frame in time")
    }

    pub(super) async fn next(&mut self) -> Value {
        loop {
            match self.frame().await.expect("an open socket").expect("a frame") {
                Message::Text(text) => return serde_json::from_str(&text).expect("JSON"),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("unexpected: {other:?}"),
            }
        }
    }

    /// The code and reason of the close that comes next.
    pub(super) async fn closed(&mut self) -> (u16, String) {
        loop {
            match self.frame().await.expect("a close").expect("a frame") {
                Message::Close(Some(frame)) => return (frame.code.into(), frame.reason.to_string()),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("unexpected: {other:?}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_mutations_and_subscriptions_run_over_one_socket() {
    let app = TestApp::start().await;
    let mut socket = Socket::ready(&app, "Editor").await;
    socket.subscribe("follow", FOLLOW).await;
    socket.subscribe("q", VIEWER).await;
    let expected = json!({ "type": "next", "id": "q", "payload": { "data": { "viewer": { "role": "Editor" } } } });
    assert_eq!(socket.next().await, expected);
    assert_eq!(socket.next().await, json!({ "type": "complete", "id": "q" }));
    // An id is free again once its operation has ended, by itself or by the client.
    socket.subscribe("q", "mutation { __typename }").await;
    let expected = json!({ "type": "next", "id": "q", "payload": { "data": { "__typename": "Mutation" } } });
    assert_eq!(socket.next().await, expected);
    assert_eq!(socket.next().await, json!({ "type": "complete", "id": "q" }));
    socket.say(json!({ "type": "complete", "id": "follow" })).await;
    socket.say(json!({ "type": "complete", "id": "unknown" })).await;
    socket.subscribe("follow", VIEWER).await;
    assert_eq!(socket.next().await["type"], "next");
    assert_eq!(socket.next().await, json!({ "type": "complete", "id": "follow" }));
    drop(socket);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_error_ends_its_operation_and_nothing_else() {
    let app = TestApp::start().await;
    let mut socket = Socket::ready(&app, "Viewer").await;
    for wrong in ["{ nothingOfTheKind }", "{", "subscription { nothingOfTheKind }"] {
        socket.subscribe("1", wrong).await;
        let error = socket.next().await;
        assert_eq!((&error["type"], &error["id"]), (&json!("error"), &json!("1")), "{error}");
        assert!(error["payload"][0]["message"].is_string(), "{error}");
    }
    socket.subscribe("1", VIEWER).await;
    assert_eq!(socket.next().await["type"], "next");
    drop(socket);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pings_are_answered_before_and_after_the_init() {
    let app = TestApp::start().await;
    let mut socket = Socket::open(&app).await;
    socket.say(json!({ "type": "ping" })).await;
    assert_eq!(socket.next().await, json!({ "type": "pong" }));
    socket.say(json!({ "type": "pong" })).await;
    socket.init(&format!("bearer {}", app.token("Viewer"))).await;
    assert_eq!(socket.next().await, json!({ "type": "connection_ack" }));
    socket.say(json!({ "type": "ping", "payload": { "n": 1 } })).await;
    assert_eq!(socket.next().await, json!({ "type": "pong", "payload": { "n": 1 } }));
    drop(socket);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_breaks_the_protocol_closes_the_socket_with_its_code() {
    let app = TestApp::start().await;
    let subscribe = json!({ "type": "subscribe", "id": "1", "payload": { "query": FOLLOW } }).to_string();
    for (before, message, code, reason) in [
        (None, Message::text(subscribe.clone()), 4401, "Unauthorized"),
        (None, Message::text("{}"), 4400, "Invalid message received"),
        (Some(r#"{"type":"ping"}"#), Message::text("hello"), 4400, "Invalid message received"),
        (None, Message::binary(subscribe.clone()), 4400, "Messages are text"),
    ] {
        let mut socket = Socket::open(&app).await;
        if let Some(before) = before {
            socket.send(Message::text(before)).await;
            socket.next().await;
        }
        socket.send(message).await;
        assert_eq!(socket.closed().await, (code, reason.to_owned()));
        assert!(socket.frame().await.is_none_or(|frame| frame.is_err()), "the connection ends");
    }
    let mut socket = Socket::ready(&app, "Viewer").await;
    socket.send(Message::text(subscribe.clone())).await;
    socket.send(Message::text(subscribe)).await;
    assert_eq!(socket.closed().await, (4409, "Subscriber for 1 already exists".to_owned()));

    let mut socket = Socket::ready(&app, "Viewer").await;
    socket.init(&format!("Bearer {}", app.token("Viewer"))).await;
    assert_eq!(socket.closed().await.0, 4429);

    let mut socket = Socket::ready(&app, "Viewer").await;
    socket.say(json!({ "type": "subscribe", "id": "1", "payload": { "query": 7 } })).await;
    assert_eq!(socket.closed().await, (4400, "Parameter \"query\" must be a string.".to_owned()));

    let mut socket = Socket::ready(&app, "Viewer").await;
    socket.say(json!({ "type": "ping", "payload": { "x": "x".repeat(1024 * 1024) } })).await;
    assert_eq!(socket.closed().await.0, 1009);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_needs_its_subprotocol() {
    let app = TestApp::start().await;
    for protocol in ["graphql-ws", "chat, soap"] {
        let host = app.url.strip_prefix("http://").expect("http");
        let mut stream = TcpStream::connect(host).await.expect("a connection");
        let request = format!(
            "GET /graphql HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: {protocol}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        while !answer.windows(4).any(|window| window == b"\r\n\r\n") {
            let byte = tokio::time::timeout(PATIENCE, stream.read_u8()).await.expect("in time").expect("a byte");
            answer.push(byte);
        }
        let head = String::from_utf8_lossy(&answer).to_lowercase();
        assert!(head.starts_with("http/1.1 101") && !head.contains("sec-websocket-protocol"), "{head}");
        let mut close = [0; 4];
        let read = tokio::time::timeout(PATIENCE, stream.read_exact(&mut close)).await;
        read.expect("in time").expect("a close frame");
        assert_eq!((close[0], u16::from_be_bytes([close[2], close[3]])), (0x88, 4406), "{protocol}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_comes_with_the_handshake_or_with_the_init() {
    let app = TestApp::start().await;
    let named = format!("Bearer {}", app.token("Viewer"));
    let mut socket = connect(&app, &[("authorization", &named)]).await.unwrap_or_else(|status| panic!("{status}"));
    socket.say(json!({ "type": "connection_init" })).await;
    assert_eq!(socket.next().await, json!({ "type": "connection_ack" }));
    // What the init brings is newer than what the handshake brought.
    let mut socket = connect(&app, &[("authorization", &named)]).await.unwrap_or_else(|status| panic!("{status}"));
    socket.init(&format!("Bearer {}", app.token("Editor"))).await;
    assert_eq!(socket.next().await["type"], "connection_ack");
    socket.subscribe("1", VIEWER).await;
    assert_eq!(socket.next().await["payload"]["data"]["viewer"]["role"], "Editor");

    assert_eq!(connect(&app, &[("authorization", "Bearer x")]).await.err(), Some(401));
    for wrong in [
        json!({ "type": "connection_init" }),
        json!({ "type": "connection_init", "payload": {} }),
        json!({ "type": "connection_init", "payload": { "Authorization": "x" } }),
        json!({ "type": "connection_init", "payload": { "Authorization": { "Bearer": "x" } } }),
    ] {
        let mut socket = Socket::open(&app).await;
        socket.say(wrong).await;
        assert_eq!(socket.closed().await, (4403, "Forbidden".to_owned()));
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_that_says_nothing_is_closed_in_time() {
    let app = TestApp::start().await;
    let mut socket = Socket::open(&app).await;
    // Its pong shows that the socket is up, and so its time runs.
    socket.say(json!({ "type": "ping" })).await;
    socket.next().await;
    app.clock.advance(TimeDelta::seconds(9));
    socket.say(json!({ "type": "ping" })).await;
    assert_eq!(socket.next().await, json!({ "type": "pong" }));
    app.clock.advance(TimeDelta::seconds(1));
    assert_eq!(socket.closed().await.0, 4408);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_token_ends_its_socket() {
    let app = TestApp::start().await;
    let mut socket = Socket::ready(&app, "Viewer").await;
    socket.subscribe("1", FOLLOW).await;
    socket.say(json!({ "type": "ping" })).await;
    assert_eq!(socket.next().await, json!({ "type": "pong" }));
    app.clock.advance(ALL_EXPIRED);
    assert_eq!(socket.closed().await, (4403, "The token has expired".to_owned()));
    let mut fresh = Socket::ready(&app, "Viewer").await;
    fresh.subscribe("1", VIEWER).await;
    assert_eq!(fresh.next().await["type"], "next");
    drop(fresh);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_runs_only_so_many_operations_at_a_time() {
    let app = TestApp::start().await;
    let mut socket = Socket::ready(&app, "Viewer").await;
    for id in 0..100 {
        socket.subscribe(&id.to_string(), FOLLOW).await;
    }
    socket.subscribe("one too many", FOLLOW).await;
    let error = socket.next().await;
    assert_eq!((&error["type"], &error["id"]), (&json!("error"), &json!("one too many")), "{error}");
    assert_eq!(error["payload"][0]["extensions"]["code"], "LIMIT_EXCEEDED");
    socket.say(json!({ "type": "complete", "id": "7" })).await;
    socket.subscribe("7", VIEWER).await;
    assert_eq!(socket.next().await["type"], "next");
    drop(socket);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_answers_no_ping_is_cut_off_and_one_that_does_stays() {
    let app = TestApp::start().await.restart_waiting(|timeouts| timeouts.alive = Duration::from_secs(1)).await;
    // The library answers pings when it reads. This one reads so late that the gateway has given it up.
    let mut dead = Socket::ready(&app, "Viewer").await;
    let mut alive = Socket::ready(&app, "Viewer").await;
    for _ in 0..3 {
        match alive.frame().await.expect("an open socket").expect("a frame") {
            Message::Ping(_) => alive.0.flush().await.expect("the pong is sent"),
            other => panic!("unexpected: {other:?}"),
        }
    }
    assert!(matches!(dead.frame().await, Some(Ok(Message::Ping(_)))), "it was asked once");
    let end = dead.frame().await;
    assert!(!matches!(end, Some(Ok(_))), "it was asked no more, and not told goodbye: {end:?}");
    alive.subscribe("1", VIEWER).await;
    assert_eq!(alive.next().await["type"], "next");
    drop(alive);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_closes_sockets_with_1001() {
    let app = TestApp::start().await;
    let mut quiet = Socket::open(&app).await;
    quiet.say(json!({ "type": "ping" })).await;
    quiet.next().await;
    let mut following = Socket::ready(&app, "Viewer").await;
    following.subscribe("1", FOLLOW).await;
    let (closes, ()) = tokio::join!(async { (quiet.closed().await.0, following.closed().await.0) }, app.stop());
    assert_eq!(closes, (1001, 1001));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_does_not_read_is_cut_off_and_holds_up_nobody() {
    let app = TestApp::start().await;
    let mut deaf = Socket::ready(&app, "Administrator").await;
    // Each answer is large, and none is read: the system's buffers fill up, and the gateway makes no more of them.
    let large = "{ __schema { types { name description fields { name description args { name description } } } } }";
    for id in 0..90 {
        deaf.subscribe(&id.to_string(), large).await;
    }
    let mut other = Socket::ready(&app, "Viewer").await;
    other.subscribe("1", VIEWER).await;
    assert_eq!(other.next().await["type"], "next");
    drop(other);
    // A stop waits for all sockets; one that is told of it, and reads nothing, ends by the same time-out.
    tokio::time::timeout(PATIENCE, app.stop()).await.expect("the deaf socket was cut off");
    drop(deaf);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_pings_and_does_not_read_is_cut_off() {
    let app = TestApp::start().await;
    let mut deaf = Socket::ready(&app, "Viewer").await;
    // Far more than the system's buffers hold: the gateway stops reading once its answers are not taken.
    let ping = Message::Ping(vec![0; 125].into());
    let flood = async {
        for _ in 0..1_000_000 {
            if deaf.0.feed(ping.clone()).await.is_err() {
                return;
            }
        }
        panic!("the gateway took every ping");
    };
    tokio::time::timeout(PATIENCE, flood).await.expect("the gateway cuts it off");
    app.stop().await;
}
