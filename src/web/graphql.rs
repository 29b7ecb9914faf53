//! `/graphql`: GraphQL over HTTP for queries and mutations, streams of answers, and the door to the sockets.
//!
//! The order is fixed: how often this address asks, method, who asks and how often, what it accepts, what it
//! sends, how much of it, whether that is well-formed, whether the document may run; only then it is executed.
//! Nothing that a browser sends across origins without asking first (forms, plain text) is ever executed.

use std::{net::IpAddr, time::Duration};

use axum::{
    body::{Body, BodyDataStream, HttpBody as _},
    extract::{Extension, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    response::Response,
};
use futures_util::StreamExt as _;

use super::{
    Shared, WebState,
    accept::{self, Media, is_utf8, negotiate},
    address::{self, Peer},
    answer,
    authentication::{self, Admitted},
    envelope::RequestId,
    origin, parameters, socket, stream,
};
use crate::{graphql::Ready, service::Caller};

/// How long a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// How much of a body that is refused is still taken: for so long, and so many times what a body may have.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);
const DISCARDED_BODIES: usize = 4;

/// The handler of all methods.
pub(super) async fn handle(
    State(state): State<Shared>,
    Extension(id): Extension<RequestId>,
    peer: Option<Extension<Peer>>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    if let Some(Extension(Peer { address, .. })) = peer
        && let Err(refused) = check_address(&state, address, &parts.headers)
    {
        return *refused;
    }
    if parts.method == Method::GET && wants_socket(&parts.headers) {
        return socket::upgrade(state, id, parts).await;
    }
    let headers = parts.headers.clone();
    let mut response = match parts.method {
        Method::OPTIONS => origin::preflight(&parts.headers, &state.settings),
        Method::GET | Method::POST => execute(&state, id, parts, body).await.unwrap_or_else(|refused| *refused),
        _ => method_not_allowed("GET, POST", "Send a POST, or a GET for a query.", Media::Json),
    };
    origin::expose(&headers, &state.settings, &mut response);
    response
}

/// Counts the request for the address that it comes from.
fn check_address(state: &WebState, peer: IpAddr, headers: &HeaderMap) -> Result<(), Box<Response>> {
    let client = address::client(peer, headers, &state.settings.trusted_proxies);
    let asked = "This address has asked too often (GATEWAY_ADDRESS_RATE_LIMIT).";
    state.throttle.address(client).map_err(|wait| answer::too_often(wait, asked, Media::Json).into())
}

fn wants_socket(headers: &HeaderMap) -> bool {
    headers.get(header::UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Executes the request; what refuses it comes back as the error.
async fn execute(state: &Shared, id: RequestId, parts: Parts, body: Body) -> Result<Response, Box<Response>> {
    let accepted = negotiate(&parts.headers);
    let streamed = accept::streamed(&parts.headers);
    let media = accepted.unwrap_or(Media::Json);
    let Admitted { principal, standing } =
        authentication::authenticate(state, &parts.headers).await.map_err(|refused| refused.answer(&id, media))?;
    let asked = "You have asked too often (GATEWAY_RATE_LIMIT).";
    state.throttle.caller(&principal).map_err(|wait| answer::too_often(wait, asked, media))?;
    if accepted.is_none() && streamed.is_none() {
        return Err(bad(
            StatusCode::NOT_ACCEPTABLE,
            "Accept application/graphql-response+json or application/json, or for a stream text/event-stream or multipart/mixed.",
            media,
        )
        .into());
    }
    let reads_only = parts.method == Method::GET;
    let incoming = if reads_only {
        parameters::from_query(parts.uri.query().unwrap_or_default())
    } else {
        check_content(&parts.headers, media)?;
        parameters::from_body(&read(state, body, media).await?)
    };
    let incoming = incoming.map_err(|fault| bad(StatusCode::BAD_REQUEST, &fault, media))?;
    let caller = Caller { principal, request_id: id.0.clone() };
    let ready = match state.api.check(incoming) {
        Ok(ready) => ready,
        // Whoever takes nothing but a stream cannot read anything else.
        Err(refused) => match (accepted, streamed) {
            (None, Some(form)) => return Ok(stream::of_one(form, &refused)),
            _ => return Ok(answer::refused(&refused, media)),
        },
    };
    if reads_only && ready.is_mutation() {
        return Err(method_not_allowed("POST", "A mutation needs a POST.", media).into());
    }
    match form(&ready, accepted, streamed) {
        Form::Single => Ok(answer::executed(state.api.execute(caller, ready).await, media)),
        Form::Streamed(form) => stream::answer(state, (caller, standing), ready, form, media),
        Form::Impossible => Ok(answer::refused(&no_stream(), media)),
    }
}

/// A request error: the request is well-formed, and would be executed elsewhere.
fn no_stream() -> async_graphql::Response {
    let message = "a subscription has many answers: use a WebSocket (graphql-transport-ws), or accept text/event-stream or multipart/mixed";
    let mut error = async_graphql::ServerError::new(message, None);
    error.extensions.get_or_insert_default().set("code", "BAD_USER_INPUT");
    async_graphql::Response::from_errors(vec![error])
}

enum Form {
    Single,
    Streamed(accept::Streamed),
    Impossible,
}

/// A single answer goes out as such to whoever takes one.
fn form(ready: &Ready, accepted: Option<Media>, streamed: Option<accept::Streamed>) -> Form {
    match (ready.is_subscription(), accepted, streamed) {
        (true, _, None) | (false, None, None) => Form::Impossible,
        (false, Some(_), _) => Form::Single,
        (_, _, Some(form)) => Form::Streamed(form),
    }
}

/// Refuses every body but JSON in UTF-8 as it is.
fn check_content(headers: &HeaderMap, media: Media) -> Result<(), Box<Response>> {
    let unsupported = |message| Err(bad(StatusCode::UNSUPPORTED_MEDIA_TYPE, message, media).into());
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let content_type = match (types.next(), types.next()) {
        (Some(only), None) => only.to_str().unwrap_or_default(),
        _ => "",
    };
    let mut parts = content_type.split(';');
    if !parts.next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        return unsupported("Send the content type application/json.");
    }
    for parameter in parts {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if name.trim().eq_ignore_ascii_case("charset") && !is_utf8(value) {
            return unsupported("Send JSON in UTF-8.");
        }
    }
    let mut codings = headers.get_all(header::CONTENT_ENCODING).iter();
    if codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return unsupported("Send the body without a content coding.");
    }
    Ok(())
}

/// Reads the body, up to its bound and within its time.
async fn read(state: &WebState, body: Body, media: Media) -> Result<Vec<u8>, Box<Response>> {
    let max = state.settings.max_body;
    match tokio::time::timeout(BODY_TIMEOUT, collect(body, max)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(Unread::TooLong)) => Err(answer::refusal(
            StatusCode::PAYLOAD_TOO_LARGE,
            "LIMIT_EXCEEDED",
            &format!("The body is longer than {max} bytes."),
            media,
        )
        .into()),
        Ok(Err(Unread::CutOff)) => Err(bad(StatusCode::BAD_REQUEST, "The body was cut off.", media).into()),
        Err(_) => Err(bad(StatusCode::REQUEST_TIMEOUT, "The body took too long to come.", media).into()),
    }
}

