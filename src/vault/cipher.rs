//! AES-256-GCM over one key, and the unambiguous encoding of associated data.

use aes_gcm::{
    Aes256Gcm, KeyInit as _, Nonce,
    aead::{Aead as _, Payload},
};
use zeroize::Zeroizing;

use super::VaultError;
use crate::domain::{
    clock::{Entropy, random},
    secret::SecretBytes,
};

/// Bytes of a key.
pub(super) const KEY: usize = 32;
/// Bytes of a nonce (96 bits, as SP 800-38D recommends) and of a tag.
pub(super) const NONCE: usize = 12;
pub(super) const TAG: usize = 16;
/// The longest plaintext: far below the mode's own bound of 64 GiB, far above what is ever sealed.
const PLAIN_MAX: usize = 16 * 1024 * 1024;

/// A key of 256 bits. Zeroed when dropped, never shown; boxed and written in place, so that moving it leaves no
/// copy behind.
pub(super) struct Key(Box<Zeroizing<[u8; KEY]>>);

impl Key {
    /// A key whose bytes are written by `write`.
    pub fn written(write: impl FnOnce(&mut [u8; KEY])) -> Self {
        let mut bytes = Box::<Zeroizing<[u8; KEY]>>::default();
        write(&mut bytes);
        Self(bytes)
    }

    /// A fresh key.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        Self::written(|bytes| entropy.fill(bytes))
    }

    /// The key of these bytes; `None` unless there are 32.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        (bytes.len() == KEY).then(|| Self::written(|key| key.copy_from_slice(bytes)))
    }

    /// The bytes themselves, to wrap them or to derive from them.
    pub fn bytes(&self) -> &[u8; KEY] {
        &self.0
    }

    /// Nonce, ciphertext and tag.
    pub fn seal(&self, entropy: &dyn Entropy, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, VaultError> {
        if plain.len() > PLAIN_MAX {
            return Err(VaultError::TooLarge);
        }
        let nonce: [u8; NONCE] = random(entropy);
        let sealed = self
            .cipher()
            .encrypt(&Nonce::from(nonce), Payload { msg: plain, aad: context })
            .map_err(|_| VaultError::TooLarge)?;
        let mut blob = Vec::with_capacity(NONCE + sealed.len());
        blob.extend_from_slice(&nonce);
        blob.extend_from_slice(&sealed);
        Ok(blob)
    }

    /// What [`Self::seal`] was given, if nothing of it, nor its context, has changed.
    pub fn open(&self, context: &[u8], blob: &[u8]) -> Result<SecretBytes, VaultError> {
        let (nonce, sealed) = blob.split_first_chunk::<NONCE>().ok_or(VaultError::Malformed)?;
        if sealed.len() < TAG {
            return Err(VaultError::Malformed);
        }
        self.cipher()
            .decrypt(&Nonce::from(*nonce), Payload { msg: sealed, aad: context })
            .map(SecretBytes::new)
            .map_err(|_| VaultError::Tampered)
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(self.bytes().into())
    }
}

/// Associated data of several parts: each with its length before it, so that no two lists of parts give
/// the same bytes.
pub(super) fn context(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}
