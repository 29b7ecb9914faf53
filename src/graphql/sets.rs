//! Rows that were read together. The first row of a set that needs something related loads it for the whole
//! set, in one query; what it loads is a set again. So what a page costs depends on what was asked for, and
//! never on how many rows it has; and nothing has to guess how long to wait for more keys.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::Arc,
};

use tokio::sync::{Mutex, OnceCell};

use super::scope::SharedScope;
use crate::{
    domain::{
        activity::ActivityEntry,
        connection::Connection,
        connector::AuthFlow,
        delivery::{Delivery, DeliveryEntry},
        id::{ConnectionId, DeliveryId, EntryId, OperatorId},
        statistics::{Cell, ModuleUsage, Span},
    },
    service::Failure,
};

/// Something related to every row of a set, loaded once.
type Loaded<T> = OnceCell<Arc<T>>;

/// A set of rows with a position for each id.
pub(super) struct ByKey<S, K> {
    pub set: Arc<S>,
    at: HashMap<K, usize>,
}

impl<S, K: Eq + Hash> ByKey<S, K> {
    fn new(set: Arc<S>, keys: impl Iterator<Item = K>) -> Self {
        Self { set, at: keys.enumerate().map(|(at, key)| (key, at)).collect() }
    }

    /// The place of this row in the set.
    pub fn get(&self, key: &K) -> Option<Row<S>> {
        self.at.get(key).map(|at| Row { set: Arc::clone(&self.set), at: *at })
    }
}

/// One row of a set.
pub(super) struct Row<S> {
    pub set: Arc<S>,
    pub at: usize,
}

impl<S> Clone for Row<S> {
    fn clone(&self) -> Self {
        Self { set: Arc::clone(&self.set), at: self.at }
    }
}

/// Every row of a set, in its order.
pub(super) fn rows<S>(set: S, length: usize) -> Vec<Row<S>> {
    let set = Arc::new(set);
    (0..length).map(|at| Row { set: Arc::clone(&set), at }).collect()
}

fn distinct<K: Eq + Hash + Copy>(keys: impl Iterator<Item = K>) -> Vec<K> {
    let mut seen = HashSet::new();
    keys.filter(|key| seen.insert(*key)).collect()
}

fn grouped<K: Eq + Hash, T>(rows: Vec<(K, T)>) -> HashMap<K, Vec<T>> {
    let mut groups: HashMap<K, Vec<T>> = HashMap::new();
    for (key, row) in rows {
        groups.entry(key).or_default().push(row);
    }
    groups
}

type Names = HashMap<OperatorId, Option<String>>;
pub(super) type Connections = ByKey<ConnectionSet, ConnectionId>;
type Deliveries = ByKey<DeliverySet, DeliveryId>;
type Entries = ByKey<EntrySet, EntryId>;

async fn names(scope: &SharedScope, ids: Vec<OperatorId>) -> Result<Arc<Names>, Failure> {
    let names = if ids.is_empty() { Vec::new() } else { scope.gateway.operators(scope.site(), &ids).await? };
    Ok(Arc::new(names.into_iter().collect()))
}

async fn connections(scope: &SharedScope, ids: Vec<ConnectionId>) -> Result<Arc<Connections>, Failure> {
    let found = if ids.is_empty() { Vec::new() } else { scope.gateway.connections(scope.site(), &ids).await? };
    let set = Arc::new(ConnectionSet::new(scope, found));
    let keys: Vec<ConnectionId> = set.rows.iter().map(|row| row.id).collect();
    Ok(Arc::new(ByKey::new(set, keys.into_iter())))
}

type CellsByConnection = Arc<HashMap<ConnectionId, Vec<Cell>>>;

/// Connections that were read together.
pub(super) struct ConnectionSet {
    pub scope: SharedScope,
    pub rows: Vec<Connection>,
    names: Loaded<Names>,
    pending: Loaded<HashMap<ConnectionId, i64>>,
    usage: Loaded<HashMap<ConnectionId, Vec<ModuleUsage>>>,
    closing: Loaded<HashSet<ConnectionId>>,
    /// By what was asked for.
    statistics: Mutex<HashMap<Span, CellsByConnection>>,
}

