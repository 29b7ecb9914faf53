//! Errors as clients see them: a code, a safe text, and nothing of the inside.

use async_graphql::{Error, ErrorExtensions as _, Response, ServerError, Value};

use super::enums::Capability;
use crate::service::Failure;

/// A failure of a verb or reading, as an error of the API.
pub(super) fn api_error(failure: Failure, request_id: &str) -> Error {
    match failure {
        Failure::Forbidden(capability) => {
            let name = async_graphql::resolver_utils::enum_value(Capability::from(capability));
            let message = format!("the caller's role lacks the capability that this needs: {name}");
            Error::new(message).extend_with(|_, extensions| {
                extensions.set("code", "FORBIDDEN");
                extensions.set("capability", name.clone());
            })
        }
        Failure::BadInput { field, message } => {
            Error::new(format!("{field}: {message}")).extend_with(|_, extensions| {
                extensions.set("code", "BAD_USER_INPUT");
                extensions.set("field", field.as_str());
            })
        }
        Failure::NotFound(what) => coded(format!("there is no such {what}"), "NOT_FOUND"),
        Failure::Conflict(message) => coded(message, "CONFLICT"),
        Failure::LimitExceeded(message) => coded(message, "LIMIT_EXCEEDED"),
        Failure::Internal => {
            Error::new("something broke inside; the log has it under this request id").extend_with(|_, extensions| {
                extensions.set("code", "INTERNAL");
                extensions.set("requestId", request_id);
            })
        }
    }
}

fn coded(message: String, code: &'static str) -> Error {
    Error::new(message).extend_with(|_, extensions| extensions.set("code", code))
}

/// Gives every error of an answer a code, and takes from those that the library made itself whatever they
/// quote: a value in it may be a secret.
pub(super) fn mask(mut response: Response) -> Response {
    for error in &mut response.errors {
        mask_error(error);
    }
    response
}

fn mask_error(error: &mut ServerError) {
    let coded = error.extensions.as_ref().is_some_and(|extensions| extensions.get("code").is_some());
    if coded {
        return;
    }
    if let Some(at) = error.message.find(", found") {
        error.message.truncate(at);
    }
    // The library's errors with a path come from an argument or a variable that did not fit its type.
    let code = if error.path.is_empty() { "GRAPHQL_VALIDATION_FAILED" } else { "BAD_USER_INPUT" };
    error.extensions.get_or_insert_default().set("code", Value::from(code));
    error.source = None;
}

/// A request that is refused for one thing.
pub(super) fn request_error(error: ServerError) -> Box<Response> {
    Box::new(Response::from_errors(vec![error]))
}

/// A request that is refused before anything runs.
pub(super) fn refused(failure: Failure, request_id: &str) -> Response {
    let error = api_error(failure, request_id);
    let mut refused = ServerError::new(error.message, None);
    refused.extensions = error.extensions;
    Response::from_errors(vec![refused])
}
