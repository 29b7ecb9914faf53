//! A request as `web` hands it over, and what becomes of it once it has passed the gate.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::gate::{Admitted, Persisted, Selected};

/// A request of well-formed parameters (GraphQL over HTTP, "Request Parameters").
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Incoming {
    /// The document; may be missing where `persisted` names it.
    pub document: Option<String>,
    /// The hash of a document that the client takes for known.
    pub persisted: Option<Persisted>,
    pub operation_name: Option<String>,
    pub variables: Map<String, Value>,
}

/// A request that may run.
pub struct Ready {
    pub(super) selected: Selected,
    pub(super) admitted: Admitted,
}

impl Ready {
    /// Whether running it changes anything.
    #[must_use]
    pub fn is_mutation(&self) -> bool {
        self.selected.is_mutation()
    }

    /// Whether it has more than one answer.
    #[must_use]
    pub fn is_subscription(&self) -> bool {
        self.selected.is_subscription()
    }
}

/// A document by its text or by its hash.
pub(super) struct Text {
    pub text: Arc<str>,
    /// To be kept under this hash once it has passed.
    pub keep: Option<Persisted>,
}
