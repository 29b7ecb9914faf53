//! Many answers over one HTTP response: Server-Sent Events, as graphql-sse's distinct connections mode writes them
//! (graphql-sse, PROTOCOL.md), and `multipart/mixed`, as Apollo's clients ask for subscriptions.
//!
//! A stream ends when its operation does, when the token expires or its key is withdrawn, and when the process stops; only in the first case
//! it says that it is complete. A peer that does not read is cut off by the connection's own time-out.

use std::{convert::Infallible, panic::AssertUnwindSafe, time::Duration};

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use chrono::TimeDelta;
use futures_util::{Stream, StreamExt as _, stream};
use serde_json::json;
use tokio::time::timeout;

use super::{
    Shared,
    accept::{Media, Streamed},
    answer::{self, internal_error},
    envelope::RequestId,
    throttle::{SocketPlace, Wait},
    token::Standing,
};
use crate::{
    graphql::{Ready, to_json},
    service::Caller,
};

/// How often a quiet stream gives a sign of life, so that proxies keep it open.
const ALIVE_EVERY: Duration = Duration::from_secs(15);
/// How often it is looked whether the key of a stream's token is good still.
const STANDS_EVERY: TimeDelta = TimeDelta::seconds(30);
/// When a client that was refused a stream may try again, in seconds.
const RETRY_SECONDS: u64 = 5;

/// What a stream says.
enum Said {
    /// A result, as JSON.
    Next(String),
    /// Nothing more will come.
    Complete,
}

/// The answer to an operation, in this form.
pub(super) fn answer(
    state: &Shared,
    (caller, standing): (Caller, Standing),
    ready: Ready,
    form: Streamed,
    media: Media,
) -> Result<Response, Box<Response>> {
    let place = state.throttle.socket(&caller.principal).map_err(|max| {
        let message = format!("One caller holds at most {max} sockets and streams (GATEWAY_MAX_SOCKETS).");
        answer::too_often(Wait(RETRY_SECONDS), &message, media)
    })?;
    let expires_at = caller.principal.expires_at;
    let request_id = RequestId(caller.request_id.clone());
    let results = state.api.execute_stream(caller, ready);
    let clock = state.clock.clone();
    let shutdown = state.shutdown.clone();
    let tokens = state.tokens.clone();
    let ended = async move {
        let withdrawn = async {
            loop {
                clock.sleep_until(clock.now() + STANDS_EVERY).await;
                if !tokens.stands(&standing).await {
                    return;
                }
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = clock.sleep_until(expires_at) => {}
            () = withdrawn => {}
        }
    };
    let texts = AssertUnwindSafe(results).catch_unwind().map(move |result| match result {
        Ok(response) => text(&response),
        Err(_panic) => {
            tracing::error!("an operation panicked");
            json!({ "errors": [internal_error(&request_id)] }).to_string()
        }
    });
    let said = texts.map(Said::Next).chain(stream::once(async { Said::Complete })).take_until(Box::pin(ended));
    Ok(written(form, holding(place, said)))
}

/// The answer that says one thing and is complete.
pub(super) fn of_one(form: Streamed, response: &async_graphql::Response) -> Response {
    written(form, stream::iter([Said::Next(text(response)), Said::Complete]))
}

fn text(response: &async_graphql::Response) -> String {
    String::from_utf8(to_json(response)).expect("JSON is text")
}

/// The stream, and the socket's place with it until it is dropped.
fn holding(place: SocketPlace, said: impl Stream<Item = Said> + Send + 'static) -> impl Stream<Item = Said> + Send {
    said.map(move |said| {
        let _ = &place;
        said
    })
}

/// How a form writes what is said.
struct Writing {
    content_type: &'static str,
    begin: &'static str,
    next: fn(&str) -> String,
    complete: &'static str,
    alive: &'static str,
}

/// JSON has no line breaks, so each event has one line of data. Browsers drop events without data.
const EVENTS: Writing = Writing {
    content_type: "text/event-stream",
    begin: "",
    next: |json| format!("event: next\ndata: {json}\n\n"),
    complete: "event: complete\ndata:\n\n",
    alive: ":\n\n",
};

/// The boundary is that of Apollo's router; an empty part is a sign of life (Apollo's protocol, "Heartbeats"). Each part
/// ends with the boundary that begins the next: a client takes a part for whole only once it has seen it.
const PARTS: Writing = Writing {
    content_type: "multipart/mixed;boundary=\"-\";subscriptionSpec=1.0",
    begin: "---",
    next: |json| format!("\r\ncontent-type: application/json\r\n\r\n{{\"payload\":{json}}}\r\n---"),
    complete: "--\r\n",
    alive: "\r\ncontent-type: application/json\r\n\r\n{}\r\n---",
};

fn written(form: Streamed, said: impl Stream<Item = Said> + Send + 'static) -> Response {
    let writing = match form {
        Streamed::Events => &EVENTS,
        Streamed::Parts => &PARTS,
    };
    let begin = stream::iter((!writing.begin.is_empty()).then(|| writing.begin.to_owned()));
    let chunks = stream::unfold(Some(Box::pin(said)), move |state| async move {
        let mut said = state?;
        // The wait is cut short by whatever is said; the stream stays whole either way.
        Some(match timeout(ALIVE_EVERY, said.next()).await {
            Ok(Some(Said::Next(json))) => ((writing.next)(&json), Some(said)),
            Ok(Some(Said::Complete)) => (writing.complete.to_owned(), None),
            Ok(None) => return None,
            Err(_) => (writing.alive.to_owned(), Some(said)),
        })
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(writing.content_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // What the largest reverse proxies call it when an answer must not wait to be whole.
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    (headers, Body::from_stream(begin.chain(chunks).map(Ok::<_, Infallible>))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn body(form: Streamed) -> String {
        let said = stream::iter([Said::Next("{\"data\":{\"a\":1}}".to_owned()), Said::Complete]);
        let bytes = axum::body::to_bytes(written(form, said).into_body(), 10_000).await.expect("a body");
        String::from_utf8(bytes.to_vec()).expect("text")
    }

    #[tokio::test]
    async fn answers_are_written_as_the_protocols_ask() {
        assert_eq!(
            body(Streamed::Events).await,
            "event: next\ndata: {\"data\":{\"a\":1}}\n\nevent: complete\ndata:\n\n"
        );
        assert_eq!(
            body(Streamed::Parts).await,
            "---\r\ncontent-type: application/json\r\n\r\n{\"payload\":{\"data\":{\"a\":1}}}\r\n-----\r\n"
        );
    }
}
