//! Sites' keys: opened and remembered for a while, put in each other's place, and wrapped by another master key.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    gateway::{Gateway, REMEMBERED, activity, lock, remember},
    types::{Acting, Failure, OrInternal as _},
};
use crate::{
    domain::{
        activity::{ActivityAction, ActivityOutcome},
        id::SiteId,
        secret::SecretBytes,
    },
    store::{self, site::SiteKeyRow},
    vault::{Keyring, Place, VaultError, WrappedKey},
};

/// How long opened keys are used before it is looked whether there is a newer one: so long another process may seal with
/// the key before.
const FRESH: TimeDelta = TimeDelta::seconds(10);
/// How long keys seal that could not be read afresh: far shorter than an older key stays once a newer one seals.
const SEALS: TimeDelta = TimeDelta::minutes(10);
/// How long a count of what is still to be sealed anew serves whoever asks.
const COUNTED: TimeDelta = TimeDelta::seconds(1);
/// How many older keys may still be needed when a site gets another one.
const OLD_MAX: usize = 4;

/// Which version of the site's key seals, since when, and what is still sealed with older ones.
#[derive(Clone, Copy, Debug)]
pub struct SiteKey {
    pub version: i32,
    pub created_at: DateTime<Utc>,
    /// Payloads of deliveries are counted up to 10,000.
    pub records_to_reseal: u64,
}

impl Gateway {
    /// The site's opened keys, to seal with; the first call for a site makes its key.
    pub(super) async fn keyring(&self, site: SiteId) -> Result<Arc<Keyring>, Failure> {
        let known = lock(&self.keyrings).get(&site).cloned();
        let now = self.now();
        match known {
            Some((keyring, read)) if (TimeDelta::zero()..FRESH).contains(&(now - read)) => Ok(keyring),
            // What is known serves on for a while where it cannot be read afresh. Not for long: the key could be gone.
            Some((keyring, read)) if (TimeDelta::zero()..SEALS).contains(&(now - read)) => {
                Ok(self.read_keyring(site).await.unwrap_or(keyring))
            }
            _ => self.read_keyring(site).await,
        }
    }

    /// The site's opened keys, to open with: what is known is good for that whatever its age, also where the keys have
    /// been wrapped by a master key that this process has not been given.
    pub(super) async fn opening_keyring(&self, site: SiteId) -> Result<Arc<Keyring>, Failure> {
        let known = lock(&self.keyrings).get(&site).map(|(keyring, _)| Arc::clone(keyring));
        match (self.keyring(site).await, known) {
            (Ok(keyring), _) | (Err(_), Some(keyring)) => Ok(keyring),
            (Err(failure), None) => Err(failure),
        }
    }

    async fn read_keyring(&self, site: SiteId) -> Result<Arc<Keyring>, Failure> {
        let now = self.now();
        let mut rows = store::site::keys(&self.db, site).await.or_internal("reading the site's keys")?;
        if rows.is_empty() {
            let row = self.new_key(site, 1)?;
            store::site::create(&self.db, site, now, row).await.or_internal("storing the site's key")?;
            // Another replica may have been first: what is stored is what counts.
            rows = store::site::keys(&self.db, site).await.or_internal("reading the site's keys")?;
        }
        let wrapped: Vec<WrappedKey> = rows.into_iter().map(wrapped).collect();
        let keyring = Arc::new(self.vault.open_keys(site, &wrapped).or_internal("opening the site's keys")?);
        remember(&self.keyrings, site, (Arc::clone(&keyring), now));
        Ok(keyring)
    }

    fn new_key(&self, site: SiteId, version: i32) -> Result<SiteKeyRow, Failure> {
        let key = self.vault.new_site_key(site, version).or_internal("making the site's key")?;
        Ok(SiteKeyRow {
            version: key.version,
            master_key_id: key.master_key_id,
            wrapped: key.wrapped,
            created_at: self.now(),
            payloads_done_to: Some(0),
        })
    }

    /// Opens something that is sealed with a key of the site, for one call.
    pub(super) async fn unseal(
        &self,
        site: SiteId,
        place: &Place<'_>,
        blob: &[u8],
        doing: &'static str,
    ) -> Result<SecretBytes, Failure> {
        self.with_keys(site, |keyring| keyring.open(place, blob)).await?.or_internal(doing)
    }

    /// Opens the payload of this message; an inner error where it does not open.
    pub(super) async fn unseal_payload(
        &self,
        site: SiteId,
        message_id: &str,
        blob: &[u8],
    ) -> Result<Result<SecretBytes, VaultError>, Failure> {
        self.with_keys(site, |keyring| keyring.open_payload(message_id, blob)).await
    }

