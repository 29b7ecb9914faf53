//! What an idle socket with one subscription holds in memory.

use std::process::Command;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest as _};

use super::harness::{self, Gateway, Setup, this_process};

const SOCKETS: u32 = 2_000;
/// The bound of the project.
const EACH_MAX_KB: f64 = 12.0;

pub fn run() -> bool {
    let directory = tempfile::tempdir().expect("a directory");
    let files = SOCKETS + 1_000;
    let raised = Command::new("prlimit")
        .args(["--pid", &this_process().to_string(), &format!("--nofile={files}:{files}")])
        .status();
    if !raised.is_ok_and(|status| status.success()) {
        println!("left out: this system does not let a process open {files} files");
        return true;
    }
    // A child has the limits of its parent.
    let gateway = Gateway::start(
        &Setup::on_sqlite(directory.path())
            .with("GATEWAY_MAX_SOCKETS", "10000")
            .with("GATEWAY_MAX_CONNECTIONS_PER_ADDRESS", "10000"),
    );
    gateway.ask("{ viewer { __typename } }");
    let before = gateway.process.resident_kib();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let after = runtime.block_on(async {
        let mut open = Vec::new();
        for _ in 0..SOCKETS {
            open.push(subscribe(&gateway).await);
        }
        let after = gateway.process.resident_kib();
        drop(open);
        after
    });
    let each = harness::megabytes(after.saturating_sub(before)) * 1_000.0 / f64::from(SOCKETS);
    harness::bound(&format!("memory for each of {SOCKETS} idle subscribed sockets"), each, EACH_MAX_KB, "KB")
}

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

/// Opens a socket and subscribes. The gateway has begun the subscription when this returns.
async fn subscribe(gateway: &Gateway) -> Socket {
    let mut request = format!("ws://{}/graphql", gateway.process.address).into_client_request().expect("a request");
    let protocol = "graphql-transport-ws".parse().expect("a header");
    request.headers_mut().insert("sec-websocket-protocol", protocol);
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.expect("a socket");
    let say = |message: serde_json::Value| Message::text(message.to_string());
    let authorization = format!("Bearer {}", gateway.token);
    let init = json!({ "type": "connection_init", "payload": { "Authorization": authorization } });
    socket.send(say(init)).await.expect("sent");
    assert_eq!(heard(&mut socket).await["type"], "connection_ack");
    let document = "subscription { deliveryLogged { cursor entry { id outcome } } }";
    let subscribe = json!({ "type": "subscribe", "id": "1", "payload": { "query": document } });
    socket.send(say(subscribe)).await.expect("sent");
    // Messages are taken in their order, and a query after it is answered by the same executor.
    let query = json!({ "type": "subscribe", "id": "2", "payload": { "query": "{ viewer { __typename } }" } });
    socket.send(say(query)).await.expect("sent");
    assert_eq!(heard(&mut socket).await["type"], "next");
    assert_eq!(heard(&mut socket).await["type"], "complete");
    socket
}

async fn heard(socket: &mut Socket) -> serde_json::Value {
    loop {
        match socket.next().await.expect("open").expect("a message") {
            Message::Text(text) => return serde_json::from_str(&text).expect("JSON"),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}
