//! What a manifest may hold, table by table: its keys, their types, and what they mean. The reader asks for
//! nothing else, and the reference and the JSON Schema are written from it.

mod call;
mod connect;
mod events;
mod oauth;
mod reference;
mod schema;
mod top;

pub(super) use self::{
    call::{MATCHER, SOURCE},
    connect::{CREDENTIAL, DERIVED},
    oauth::CAPTURE,
    top::{MANIFEST, PROVIDER},
};
pub use self::{events::event_reference, reference::manifest_reference, schema::manifest_schema};

/// A table of a manifest.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) name: &'static str,
    pub(super) keys: &'static [Key],
}

/// A key of a table.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) need: Need,
    pub(super) kind: Kind,
    /// In lines, as they stand in the code.
    doc: &'static [&'static str],
}

/// Whether a key must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Required,
    Optional,
}

/// What may stand under a key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// The number of the format.
    Version,
    Text,
    Identifier,
    HttpsAddress,
    Day,
    MediaType,
    Template,
    /// A name without braces.
    Name,
    Pointer,
    Pattern,
    Flag,
    /// A whole number, at least 1.
    Whole,
    /// One of a closed list.
    Word(&'static [&'static str]),
    /// One text, or a list of them.
    Words(&'static [&'static str]),
    Texts,
    Templates,
    Pointers,
    Table(&'static Shape),
    Tables(&'static Shape),
    /// Tables by names that the author gives.
    Named(&'static Shape),
    /// Values by names that the author gives.
    Values,
    /// The same, of texts and numbers only.
    Headers,
    /// Texts by texts.
    Choices,
    /// Any value, whose texts are templates.
    Json,
    /// A table, or JSON in a text.
    JsonText,
    Statuses,
    Conditions,
    Sources,
    /// Lists of the names of fields.
    Groups,
}

impl Shape {
    pub(super) fn key(&self, name: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// The table under this key.
    pub(super) fn below(&self, name: &str) -> Option<&'static Self> {
        match self.key(name)?.kind {
            Kind::Table(shape) | Kind::Tables(shape) => Some(shape),
            _ => None,
        }
    }
}

impl Key {
    fn doc(&self) -> String {
        self.doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
    }
}

/// Declares tables. The comment of a key is what the reference says of it.
macro_rules! shapes {
    ($($(#[doc = $about:literal])* $name:ident {
        $($(#[doc = $doc:literal])* $key:ident: $need:ident $kind:expr,)*
    })*) => {$(
        $(#[doc = $about])*
        pub(in crate::connector) static $name: $crate::connector::shape::Shape = $crate::connector::shape::Shape {
            name: stringify!($name),
            keys: &[$($crate::connector::shape::Key {
                name: stringify!($key),
                need: $crate::connector::shape::Need::$need,
                kind: $kind,
                doc: &[$($doc),*],
            }),*],
        };
    )*};
}
use shapes;

/// Every table, for tests.
#[cfg(test)]
pub(super) fn all() -> impl Iterator<Item = &'static Shape> {
    schema::shapes().into_values()
}