impl ConnectionSet {
    pub fn new(scope: &SharedScope, rows: Vec<Connection>) -> Self {
        Self {
            scope: Arc::clone(scope),
            rows,
            names: OnceCell::new(),
            pending: OnceCell::new(),
            usage: OnceCell::new(),
            closing: OnceCell::new(),
            statistics: Mutex::default(),
        }
    }

    /// The operators of record, by id.
    pub async fn names(&self) -> Result<&Names, Failure> {
        let ids = || distinct(self.rows.iter().map(|row| row.operator_of_record));
        self.names.get_or_try_init(|| names(&self.scope, ids())).await.map(|loaded| &**loaded)
    }

    /// How many events each has accepted and neither delivered nor failed.
    pub async fn pending(&self) -> Result<&HashMap<ConnectionId, i64>, Failure> {
        let load = async {
            let ids: Vec<ConnectionId> = self.rows.iter().map(|row| row.id).collect();
            let counts = self.scope.gateway.pending_counts(self.scope.site(), &ids).await?;
            Ok(Arc::new(counts.into_iter().collect()))
        };
        self.pending.get_or_try_init(|| load).await.map(|loaded| &**loaded)
    }

    /// Which modules use each.
    pub async fn usage(&self) -> Result<&HashMap<ConnectionId, Vec<ModuleUsage>>, Failure> {
        let load = async {
            let ids: Vec<ConnectionId> = self.rows.iter().map(|row| row.id).collect();
            let found = self.scope.gateway.usage(self.scope.site(), &ids).await?;
            Ok(Arc::new(grouped(found)))
        };
        self.usage.get_or_try_init(|| load).await.map(|loaded| &**loaded)
    }

    /// Those that are being disconnected. Only a grant takes a call for that.
    pub async fn closing(&self) -> Result<&HashSet<ConnectionId>, Failure> {
        let load = async {
            let granted = self.rows.iter().filter(|row| row.auth_flow == AuthFlow::Oauth);
            let ids: Vec<ConnectionId> = granted.map(|row| row.id).collect();
            let (gateway, site) = (&self.scope.gateway, self.scope.site());
            Ok(Arc::new(if ids.is_empty() { HashSet::new() } else { gateway.closing(site, &ids).await? }))
        };
        self.closing.get_or_try_init(|| load).await.map(|loaded| &**loaded)
    }

    /// The attempts of each in these hours.
    pub async fn statistics(&self, span: Span) -> Result<CellsByConnection, Failure> {
        // Held while they are read: who asks for the same meanwhile waits for them.
        let mut known = self.statistics.lock().await;
        if let Some(found) = known.get(&span) {
            return Ok(Arc::clone(found));
        }
        let ids: Vec<ConnectionId> = self.rows.iter().map(|row| row.id).collect();
        let found = Arc::new(grouped(self.scope.gateway.statistics(self.scope.site(), &ids, span).await?));
        known.insert(span, Arc::clone(&found));
        Ok(found)
    }
}

/// Deliveries that were read together.
pub(super) struct DeliverySet {
    pub scope: SharedScope,
    pub rows: Vec<Delivery>,
    connections: Loaded<Connections>,
    entries: Loaded<HashMap<DeliveryId, Vec<Row<EntrySet>>>>,
}

impl DeliverySet {
    pub fn new(scope: &SharedScope, rows: Vec<Delivery>) -> Self {
        Self { scope: Arc::clone(scope), rows, connections: OnceCell::new(), entries: OnceCell::new() }
    }

    pub async fn connections(&self) -> Result<&Connections, Failure> {
        let ids = || distinct(self.rows.iter().map(|row| row.connection));
        self.connections.get_or_try_init(|| connections(&self.scope, ids())).await.map(|loaded| &**loaded)
    }

