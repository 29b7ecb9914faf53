//! The gateway as its callers hold it: everything that a verb needs, in one handle.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::{
    backlog::Backlogs,
    oauth_client::OAuthSettings,
    types::{Acting, Caller, Failure, OrInternal as _},
};
use crate::{
    bus::Bus,
    connector::Library,
    domain::{
        activity::{ActivityAction, ActivityOutcome},
        capability::resolve_role,
        clock::{BoxFuture, SharedClock, SharedEntropy, now_ms, random},
        connection::Connection,
        id::{ConnectionId, SiteId},
        pace::Pace,
        principal::{Actor, Principal},
    },
    egress::Egress,
    store::{self, ConnectionRef, Db, NewActivity},
    vault::{Keyring, Vault},
};

/// How many sites' opened keys, and how many operators' names, are remembered at most.
pub(super) const REMEMBERED: usize = 4_096;

/// A site's opened keys, and when they were read.
type ReadKeyring = (Arc<Keyring>, DateTime<Utc>);

/// Version, time and count.
type CountedSeals = (i32, DateTime<Utc>, u64);

/// What a gateway is made of.
pub struct Parts {
    pub db: Db,
    pub vault: Vault,
    pub egress: Egress,
    pub library: Arc<Library>,
    pub bus: Bus,
    pub clock: SharedClock,
    pub entropy: SharedEntropy,
    pub limits: Limits,
    pub oauth: OAuthSettings,
}

/// Bounds on what a call may bring.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest payload of an event, in bytes of JSON.
    pub max_payload: usize,
    /// The most events that wait for one connection; a little more where several processes take them at once.
    pub max_queued: u32,
}

/// The handle on all verbs and readings. Cheap to clone.
#[derive(Clone)]
pub struct Gateway(Arc<Inner>);

/// The parts, for the verbs of this module alone.
pub struct Inner {
    pub(super) db: Db,
    pub(super) vault: Vault,
    pub(super) egress: Egress,
    pub(super) library: Arc<Library>,
    pub(super) bus: Bus,
    pub(super) clock: SharedClock,
    pub(super) entropy: SharedEntropy,
    pub(super) limits: Limits,
    pub(super) oauth: OAuthSettings,
    /// Whose turn it is to renew a connection's grant, in this process.
    turns: Mutex<HashMap<ConnectionId, Weak<tokio::sync::Mutex<()>>>>,
    /// How fast each vendor is asked for renewals, in this process.
    pub(super) paces: Mutex<HashMap<String, Pace>>,
    /// Tells this process from others where keys are derived for it.
    pub(super) replica: [u8; 8],
    /// How many streams are followed now.
    pub(super) followers: watch::Sender<usize>,
    /// How many events wait for the connections that were dispatched to lately.
    pub(super) backlogs: Backlogs,
    tasks: TaskTracker,
    /// Sites' opened keys, and when they were read.
    pub(super) keyrings: Mutex<HashMap<SiteId, ReadKeyring>>,
    /// How much of a site older keys than this version seal, and when that was counted.
    pub(super) old_seals: Mutex<HashMap<SiteId, Arc<tokio::sync::Mutex<Option<CountedSeals>>>>>,
    /// Sites whose older keys could not go, and when that is looked at again.
    pub(super) kept_keys: Mutex<HashMap<SiteId, DateTime<Utc>>>,
    /// Operators as they were last noted, so that a request of a known one writes nothing.
    noted: Mutex<HashMap<(SiteId, i64), Option<String>>>,
}

impl std::ops::Deref for Gateway {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Gateway {
    /// Puts a gateway together. `app` does, and nobody else.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let replica = random(&*parts.entropy);
        Self(Arc::new(Inner {
            db: parts.db,
            vault: parts.vault,
            egress: parts.egress,
            library: parts.library,
            bus: parts.bus,
            clock: parts.clock,
            entropy: parts.entropy,
            limits: parts.limits,
            oauth: parts.oauth,
            turns: Mutex::default(),
            paces: Mutex::default(),
            replica,
            followers: watch::channel(0).0,
            backlogs: Backlogs::default(),
            tasks: TaskTracker::new(),
            keyrings: Mutex::default(),
            old_seals: Mutex::default(),
            kept_keys: Mutex::default(),
            noted: Mutex::default(),
        }))
    }

    /// The connector library.
    #[must_use]
    pub fn library(&self) -> &Library {
        &self.0.library
    }

