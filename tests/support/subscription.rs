//! A subscription in the hands of a test.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;

/// How long a test waits for what must come, in real time. Long, since the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running subscription.
pub struct Subscription {
    pub(super) socket: tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>,
}

impl Subscription {
    /// The data of the next event.
    pub async fn next(&mut self) -> Value {
        loop {
            let message = self.message().await;
            match message["type"].as_str() {
                Some("next") => {
                    assert_eq!(message["payload"].get("errors"), None, "{message}");
                    return message["payload"]["data"].clone();
                }
                Some("ping" | "pong") => {}
                _ => panic!("unexpected: {message}"),
            }
        }
    }

    /// The first error of the next message.
    pub async fn error(&mut self) -> Value {
        let message = self.message().await;
        let errors = if message["type"] == "error" { &message["payload"] } else { &message["payload"]["errors"] };
        errors[0].clone()
    }

    /// The code and the reason of the close that comes next.
    pub async fn closed(&mut self) -> (u16, String) {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.socket.next());
            match next.await.expect("a close in time").expect("an open socket").expect("a message") {
                Message::Close(Some(frame)) => return (frame.code.into(), frame.reason.to_string()),
                Message::Close(None) => panic!("a close without a code"),
                _ => {}
            }
        }
    }

    pub(super) async fn message(&mut self) -> Value {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.socket.next());
            match next.await.expect("a message in time").expect("an open socket").expect("a message") {
                Message::Text(text) => return serde_json::from_str(&text).expect("JSON"),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("unexpected: {other:?}"),
            }
        }
    }
}