    async fn with_keys<T>(
        &self,
        site: SiteId,
        open: impl Fn(&Keyring) -> Result<T, VaultError>,
    ) -> Result<Result<T, VaultError>, Failure> {
        match open(&*self.opening_keyring(site).await?) {
            // Another process has sealed it with a key that the site got a moment ago.
            Err(VaultError::UnknownVersion(_)) => Ok(open(&*self.read_keyring(site).await?)),
            other => Ok(other),
        }
    }

    /// Which key seals, and how much older ones still seal.
    ///
    /// # Errors
    /// [`Failure::Internal`] where the database fails.
    pub async fn site_key(&self, site: SiteId) -> Result<SiteKey, Failure> {
        let keys = store::site::keys(&self.db, site).await.or_internal("reading the site's keys")?;
        let Some(newest) = keys.last() else { return Err(Failure::Internal) };
        let records_to_reseal = if keys.len() == 1 { 0 } else { self.count_old(site, newest).await? };
        Ok(SiteKey { version: newest.version, created_at: newest.created_at, records_to_reseal })
    }

    /// Counting takes a while: whoever asks at the same time waits for the same count, and it serves for a second.
    async fn count_old(&self, site: SiteId, newest: &SiteKeyRow) -> Result<u64, Failure> {
        let counted = {
            let mut counts = lock(&self.old_seals);
            if counts.len() >= REMEMBERED {
                counts.clear();
            }
            Arc::clone(counts.entry(site).or_default())
        };
        let mut counted = counted.lock().await;
        let now = self.now();
        if let Some((version, at, count)) = *counted
            && version == newest.version
            && (TimeDelta::zero()..COUNTED).contains(&(now - at))
        {
            return Ok(count);
        }
        let count = store::reseal::count_old(&self.db, site, newest.version, newest.payloads_done_to)
            .await
            .or_internal("counting what is to be sealed anew")?;
        *counted = Some((newest.version, now, count));
        Ok(count)
    }

    /// Gives the site another key. It seals from now on; what older ones seal is sealed anew by a worker, while
    /// everything goes on.
    ///
    /// # Errors
    /// [`Failure::Conflict`] where too many older keys are still needed, and where somebody else has given the site
    /// another key at the same time.
    pub async fn rotate_site_key(&self, acting: &Acting) -> Result<SiteKey, Failure> {
        let site = acting.site();
        let keys = store::site::keys(&self.db, site).await.or_internal("reading the site's keys")?;
        if keys.len() > OLD_MAX {
            return Err(Failure::Conflict(format!(
                "{OLD_MAX} older keys are still needed until what they seal has been sealed anew: see recordsToReseal"
            )));
        }
        let newest = keys.last().map_or(0, |key| key.version);
        let key = self.new_key(site, newest + 1)?;
        let detail = Some(format!("version {} seals from now on", key.version));
        let entry = activity(acting, ActivityAction::SiteKeyRotated, None, ActivityOutcome::Succeeded, detail);
        let added = store::reseal::add_key(&self.db, site, self.now(), &key, entry).await;
        if !added.or_internal("storing the site's key")? {
            return Err(Failure::Conflict("somebody else has rotated this site's key at the same time".to_owned()));
        }
        self.read_keyring(site).await?;
        self.committed(site);
        self.site_key(site).await
    }

    /// Wraps every site's keys by the newest master key, at the start; says how many were not.
    ///
    /// # Errors
    /// What is wrong with the master keys, in words for an operator. What was wrapped before that stays good.
    pub async fn rewrap_keys(&self) -> Result<u64, String> {
        let (mut last, mut rewrapped) = ((0, 0), 0);
        loop {
            let keys = store::reseal::all_keys(&self.db, last, 200).await.map_err(|error| error.to_string())?;
            let Some((site, key)) = keys.last() else { return Ok(rewrapped) };
            last = (site.get(), key.version);
            for (site, key) in keys {
                let id = key.master_key_id.clone();
                let anew = self.vault.rewrap(site, &wrapped(key)).map_err(|error| {
                    format!("the key {id:?} is not the one that the keys of site {site} were wrapped by: {error}")
                })?;
                let Some(anew) = anew else { continue };
                store::reseal::rewrap(&self.db, site, anew.version, &anew.master_key_id, &anew.wrapped)
                    .await
                    .map_err(|error| error.to_string())?;
                rewrapped += 1;
            }
        }
    }
}

fn wrapped(row: SiteKeyRow) -> WrappedKey {
    WrappedKey { version: row.version, master_key_id: row.master_key_id, wrapped: row.wrapped }
}
