//! Sealing anew what older keys of a site seal: batch by batch, beside everything else, and taken up again where a
//! process was cut off.

use chrono::TimeDelta;

use super::{
    gateway::{Gateway, lock, remember},
    types::{Failure, OrInternal as _},
};
use crate::{
    domain::id::SiteId,
    store::{
        self,
        reseal::{NewSeal, OldSeal, SealedAt},
    },
    vault::{Keyring, Place, VaultError},
};

/// How many values are sealed anew in one transaction: few, since others wait for the writer meanwhile.
const BATCH: u32 = 100;
/// How long after a key was made payloads are begun with: every process has noticed it by then.
const SETTLED: TimeDelta = TimeDelta::seconds(60);
/// How long after a key was made older ones go, if nothing is sealed with them: every call that was under way then has
/// ended.
const KEPT: TimeDelta = TimeDelta::hours(1);

impl Gateway {
    /// For the worker: sites with older keys that may still seal something.
    ///
    /// # Errors
    /// [`Failure::Internal`] where the database fails.
    pub async fn sites_to_reseal(&self) -> Result<Vec<SiteId>, Failure> {
        store::reseal::sites_with_old_keys(&self.db).await.or_internal("looking for keys that are to go")
    }

    /// For the worker: seals anew what older keys of a site seal, until `stop` says so or nothing is left that can be;
    /// then the older keys go. What does not open stays, and keeps its key.
    ///
    /// # Errors
    /// [`Failure::Internal`] where the database fails.
    pub async fn reseal(&self, site: SiteId, stop: impl Fn() -> bool + Send) -> Result<(), Failure> {
        let keys = store::site::keys(&self.db, site).await.or_internal("reading the site's keys")?;
        let Some(newest) = keys.last().filter(|_| keys.len() > 1) else { return Ok(()) };
        let age = self.now() - newest.created_at;
        let mut last: Option<SealedAt> = None;
        while !stop() {
            let found = store::reseal::old_seals(&self.db, site, newest.version, last.as_ref(), BATCH).await;
            let found = found.or_internal("looking for what is to be sealed anew")?;
            let Some(end) = found.last() else { break };
            last = Some(end.at.clone());
            self.reseal_batch(site, found).await?;
        }
        if age < SETTLED {
            return Ok(());
        }
        let mut done_to = newest.payloads_done_to;
        while let Some(after) = done_to.filter(|_| !stop()) {
            done_to = self.reseal_payloads(site, newest.version, after).await?;
        }
        if age < KEPT || stop() {
            return Ok(());
        }
        self.drop_old_keys(site, newest.version).await
    }

    async fn drop_old_keys(&self, site: SiteId, newest: i32) -> Result<(), Failure> {
        let now = self.now();
        if lock(&self.kept_keys).get(&site).is_some_and(|again| now < *again) {
            return Ok(());
        }
        // All payloads are looked at once more: a process that was held up may have sealed one with the key before.
        let left = store::reseal::count_old(&self.db, site, newest, Some(0)).await;
        let left = left.or_internal("counting what is to be sealed anew")?;
        if left == 0 {
            store::reseal::drop_old_keys(&self.db, site, newest).await.or_internal("removing older keys")?;
            tracing::info!(site = site.get(), version = newest, "older keys of the site are gone");
            return Ok(());
        }
        tracing::warn!(site = site.get(), left, "older keys of the site stay: what they seal could not be sealed anew");
        store::reseal::replace_payloads(&self.db, site, newest, &[], Some(0))
            .await
            .or_internal("beginning with payloads once more")?;
        remember(&self.kept_keys, site, now + KEPT);
        Ok(())
    }

    async fn reseal_batch(&self, site: SiteId, found: Vec<OldSeal>) -> Result<(), Failure> {
        let keyring = self.keyring(site).await?;
        let mut anew = Vec::with_capacity(found.len());
        for old in found {
            match seal_anew(&keyring, &old) {
                Ok((key_version, blob)) => anew.push(NewSeal { old, key_version, blob }),
                Err(error) => {
                    tracing::error!(site = site.get(), at = ?named(&old.at), %error, "it cannot be sealed anew");
                }
            }
        }
        store::reseal::replace_seals(&self.db, site, &anew).await.or_internal("storing what was sealed anew")
    }

    async fn reseal_payloads(&self, site: SiteId, newest: i32, after: i64) -> Result<Option<i64>, Failure> {
        let found = store::reseal::old_payloads(&self.db, site, newest, after, BATCH).await;
        let (found, done_to) = found.or_internal("looking for payloads that are to be sealed anew")?;
        let keyring = self.keyring(site).await?;
        let day = self.now().date_naive();
        let mut anew = Vec::with_capacity(found.len());
        for old in found {
            match keyring.reseal_payload(day, self.replica, &old.message_id, &old.blob) {
                Ok(Some(blob)) => anew.push((old, blob)),
                Ok(None) => {}
                Err(error) => tracing::error!(delivery = old.delivery, %error, "its payload cannot be sealed anew"),
            }
        }
        store::reseal::replace_payloads(&self.db, site, newest, &anew, done_to)
            .await
            .or_internal("storing payloads that were sealed anew")?;
        Ok(done_to)
    }
}

fn seal_anew(keyring: &Keyring, old: &OldSeal) -> Result<(i32, Vec<u8>), VaultError> {
    let place = place(&old.at);
    let plain = keyring.open(&place, &old.blob)?;
    let sealed = keyring.seal(&place, plain.expose())?;
    Ok((sealed.key_version, sealed.blob))
}

fn place(at: &SealedAt) -> Place<'_> {
    match at {
        SealedAt::Credential { connection, name } => Place::Credential { connection: *connection, name },
        SealedAt::Offer { token } => Place::Offer { token },
        SealedAt::Authorization { token } => Place::Authorization { token },
    }
}

/// A place as a log can name it.
fn named(at: &SealedAt) -> String {
    match at {
        SealedAt::Credential { connection, name } => format!("{name} of connection {connection}"),
        SealedAt::Offer { .. } => "a signing offer".to_owned(),
        SealedAt::Authorization { .. } => "an authorization".to_owned(),
    }
}
