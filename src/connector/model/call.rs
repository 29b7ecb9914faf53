//! Calls as a manifest describes them.

use http::{HeaderName, Method};
use serde_json::Value;

use crate::connector::template::{Name, Template};

/// A call as the manifest describes it.
#[derive(Debug)]
pub(in crate::connector) struct Call {
    pub(in crate::connector) method: Method,
    pub(in crate::connector) url: UrlTemplate,
    pub(in crate::connector) headers: Vec<(HeaderName, Piece)>,
    pub(in crate::connector) query: Vec<(String, Piece)>,
    pub(in crate::connector) body: Body,
    /// The name of one of the flow's credentials.
    pub(in crate::connector) credential: Option<String>,
}

#[derive(Debug)]
pub(in crate::connector) struct UrlTemplate {
    pub(in crate::connector) base: Base,
    /// Begins with `/`, or is empty.
    pub(in crate::connector) path: Template,
}

#[derive(Debug)]
pub(in crate::connector) enum Base {
    /// Host and port; values stand for one label of the host's name each.
    Host(Template),
    /// A host that is a value: it must be on the manifest's list.
    Listed(Name),
    /// An address field.
    Field(String),
    /// An origin of the gateway's own, scheme included.
    Own(String),
}

/// A value that may be left out where it is absent.
#[derive(Debug)]
pub(in crate::connector) struct Piece {
    pub(in crate::connector) value: PieceValue,
    pub(in crate::connector) optional: bool,
}

#[derive(Debug)]
pub(in crate::connector) enum PieceValue {
    Text(Template),
    /// JSON as a text.
    Json(JsonTemplate),
}

/// A part of a body of several.
#[derive(Debug)]
pub(in crate::connector) struct Part {
    pub(in crate::connector) content_type: String,
    pub(in crate::connector) body: PartBody,
}

#[derive(Debug)]
pub(in crate::connector) enum PartBody {
    Text(Template),
    Json(JsonTemplate),
}

#[derive(Debug)]
pub(in crate::connector) enum Body {
    Empty,
    Form(Vec<(String, Piece)>),
    Json(JsonTemplate),
    /// `multipart/related` (RFC 2387).
    Related(Vec<Part>),
}

#[derive(Debug)]
pub(in crate::connector) enum JsonTemplate {
    Literal(Value),
    Text(Template),
    Array(Vec<JsonTemplate>),
    /// Name, whether it is left out where a value in it is absent, and the member.
    Object(Vec<(String, bool, JsonTemplate)>),
}
