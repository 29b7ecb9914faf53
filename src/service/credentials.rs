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

/// A signing secret as it is sealed. `until`: when it stops to sign, for one that has been replaced.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct SigningSecret {
    secret: String,
    #[zeroize(skip)]
    until: Option<DateTime<Utc>>,
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
    let secrets: Vec<SigningSecret> =
        signing.0.iter().map(|secret| SigningSecret { secret: secret.expose().to_owned(), until: None }).collect();
    SecretBytes::new(serde_json::to_vec(&secrets).expect("a list of texts is JSON"))
}

impl Gateway {
    /// Opens a connection's credential, for one call.
    pub(super) async fn open(&self, site: SiteId, connection: ConnectionId) -> Result<Opened, Failure> {
        let sealed =
            store::credential::list(&self.db, site, connection).await.or_internal("reading the sealed credential")?;
        let keyring = self.keyring(site).await?;
        let (mut opened, mut grant) = (None, None);
        let mut signing = SigningKeys(Vec::new());
        for part in &sealed {
            let place = Place::Credential { connection, name: &part.name };
            let plain = keyring.open(&place, &part.blob).or_internal("opening the credential")?;
            match part.name.as_str() {
                FIELDS => opened = Some(Values::from_json(&plain).or_internal("reading the opened credential")?),
                GRANT => grant = Some(Grant::from_json(&plain).or_internal("reading the opened grant")?),
                SIGNING => {
                    let now = self.now();
                    let secrets: Vec<SigningSecret> = serde_json::from_slice(plain.expose())
                        .map_err(|_| "no list of secrets")
                        .or_internal("reading the signing secrets")?;
                    let live = secrets.iter().filter(|secret| secret.until.is_none_or(|until| now < until));
                    signing.0.extend(live.map(|secret| Secret::from(secret.secret.as_str())));
                }
                _ => {}
            }
        }
        let values = opened.ok_or("it has no fields").or_internal("opening the credential")?;
        Ok(Opened { values, signing, grant })
    }
}
