//! GraphQL over a WebSocket, by the text of the `graphql-transport-ws` protocol (graphql-ws, PROTOCOL.md).
//!
//! [`protocol`] is the language, [`operations`] are the running operations, and [`session`] is the state
//! machine of one socket. Nothing is buffered on the way out: an operation is polled again only after
//! its last message was written, so a peer that does not read holds up nobody but itself, and is cut off
//! when a write takes too long.

mod operations;
mod protocol;
mod session;

use axum::{
    extract::{FromRequestParts as _, WebSocketUpgrade},
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use tracing::Instrument as _;

use self::session::Session;
use super::{Shared, accept::Media, address::Peer, answer, authentication, envelope::RequestId, origin};

/// The one subprotocol that is spoken.
const PROTOCOL: &str = "graphql-transport-ws";
/// The size of a socket's read buffer, in bytes: the default of 128 KiB is what idle sockets would cost.
const READ_BUFFER: usize = 4 * 1024;

/// Answers the handshake. A token in its header counts as if `connection_init` had brought it; a wrong one
/// ends here with 401.
pub(super) async fn upgrade(state: Shared, id: RequestId, mut parts: Parts) -> Response {
    if !origin::allowed(&parts.headers, &state.settings) {
        let message = "This origin may not open a socket.";
        return answer::refusal(StatusCode::FORBIDDEN, "FORBIDDEN", message, Media::Json);
    }
    let principal = if parts.headers.contains_key(header::AUTHORIZATION) {
        match authentication::authenticate(&state, &parts.headers).await {
            Ok(principal) => Some(principal),
            Err(refused) => return refused.answer(&id, Media::Json),
        }
    } else {
        None
    };
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &state).await {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    let place = parts.extensions.remove::<Peer>().map(|peer| peer.place);
    let max = state.settings.max_body;
    let span = tracing::Span::current();
    // Held from now on, so that a stop waits for this socket also while its connection changes hands.
    let task = state.tasks.token();
    upgrade
        .protocols([PROTOCOL])
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_message_size(max)
        .max_frame_size(max)
        .on_upgrade(move |socket| {
            async move {
                Session::new(state, socket, principal).run().await;
                drop((place, task));
            }
            .instrument(span)
        })
}
