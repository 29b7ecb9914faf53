//! What a list of ids names, each kind read in one query.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use super::{
    activity::ActivityEntry,
    connection::ConnectionRecord,
    delivery::{Delivery, DeliveryEntry},
    ids::Named,
    library::Connector,
    query::Node,
    retry::RetryBatch,
    scope::SharedScope,
    sets::{ActivitySet, ConnectionSet, DeliverySet, EntrySet, Row, rows},
};
use crate::{
    domain::{
        capability::Capability,
        delivery,
        id::{ActivityId, ConnectionId, DeliveryId, EntryId, RetryBatchId},
    },
    service::Failure,
};

/// The rows that were found.
pub(super) struct NodeSets {
    connections: HashMap<ConnectionId, Row<ConnectionSet>>,
    deliveries: HashMap<DeliveryId, Row<DeliverySet>>,
    entries: HashMap<EntryId, Row<EntrySet>>,
    activities: HashMap<ActivityId, Row<ActivitySet>>,
    retries: HashMap<RetryBatchId, delivery::RetryBatch>,
}

fn by_key<K: Eq + Hash, S>(found: Vec<Row<S>>, key: impl Fn(&S, usize) -> K) -> HashMap<K, Row<S>> {
    found.into_iter().map(|row| (key(&row.set, row.at), row)).collect()
}

/// Reads what these ids name, as far as the caller may read it.
pub(super) async fn load(scope: &SharedScope, named: impl Iterator<Item = &Named> + Send) -> Result<NodeSets, Failure> {
    let (mut connections, mut deliveries, mut entries, mut activities) = (vec![], vec![], vec![], vec![]);
    let mut retries = vec![];
    let may = |capability| scope.require(capability).is_ok();
    for named in named {
        match named {
            Named::Connection(id) if may(Capability::ListConnections) => connections.push(*id),
            Named::Delivery(id) if may(Capability::BrowseDeliveryLog) => deliveries.push(*id),
            Named::Entry(id) if may(Capability::BrowseDeliveryLog) => entries.push(*id),
            Named::Activity(id) if may(Capability::BrowseActivityLog) => activities.push(*id),
            Named::RetryBatch(id) if may(Capability::RetryDelivery) => retries.push(*id),
            _ => {}
        }
    }
    let (gateway, site) = (&scope.gateway, scope.site());
    let connections = if connections.is_empty() { vec![] } else { gateway.connections(site, &connections).await? };
    let deliveries = if deliveries.is_empty() { vec![] } else { gateway.deliveries(site, &deliveries).await? };
    let entries = if entries.is_empty() { vec![] } else { gateway.entries(site, &entries).await? };
    let activities = if activities.is_empty() { vec![] } else { gateway.activity_entries(site, &activities).await? };
    let retries = if retries.is_empty() { vec![] } else { gateway.retry_batches(site, &retries).await? };
    let lengths = (connections.len(), deliveries.len(), entries.len(), activities.len());
    Ok(NodeSets {
        connections: by_key(rows(ConnectionSet::new(scope, connections), lengths.0), |set, at| set.rows[at].id),
        deliveries: by_key(rows(DeliverySet::new(scope, deliveries), lengths.1), |set, at| set.rows[at].id),
        entries: by_key(rows(EntrySet::new(scope, entries), lengths.2), |set, at| set.rows[at].id),
        activities: by_key(rows(ActivitySet::new(scope, activities), lengths.3), |set, at| set.rows[at].id),
        retries: retries.into_iter().map(|batch| (batch.id, batch)).collect(),
    })
}

impl NodeSets {
    /// The node of an id, where there is one.
    pub fn get(&self, scope: &SharedScope, named: &Named) -> Option<Node> {
        match named {
            Named::Connector(slug) => {
                let found: Option<&Arc<_>> = scope.gateway.library().get(slug);
                found.map(|found| Node::Connector(Connector::new(scope, found)))
            }
            Named::Connection(id) => {
                self.connections.get(id).cloned().map(ConnectionRecord).map(Node::ConnectionRecord)
            }
            Named::Delivery(id) => self.deliveries.get(id).cloned().map(Delivery).map(Node::Delivery),
            Named::Entry(id) => self.entries.get(id).cloned().map(DeliveryEntry).map(Node::DeliveryEntry),
            Named::Activity(id) => self.activities.get(id).cloned().map(ActivityEntry).map(Node::ActivityEntry),
            Named::RetryBatch(id) => self.retries.get(id).copied().map(RetryBatch::from).map(Node::RetryBatch),
            Named::Offer(_) | Named::Authorization(_) => None,
        }
    }
}
