//! The messages of `graphql-transport-ws`, and the codes with which its sockets close.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The longest id of an operation, in bytes: it is repeated with every message.
const ID_MAX: usize = 256;
/// The longest reason that a close frame carries, in bytes (RFC 6455, section 5.5.1).
const REASON_MAX: usize = 123;

/// What a client says.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ClientMessage {
    ConnectionInit { payload: Option<Map<String, Value>> },
    Ping { payload: Option<Map<String, Value>> },
    Pong,
    Subscribe { id: String, payload: Map<String, Value> },
    Complete { id: String },
}

impl ClientMessage {
    /// Reads a text frame.
    ///
    /// # Errors
    /// The close that the protocol asks for.
    pub(super) fn parse(text: &str) -> Result<Self, Close> {
        let message = serde_json::from_str(text).map_err(|_| Close::bad_request("Invalid message received"))?;
        if let Self::Subscribe { id, .. } = &message
            && !(1..=ID_MAX).contains(&id.len())
        {
            return Err(Close::bad_request(format!("An id has 1 to {ID_MAX} bytes")));
        }
        Ok(message)
    }
}

/// What the server says.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ServerMessage<'a> {
    ConnectionAck,
    Pong {
        #[serde(skip_serializing_if = "Option::is_none")]
        payload: Option<Map<String, Value>>,
    },
    Error {
        id: &'a str,
        payload: Value,
    },
    Complete {
        id: &'a str,
    },
}

/// A result, which is JSON already.
pub(super) fn next(id: &str, payload: &[u8]) -> String {
    let mut text = serde_json::json!({ "type": "next", "id": id }).to_string();
    text.truncate(text.len() - 1);
    text.push_str(",\"payload\":");
    text.push_str(std::str::from_utf8(payload).expect("JSON is text"));
    text.push('}');
    text
}

/// Why and with which code the server closes a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Close {
    pub code: u16,
    /// At most [`REASON_MAX`] bytes.
    pub reason: String,
}

impl Close {
    fn new(code: u16, reason: impl Into<String>) -> Self {
        let mut reason = reason.into();
        reason.truncate(reason.floor_char_boundary(REASON_MAX));
        Self { code, reason }
    }

    /// At shutdown (RFC 6455, section 7.4.1).
    pub(super) fn going_away() -> Self {
        Self::new(1001, "The gateway is stopping")
    }

    /// The peer broke the WebSocket protocol itself.
    pub(super) fn protocol_error() -> Self {
        Self::new(1002, "Protocol error")
    }

    pub(super) fn too_big(max: usize) -> Self {
        Self::new(1009, format!("A message has at most {max} bytes"))
    }

    pub(super) fn bad_request(reason: impl Into<String>) -> Self {
        Self::new(4400, reason)
    }

    /// Something was asked before `connection_init`.
    pub(super) fn unauthorized() -> Self {
        Self::new(4401, "Unauthorized")
    }

    /// The token is worth nothing, or no longer.
    pub(super) fn forbidden(reason: &str) -> Self {
        Self::new(4403, reason)
    }

    pub(super) fn subprotocol() -> Self {
        Self::new(4406, "Subprotocol not acceptable")
    }

    pub(super) fn init_timeout() -> Self {
        Self::new(4408, "Connection initialisation timeout")
    }

    pub(super) fn already_exists(id: &str) -> Self {
        Self::new(4409, format!("Subscriber for {id} already exists"))
    }

    pub(super) fn too_many_init_requests() -> Self {
        Self::new(4429, "Too many initialisation requests")
    }

    /// The caller holds as many sockets as it may; clients try again later (IANA's registry of close codes: 1013).
    pub(super) fn too_many_sockets(max: usize) -> Self {
        Self::new(1013, format!("One caller holds at most {max} sockets (GATEWAY_MAX_SOCKETS)"))
    }

    /// The caller could not be admitted (the protocol's code for a fault of the server).
    pub(super) fn internal() -> Self {
        Self::new(4500, "Internal server error")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_checked() {
        for right in [
            r#"{"type":"connection_init"}"#,
            r#"{"type":"connection_init","payload":null}"#,
            r#"{"type":"connection_init","payload":{"Authorization":"x"}}"#,
            r#"{"type":"ping"}"#,
            r#"{"type":"ping","payload":{"a":1}}"#,
            r#"{"type":"pong","payload":{}}"#,
            r#"{"type":"subscribe","id":"1","payload":{"query":"{a}"}}"#,
            r#"{"type":"complete","id":"1"}"#,
        ] {
            assert!(ClientMessage::parse(right).is_ok(), "{right}");
        }
        let long = format!(r#"{{"type":"subscribe","id":"{}","payload":{{}}}}"#, "i".repeat(ID_MAX + 1));
        for wrong in [
            "",
            "hello",
            "null",
            "[]",
            "{}",
            r#"{"type":"connection_ack"}"#,
            r#"{"type":"start","id":"1","payload":{"query":"{a}"}}"#,
            r#"{"type":"connection_init","payload":"x"}"#,
            r#"{"type":"ping","payload":[]}"#,
            r#"{"type":"subscribe","payload":{"query":"{a}"}}"#,
            r#"{"type":"subscribe","id":"","payload":{"query":"{a}"}}"#,
            r#"{"type":"subscribe","id":1,"payload":{"query":"{a}"}}"#,
            r#"{"type":"subscribe","id":"1"}"#,
            r#"{"type":"complete"}"#,
            &long,
        ] {
            assert_eq!(ClientMessage::parse(wrong).err().map(|close| close.code), Some(4400), "{wrong}");
        }
    }

    #[test]
    fn a_reason_fits_its_frame() {
        let close = Close::already_exists(&"ü".repeat(ID_MAX / 2));
        assert!(close.reason.len() <= REASON_MAX && close.reason.ends_with('ü'), "{close:?}");
    }
}