    /// All attempts of each, oldest first.
    pub async fn entries(&self) -> Result<&HashMap<DeliveryId, Vec<Row<EntrySet>>>, Failure> {
        let load = async {
            let ids: Vec<DeliveryId> = self.rows.iter().map(|row| row.id).collect();
            let found = self.scope.gateway.entries_of(self.scope.site(), &ids).await?;
            let length = found.len();
            let mut by_delivery: HashMap<DeliveryId, Vec<Row<EntrySet>>> = HashMap::new();
            for row in rows(EntrySet::new(&self.scope, found), length) {
                by_delivery.entry(row.set.rows[row.at].delivery).or_default().push(row);
            }
            Ok(Arc::new(by_delivery))
        };
        self.entries.get_or_try_init(|| load).await.map(|loaded| &**loaded)
    }
}

/// Rows of the delivery log that were read together.
pub(super) struct EntrySet {
    pub scope: SharedScope,
    pub rows: Vec<DeliveryEntry>,
    connections: Loaded<Connections>,
    deliveries: Loaded<Deliveries>,
    retried: Loaded<Entries>,
}

impl EntrySet {
    pub fn new(scope: &SharedScope, rows: Vec<DeliveryEntry>) -> Self {
        Self {
            scope: Arc::clone(scope),
            rows,
            connections: OnceCell::new(),
            deliveries: OnceCell::new(),
            retried: OnceCell::new(),
        }
    }

    pub async fn connections(&self) -> Result<&Connections, Failure> {
        let ids = || distinct(self.rows.iter().map(|row| row.connection));
        self.connections.get_or_try_init(|| connections(&self.scope, ids())).await.map(|loaded| &**loaded)
    }

    pub async fn deliveries(&self) -> Result<&Deliveries, Failure> {
        let load = async {
            let ids = distinct(self.rows.iter().map(|row| row.delivery));
            let found = self.scope.gateway.deliveries(self.scope.site(), &ids).await?;
            let set = Arc::new(DeliverySet::new(&self.scope, found));
            let keys: Vec<DeliveryId> = set.rows.iter().map(|row| row.id).collect();
            Ok(Arc::new(ByKey::new(set, keys.into_iter())))
        };
        self.deliveries.get_or_try_init(|| load).await.map(|loaded| &**loaded)
    }

    /// The failed entries that rows of this set are retries of.
    pub async fn retried(&self) -> Result<&Entries, Failure> {
        let load = async {
            let ids = distinct(self.rows.iter().filter_map(|row| row.retry_of));
            let (gateway, site) = (&self.scope.gateway, self.scope.site());
            let found = if ids.is_empty() { Vec::new() } else { gateway.entries(site, &ids).await? };
            let set = Arc::new(EntrySet::new(&self.scope, found));
            let keys: Vec<EntryId> = set.rows.iter().map(|row| row.id).collect();
            Ok(Arc::new(ByKey::new(set, keys.into_iter())))
        };
        self.retried.get_or_try_init(|| load).await.map(|loaded| &**loaded)
    }
}

/// Rows of the activity log that were read together.
pub(super) struct ActivitySet {
    pub scope: SharedScope,
    pub rows: Vec<ActivityEntry>,
    connections: Loaded<Connections>,
    names: Loaded<Names>,
}

impl ActivitySet {
    pub fn new(scope: &SharedScope, rows: Vec<ActivityEntry>) -> Self {
        Self { scope: Arc::clone(scope), rows, connections: OnceCell::new(), names: OnceCell::new() }
    }

    pub async fn connections(&self) -> Result<&Connections, Failure> {
        let ids = || distinct(self.rows.iter().filter_map(|row| row.connection));
        self.connections.get_or_try_init(|| connections(&self.scope, ids())).await.map(|loaded| &**loaded)
    }

    pub async fn names(&self) -> Result<&Names, Failure> {
        let ids = || distinct(self.rows.iter().filter_map(|row| row.operator));
        self.names.get_or_try_init(|| names(&self.scope, ids())).await.map(|loaded| &**loaded)
    }
}