    /// How many streams are followed now, and each change of it.
    #[must_use]
    pub fn followers(&self) -> watch::Receiver<usize> {
        self.0.followers.subscribe()
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// What is not ready, in words that may be shown to anybody.
    pub async fn ready(&self) -> Result<(), String> {
        self.db.ping().await.map_err(|error| {
            tracing::warn!(%error, "the database does not answer");
            "the database does not answer".to_owned()
        })
    }

    /// Takes note of a caller whose token is valid: its site exists from then on, with a key, and
    /// its operator's name is the one that the token gives.
    pub async fn admit(&self, principal: &Principal) -> Result<(), Failure> {
        self.opening_keyring(principal.site).await?;
        if let Actor::Operator { id, name } = &principal.actor {
            let key = (principal.site, id.0);
            let known = lock(&self.noted).get(&key).is_some_and(|noted| noted == name);
            if !known {
                store::operator::note(&self.db, principal.site, *id, name.as_deref(), self.now())
                    .await
                    .or_internal("noting the operator")?;
                remember(&self.noted, key, name.clone());
            }
        }
        Ok(())
    }

    /// A caller with what its role may do and what its site is set to, read afresh. A role that is gone leaves its
    /// holders with nothing.
    pub async fn act(&self, caller: Caller) -> Result<Acting, Failure> {
        let principal = &caller.principal;
        let terms = store::settings::terms(&self.db, principal.site).await.or_internal("reading roles and settings")?;
        let own = terms.roles.iter().map(|(name, capabilities)| (name.as_str(), *capabilities));
        let capabilities = resolve_role(&principal.role, own);
        Ok(Acting { caller, capabilities, settings: Arc::new(terms.settings) })
    }

    /// Ends once every verb that is on its way has committed or failed. No verb begins afterwards that
    /// anybody waits for: `app` calls this when no request comes in any more.
    pub async fn finish(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// Runs a verb to its end, also where the caller goes away meanwhile.
    pub(super) fn in_own_task<T: Send + 'static>(
        &self,
        verb: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, Failure>> {
        let task = self.0.tasks.spawn(Box::pin(verb.in_current_span()));
        Box::pin(async move { task.await.or_internal("a verb's task")? })
    }

    /// Whose turn it is to renew a connection's grant, in this process.
    pub(super) fn turn(&self, connection: ConnectionId) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = lock(&self.turns);
        if let Some(turn) = turns.get(&connection).and_then(Weak::upgrade) {
            return turn;
        }
        if turns.len() >= REMEMBERED {
            turns.retain(|_, turn| turn.strong_count() > 0);
        }
        let turn = Arc::default();
        turns.insert(connection, Arc::downgrade(&turn));
        turn
    }

    /// The time by which states are judged.
    #[must_use]
    pub fn time(&self) -> DateTime<Utc> {
        self.now()
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        now_ms(&*self.clock)
    }

    /// Says that a site's stream has grown.
    pub(super) fn committed(&self, site: SiteId) {
        self.bus.wake_site(site);
    }

    /// Writes a row of the activity log that no other change carries.
    pub(super) async fn log_activity(&self, site: SiteId, activity: NewActivity) -> Result<(), Failure> {
        store::activity::insert(&self.db, site, self.now(), activity).await.or_internal("writing the activity log")?;
        self.committed(site);
        Ok(())
    }
}

/// A row for the activity log: this caller did this to this connection, and so it ended.
pub(super) fn activity(
    acting: &Acting,
    action: ActivityAction,
    connection: Option<&Connection>,
    outcome: ActivityOutcome,
    detail: Option<String>,
) -> NewActivity {
    NewActivity {
        action,
        actor: Some(acting.caller.principal.actor.clone()),
        connection: connection.map(reference),
        outcome,
        detail,
    }
}

/// What a log keeps of a connection.
pub(super) fn reference(connection: &Connection) -> ConnectionRef {
    ConnectionRef { id: connection.id, name: connection.display_name.clone(), slug: connection.connector_slug.clone() }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What is remembered is only ever replaced whole, so a poisoned lock guards nothing half-done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn remember<K: std::hash::Hash + Eq, V>(map: &Mutex<HashMap<K, V>>, key: K, value: V) {
    let mut map = lock(map);
    if map.len() >= REMEMBERED {
        map.clear();
    }
    map.insert(key, value);
}
