//! A connection's states, one after another.

use async_graphql::{Description, Object};

use super::{
    enums::{ConnectionState, StateChangeCause},
    page::{PageInfo, Rows, edge, nodes},
    plain::{List, plain},
    scalars::DateTime,
};
use crate::domain;

/// One step of a connection's life.
#[derive(Clone, Description)]
pub struct StateHistoryEntry(pub(super) domain::connection::StateHistoryEntry);

impl StateHistoryEntry {
    fn row(&self) -> &domain::connection::StateHistoryEntry {
        &self.0
    }
}

#[Object(use_type_description)]
impl StateHistoryEntry {
    async fn state(&self) -> ConnectionState {
        self.0.state.into()
    }

    /// Null for the creation.
    async fn previous_state(&self) -> Option<ConnectionState> {
        self.0.previous_state.map(ConnectionState::from)
    }

    async fn cause(&self) -> StateChangeCause {
        self.0.cause.into()
    }

    async fn reason(&self) -> Option<&str> {
        self.0.reason.as_deref()
    }

    async fn occurred_at(&self) -> DateTime {
        DateTime(self.0.occurred_at)
    }
}

plain!(StateHistoryEntry, row = StateHistoryEntry::row => {
    "state": ConnectionState::from(row.state),
    "previousState": row.previous_state.map(ConnectionState::from),
    "cause": StateChangeCause::from(row.cause),
    "reason": row.reason,
    "occurredAt": DateTime(row.occurred_at),
});

edge!(StateHistoryEdge of StateHistoryEntry);

/// A page of a connection's state history.
#[derive(Description)]
pub struct StateHistoryConnection(pub(super) Rows<StateHistoryEntry>);

#[Object(use_type_description)]
impl StateHistoryConnection {
    async fn edges(&self) -> List<StateHistoryEdge> {
        StateHistoryEdge::all(&self.0)
    }

    async fn nodes(&self) -> List<StateHistoryEntry> {
        nodes(&self.0)
    }

    async fn page_info(&self) -> PageInfo {
        self.0.info()
    }
}
