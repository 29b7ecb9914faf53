//! A connection's credential: sealed for the store, opened for one call.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{
    gateway::Gateway,
    types::{Failure, OrInternal as _},
};
use crate::{
    connector::{Grant, SigningKeys, Values},
    domain::{
        id::{ConnectionId, SiteId},
        secret::{Secret, SecretBytes},
    },
    store::{self, SealedCredential},
    vault::{Keyring, Place, VaultError},
};

/// The names under which the parts of a credential are sealed.
const FIELDS: &str = "fields";
const SIGNING: &str = "signing";
const GRANT: &str = "grant";

/// An opened credential. Lives as long as the call that uses it.
pub(super) struct Opened {
    pub values: Values,
    pub signing: SigningKeys,
    /// Of an OAuth flow.
    pub grant: Option<Grant>,
}

impl Opened {
    /// A credential that is no OAuth grant.
    pub fn new(values: Values, signing: SigningKeys) -> Self {
        Self { values, signing, grant: None }
    }
}

/// What a connection's credential is, opened and as it is stored: for whoever replaces a part of it.
pub(super) struct Held {
    pub opened: Opened,
    pub secrets: SigningSecrets,
    parts: Vec<SealedCredential>,
}

impl Held {
    /// The fields as they are stored.
    pub fn sealed_fields(&self) -> Option<SealedCredential> {
        self.part(FIELDS)
    }

    /// The signing secrets as they are stored.
    pub fn sealed_secrets(&self) -> Option<SealedCredential> {
        self.part(SIGNING)
    }

    fn part(&self, name: &str) -> Option<SealedCredential> {
        self.parts.iter().find(|part| part.name == name).cloned()
    }
}

/// A signing secret as it is sealed. `until`: when it stops to sign, for one that has been replaced.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct SigningSecret {
    secret: String,
    #[zeroize(skip)]
    until: Option<DateTime<Utc>>,
}

/// The signing secrets of a connection, the newest first.
#[derive(Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct SigningSecrets(Vec<SigningSecret>);

impl SigningSecrets {
    /// Those that sign now.
    pub fn live(&self, now: DateTime<Utc>) -> SigningKeys {
        let live = self.0.iter().filter(|secret| secret.until.is_none_or(|until| now < until));
        SigningKeys(live.map(|secret| Secret::from(secret.secret.as_str())).collect())
    }

    /// When the first of those that have been replaced stops to sign.
    pub fn next_end(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.0.iter().filter_map(|secret| secret.until).filter(|until| now < *until).min()
    }

    /// Puts another secret in front; those before it sign until then at the longest.
    pub fn replace(mut self, new: &Secret, now: DateTime<Utc>, until: DateTime<Utc>) -> Self {
        self.0.retain(|old| old.until.is_none_or(|until| now < until));
        for old in &mut self.0 {
            old.until = Some(old.until.map_or(until, |earlier| earlier.min(until)));
        }
        self.0.insert(0, SigningSecret { secret: new.expose().to_owned(), until: None });
        self
    }
}

/// Seals a credential for a connection.
pub(super) fn seal(
    keyring: &Keyring,
    connection: ConnectionId,
    opened: &Opened,
) -> Result<Vec<SealedCredential>, VaultError> {
    let mut parts = vec![(FIELDS, opened.values.to_json())];
    if !opened.signing.0.is_empty() {
        parts.push((SIGNING, signing_to_json(&opened.signing)));
    }
    parts.extend(opened.grant.as_ref().map(|grant| (GRANT, grant.to_json())));
    parts.into_iter().map(|(name, plain)| seal_part(keyring, connection, name, &plain)).collect()
}

/// Seals a connection's fields alone: what a change of settings changes. A grant may be renewed meanwhile.
pub(super) fn seal_fields(
    keyring: &Keyring,
    connection: ConnectionId,
    values: &Values,
) -> Result<SealedCredential, VaultError> {
    seal_part(keyring, connection, FIELDS, &values.to_json())
}

/// Seals a connection's grant alone: what a renewal changes.
pub(super) fn seal_grant(
    keyring: &Keyring,
    connection: ConnectionId,
    grant: &Grant,
) -> Result<SealedCredential, VaultError> {
    seal_part(keyring, connection, GRANT, &grant.to_json())
}

/// Seals a connection's signing secrets alone.
pub(super) fn seal_secrets(
    keyring: &Keyring,
    connection: ConnectionId,
    secrets: &SigningSecrets,
) -> Result<SealedCredential, VaultError> {
    seal_part(keyring, connection, SIGNING, &secrets_to_json(secrets))
}

fn seal_part(
    keyring: &Keyring,
    connection: ConnectionId,
    name: &str,
    plain: &SecretBytes,
) -> Result<SealedCredential, VaultError> {
    let sealed = keyring.seal(&Place::Credential { connection, name }, plain.expose())?;
    Ok(SealedCredential { name: name.to_owned(), key_version: sealed.key_version, blob: sealed.blob })
}

fn signing_to_json(signing: &SigningKeys) -> SecretBytes {
    let sealed = |secret: &Secret| SigningSecret { secret: secret.expose().to_owned(), until: None };
    secrets_to_json(&SigningSecrets(signing.0.iter().map(sealed).collect()))
}

fn secrets_to_json(secrets: &SigningSecrets) -> SecretBytes {
    SecretBytes::new(serde_json::to_vec(secrets).expect("a list of texts and times is JSON"))
}

impl Gateway {
    /// Opens a connection's credential, for one call.
    pub(super) async fn open(&self, site: SiteId, connection: ConnectionId) -> Result<Opened, Failure> {
        Ok(self.open_to_replace(site, connection).await?.opened)
    }

    /// Opens a connection's credential, for one that takes its place.
    pub(super) async fn open_to_replace(&self, site: SiteId, connection: ConnectionId) -> Result<Held, Failure> {
        let parts =
            store::credential::list(&self.db, site, connection).await.or_internal("reading the sealed credential")?;
        let (mut opened, mut grant) = (None, None);
        let mut secrets = SigningSecrets::default();
        for part in &parts {
            let place = Place::Credential { connection, name: &part.name };
            let plain = self.unseal(site, &place, &part.blob, "opening the credential").await?;
            match part.name.as_str() {
                FIELDS => opened = Some(Values::from_json(&plain).or_internal("reading the opened credential")?),
                GRANT => grant = Some(Grant::from_json(&plain).or_internal("reading the opened grant")?),
                SIGNING => {
                    secrets = serde_json::from_slice(plain.expose())
                        .map_err(|_| "no list of secrets")
                        .or_internal("reading the signing secrets")?;
                }
                _ => {}
            }
        }
        let values = opened.ok_or("it has no fields").or_internal("opening the credential")?;
        let opened = Opened { values, signing: secrets.live(self.now()), grant };
        Ok(Held { opened, secrets, parts })
    }
}
