//! What goes back from `/graphql`: the one form of every answer, and its status.

use async_graphql::{ServerError, Value};
use async_graphql_axum::GraphQLResponse;
use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::Serialize;
use serde_json::json;

use super::{accept::Media, envelope::RequestId, throttle::Wait};
use crate::graphql::{is_plain, is_request_error, to_json};

/// The code by which Apollo's clients know that they must send the document: not a fault of theirs.
const NOT_PERSISTED: &str = "PERSISTED_QUERY_NOT_FOUND";

fn is_not_persisted(response: &async_graphql::Response) -> bool {
    let code = |error: &ServerError| error.extensions.as_ref().and_then(|all| all.get("code")).cloned();
    response.errors.iter().any(|error| code(error) == Some(Value::from(NOT_PERSISTED)))
}

/// The answer to a request that was executed.
pub(super) fn executed(response: async_graphql::Response, media: Media) -> Response {
    if is_request_error(&response) {
        return refused(&response, media);
    }
    if !is_plain(&response) {
        return (headers(media), to_json(&response)).into_response();
    }
    let mut answer = GraphQLResponse::from(response).into_response();
    answer.headers_mut().extend(headers(media));
    answer
}

/// The answer to a request that GraphQL refused.
pub(super) fn refused(response: &async_graphql::Response, media: Media) -> Response {
    let status = match media {
        Media::GraphqlResponse if !is_not_persisted(response) => StatusCode::BAD_REQUEST,
        Media::GraphqlResponse | Media::Json => StatusCode::OK,
    };
    (status, headers(media), to_json(response)).into_response()
}

/// The answer to a request that did not reach GraphQL.
pub(super) fn refusal(status: StatusCode, code: &str, message: &str, media: Media) -> Response {
    body(status, media, &json!({ "errors": [{ "message": message, "extensions": { "code": code } }] }))
}

/// The answer to whoever asks too often (RFC 6585, section 4).
pub(super) fn too_often(wait: Wait, message: &str, media: Media) -> Response {
    let mut response = refusal(StatusCode::TOO_MANY_REQUESTS, "LIMIT_EXCEEDED", message, media);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.0));
    response
}

/// The answer where something broke inside: the request's id, and nothing else.
pub(super) fn internal(id: &RequestId, status: StatusCode, media: Media) -> Response {
    body(status, media, &json!({ "errors": [internal_error(id)] }))
}

/// The error where something broke inside.
pub(super) fn internal_error(id: &RequestId) -> serde_json::Value {
    json!({
        "message": "Something broke inside the gateway; its log has more under this request id.",
        "extensions": { "code": "INTERNAL", "requestId": id.0 },
    })
}

fn body(status: StatusCode, media: Media, payload: &impl Serialize) -> Response {
    let Ok(bytes) = serde_json::to_vec(payload) else {
        // Values with string keys always serialize.
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    (status, headers(media), bytes).into_response()
}

/// What every answer says of itself.
const fn headers(media: Media) -> [(HeaderName, HeaderValue); 2] {
    [
        (header::CONTENT_TYPE, HeaderValue::from_static(media.content_type())),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ]
}