enum Unread {
    TooLong,
    CutOff,
}

async fn collect(body: Body, max: usize) -> Result<Vec<u8>, Unread> {
    // What the client announces is enough to refuse it.
    let announced = body.size_hint().lower();
    let mut chunks = body.into_data_stream();
    if announced > max as u64 {
        discard(chunks, max).await;
        return Err(Unread::TooLong);
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Unread::CutOff)?;
        if bytes.len() + chunk.len() > max {
            discard(chunks, max).await;
            return Err(Unread::TooLong);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Reads a refused body on for a while, and keeps nothing of it: a connection that is closed with something unread is
/// reset, and the client, which still sends, may never see why.
async fn discard(mut chunks: BodyDataStream, max: usize) {
    let mut left = DISCARDED_BODIES * max;
    let rest = async {
        while let Some(Ok(chunk)) = chunks.next().await {
            let Some(less) = left.checked_sub(chunk.len()) else { return };
            left = less;
        }
    };
    // Whoever takes longer is answered all the same, and may not see it.
    let _ = tokio::time::timeout(DISCARD_TIMEOUT, rest).await;
}

fn bad(status: StatusCode, message: &str, media: Media) -> Response {
    answer::refusal(status, "BAD_USER_INPUT", message, media)
}

fn method_not_allowed(allow: &'static str, message: &str, media: Media) -> Response {
    let mut response = bad(StatusCode::METHOD_NOT_ALLOWED, message, media);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}
