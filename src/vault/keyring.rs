//! A site's opened data keys: sealing and opening credentials and payloads.

use chrono::{Datelike as _, NaiveDate};
use hkdf::Hkdf;
use sha2::Sha256;

use super::{
    VaultError,
    cipher::{Key, context},
};
use crate::domain::{
    clock::SharedEntropy,
    id::{ConnectionId, SiteId},
    secret::SecretBytes,
};

/// The first byte of a blob says how the rest is to be read.
const CREDENTIAL_FORMAT: u8 = 1;
const PAYLOAD_FORMAT: u8 = 2;
/// Format and key version.
const HEAD: usize = 1 + 4;
/// Format, key version, day and replica.
const PAYLOAD_HEAD: usize = HEAD + 4 + 8;

/// Where a sealed value belongs. It opens there and nowhere else.
#[derive(Clone, Copy, Debug)]
pub enum Place<'a> {
    /// A named part of a connection's credential.
    Credential { connection: ConnectionId, name: &'a str },
    /// A signing secret that waits to be registered.
    Offer { token: &'a str },
    /// What a browser authorization needs until it ends.
    Authorization { token: &'a str },
}

/// A sealed value, and the version of the site's key that it was sealed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    pub key_version: i32,
    pub blob: Vec<u8>,
}

/// A site's data keys, opened. Zeroed when dropped; `Debug` shows versions only.
pub struct Keyring {
    site: SiteId,
    /// By version, the newest last; never empty.
    keys: Vec<(i32, Key)>,
    entropy: SharedEntropy,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let versions: Vec<i32> = self.keys.iter().map(|(version, _)| *version).collect();
        f.debug_struct("Keyring").field("site", &self.site).field("versions", &versions).finish_non_exhaustive()
    }
}

impl Keyring {
    pub(super) fn new(site: SiteId, mut keys: Vec<(i32, Key)>, entropy: SharedEntropy) -> Result<Self, VaultError> {
        keys.sort_by_key(|(version, _)| *version);
        if keys.is_empty() { Err(VaultError::NoKey) } else { Ok(Self { site, keys, entropy }) }
    }

    /// The version that seals.
    #[must_use]
    pub fn newest(&self) -> i32 {
        self.newest_key().0
    }

    fn newest_key(&self) -> &(i32, Key) {
        self.keys.last().expect("a keyring has at least one key")
    }

    fn key(&self, version: i32) -> Result<&Key, VaultError> {
        let found = self.keys.iter().find(|(other, _)| *other == version);
        found.map(|(_, key)| key).ok_or(VaultError::UnknownVersion(version))
    }

    /// Seals a value for a place.
    ///
    /// # Errors
    /// [`VaultError::TooLarge`].
    pub fn seal(&self, place: &Place<'_>, plain: &[u8]) -> Result<Sealed, VaultError> {
        let (version, key) = self.newest_key();
        let mut blob = head(CREDENTIAL_FORMAT, *version);
        blob.extend(key.seal(&*self.entropy, &self.place_context(&blob, place), plain)?);
        Ok(Sealed { key_version: *version, blob })
    }

    /// Opens a value at its place.
    ///
    /// # Errors
    /// [`VaultError::Tampered`] where it was changed or belongs elsewhere, [`VaultError::UnknownVersion`],
    /// [`VaultError::Malformed`].
    pub fn open(&self, place: &Place<'_>, blob: &[u8]) -> Result<SecretBytes, VaultError> {
        let (version, rest) = read_head(CREDENTIAL_FORMAT, blob)?;
        self.key(version)?.open(&self.place_context(&blob[..HEAD], place), rest)
    }

    /// Seals a delivery's payload with a key derived for this day and replica, so that no key seals more
    /// than random nonces allow (SP 800-38D, section 8.3).
    ///
    /// # Errors
    /// [`VaultError::TooLarge`].
    pub fn seal_payload(
        &self,
        day: NaiveDate,
        replica: [u8; 8],
        message_id: &str,
        plain: &[u8],
    ) -> Result<Vec<u8>, VaultError> {
        let (version, key) = self.newest_key();
        let mut blob = head(PAYLOAD_FORMAT, *version);
        blob.extend_from_slice(&day.num_days_from_ce().to_be_bytes());
        blob.extend_from_slice(&replica);
        let derived = derive(key, &blob);
        blob.extend(derived.seal(&*self.entropy, &self.payload_context(&blob, message_id), plain)?);
        Ok(blob)
    }

    /// Opens the payload of this message.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_payload(&self, message_id: &str, blob: &[u8]) -> Result<SecretBytes, VaultError> {
        let (version, _) = read_head(PAYLOAD_FORMAT, blob)?;
        let (head, rest) = blob.split_at_checked(PAYLOAD_HEAD).ok_or(VaultError::Malformed)?;
        derive(self.key(version)?, head).open(&self.payload_context(head, message_id), rest)
    }

    /// Seals a payload anew with a key derived for this day and replica; `None` where the site's newest key seals it.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn reseal_payload(
        &self,
        day: NaiveDate,
        replica: [u8; 8],
        message_id: &str,
        blob: &[u8],
    ) -> Result<Option<Vec<u8>>, VaultError> {
        if read_head(PAYLOAD_FORMAT, blob)?.0 == self.newest() {
            return Ok(None);
        }
        let plain = self.open_payload(message_id, blob)?;
        self.seal_payload(day, replica, message_id, plain.expose()).map(Some)
    }

    fn place_context(&self, head: &[u8], place: &Place<'_>) -> Vec<u8> {
        let site = self.site.get().to_be_bytes();
        match place {
            Place::Credential { connection, name } => {
                context(&[head, b"credential", &site, &connection.0.to_be_bytes(), name.as_bytes()])
            }
            Place::Offer { token } => context(&[head, b"offer", &site, token.as_bytes()]),
            Place::Authorization { token } => context(&[head, b"authorization", &site, token.as_bytes()]),
        }
    }

    fn payload_context(&self, head: &[u8], message_id: &str) -> Vec<u8> {
        context(&[head, b"payload", &self.site.get().to_be_bytes(), message_id.as_bytes()])
    }
}

fn head(format: u8, version: i32) -> Vec<u8> {
    let mut head = vec![format];
    head.extend_from_slice(&version.to_be_bytes());
    head
}

fn read_head(format: u8, blob: &[u8]) -> Result<(i32, &[u8]), VaultError> {
    let (head, rest) = blob.split_first_chunk::<HEAD>().ok_or(VaultError::Malformed)?;
    if head[0] != format {
        return Err(VaultError::Malformed);
    }
    Ok((i32::from_be_bytes([head[1], head[2], head[3], head[4]]), rest))
}

/// The key for payloads of one day and one replica: the head of the blob names both.
fn derive(key: &Key, head: &[u8]) -> Key {
    let info = context(&[b"integrations-gateway payload v1", head]);
    Key::written(|derived| {
        Hkdf::<Sha256>::new(None, key.bytes())
            .expand(&info, derived)
            .expect("32 bytes are within what SHA-256 expands to (RFC 5869, section 2.3)");
    })
}
