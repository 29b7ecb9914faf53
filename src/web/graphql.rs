//! `/graphql`: GraphQL over HTTP for queries and mutations, and the door to the sockets.
//!
//! The order is fixed: method, who asks, what it accepts, what it sends, how much of it, whether that is
//! well-formed; only then the API sees it. Nothing that a browser sends across origins without asking
//! first (forms, plain text) is ever executed.

use std::time::Duration;

use async_graphql::parser::types::{DocumentOperations, ExecutableDocument, OperationType};
use axum::{
    body::{Body, HttpBody as _},
    extract::{Extension, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    response::Response,
};
use futures_util::StreamExt as _;

use super::{
    Shared, WebState,
    accept::{Media, is_utf8, negotiate},
    answer, authentication,
    envelope::RequestId,
    origin,
    parameters::Parameters,
    socket,
};
use crate::service::Caller;

/// How long a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The handler of all methods.
pub(super) async fn handle(
    State(state): State<Shared>,
    Extension(id): Extension<RequestId>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
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

fn wants_socket(headers: &HeaderMap) -> bool {
    headers.get(header::UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Executes the request; what refuses it comes back as the error.
async fn execute(state: &WebState, id: RequestId, parts: Parts, body: Body) -> Result<Response, Box<Response>> {
    let accepted = negotiate(&parts.headers);
    let media = accepted.unwrap_or(Media::Json);
    let principal =
        authentication::authenticate(state, &parts.headers).await.map_err(|refused| refused.answer(&id, media))?;
    if accepted.is_none() {
        return Err(bad(
            StatusCode::NOT_ACCEPTABLE,
            "Accept application/graphql-response+json or application/json.",
            media,
        )
        .into());
    }
    let reads_only = parts.method == Method::GET;
    let parameters = if reads_only {
        Parameters::from_query(parts.uri.query().unwrap_or_default())
    } else {
        check_content(&parts.headers, media)?;
        Parameters::from_body(&read(state, body, media).await?)
    };
    let mut request = parameters.map_err(|fault| bad(StatusCode::BAD_REQUEST, &fault, media))?.into_request();
    if reads_only && is_mutation(&mut request) {
        return Err(method_not_allowed("POST", "A mutation needs a POST.", media).into());
    }
    let caller = Caller { principal, request_id: id.0 };
    Ok(answer::response(&state.api.execute(caller, request).await, media))
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
    match headers.get(header::CONTENT_ENCODING) {
        Some(coding) if !coding.as_bytes().eq_ignore_ascii_case(b"identity") => {
            unsupported("Send the body without a content coding.")
        }
        _ => Ok(()),
    }
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
    if body.size_hint().lower() > max as u64 {
        return Err(Unread::TooLong);
    }
    let mut bytes = Vec::new();
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Unread::CutOff)?;
        if bytes.len() + chunk.len() > max {
            return Err(Unread::TooLong);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Whether the operation that would run is a mutation. A document that does not parse, or does not say
/// which operation to run, is left for the API to refuse.
fn is_mutation(request: &mut async_graphql::Request) -> bool {
    let name = request.operation_name.clone();
    request.parsed_query().is_ok_and(|document| selected(document, name.as_deref()) == Some(OperationType::Mutation))
}

fn selected(document: &ExecutableDocument, name: Option<&str>) -> Option<OperationType> {
    match (&document.operations, name) {
        (DocumentOperations::Single(operation), _) => Some(operation.node.ty),
        (DocumentOperations::Multiple(operations), Some(name)) => operations.get(name).map(|it| it.node.ty),
        (DocumentOperations::Multiple(operations), None) if operations.len() == 1 => {
            operations.values().next().map(|it| it.node.ty)
        }
        (DocumentOperations::Multiple(_), None) => None,
    }
}

fn bad(status: StatusCode, message: &str, media: Media) -> Response {
    answer::refusal(status, "BAD_USER_INPUT", message, media)
}

fn method_not_allowed(allow: &'static str, message: &str, media: Media) -> Response {
    let mut response = bad(StatusCode::METHOD_NOT_ALLOWED, message, media);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}
