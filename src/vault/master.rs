//! Master keys, and the wrapping of sites' data keys.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::{
    VaultError,
    cipher::{KEY, Key, context},
    keyring::Keyring,
};
use crate::domain::{
    clock::{Entropy, SharedEntropy},
    id::SiteId,
    secret::{Secret, SecretBytes},
};

const PURPOSE: &[u8] = b"integrations-gateway site key v1";
const ID_MAX: usize = 32;

/// The master keys that the process was given, the newest first.
pub struct MasterKeys(Vec<(String, Key)>);

impl std::fmt::Debug for MasterKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(id, _)| id)).finish()
    }
}

impl MasterKeys {
    /// Reads `id:base64` of 32 bytes, comma-separated, the newest first.
    ///
    /// # Errors
    /// What is wrong and what would be right; never a key.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut keys: Vec<(String, Key)> = Vec::new();
        for (number, part) in text.split(',').map(str::trim).enumerate() {
            let wrong =
                |what: &str| format!("key {}: {what}; a right value is `id:` and the base64 of 32 bytes", number + 1);
            let (id, encoded) = part.split_once(':').ok_or_else(|| wrong("has no id"))?;
            let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
            if id.is_empty() || id.len() > ID_MAX || !id.chars().all(allowed) {
                return Err(wrong("its id is not 1 to 32 letters, digits, - or _"));
            }
            if keys.iter().any(|(other, _)| other == id) {
                return Err(wrong("its id stands twice"));
            }
            let bytes = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| wrong("is not base64"))?);
            let key = Key::from_slice(&bytes).ok_or_else(|| wrong(&format!("has {} bytes", bytes.len())))?;
            keys.push((id.to_owned(), key));
        }
        Ok(Self(keys))
    }

    fn newest(&self) -> &(String, Key) {
        self.0.first().expect("parsing gives at least one key or an error")
    }

    fn find(&self, id: &str) -> Option<&Key> {
        self.0.iter().find(|(other, _)| other == id).map(|(_, key)| key)
    }
}

/// A fresh master key as settings take it: `id:base64`. The id is not checked: [`MasterKeys::parse`] does that.
#[must_use]
pub fn generate_master_key(entropy: &dyn Entropy, id: &str) -> Secret {
    let key = Key::generate(entropy);
    // Long enough from the start: a text that grows leaves its beginnings behind.
    let mut text = String::with_capacity(id.len() + 1 + KEY.div_ceil(3) * 4);
    text.push_str(id);
    text.push(':');
    STANDARD.encode_string(key.bytes(), &mut text);
    Secret::new(text)
}

/// A site's data key, wrapped by a master key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrappedKey {
    pub version: i32,
    pub master_key_id: String,
    pub wrapped: Vec<u8>,
}

/// Makes and opens sites' keys.
pub struct Vault {
    keys: MasterKeys,
    entropy: SharedEntropy,
}

impl Vault {
    /// A vault over these master keys.
    #[must_use]
    pub fn new(keys: MasterKeys, entropy: SharedEntropy) -> Self {
        Self { keys, entropy }
    }

    /// Whether the master key of this id was given.
    #[must_use]
    pub fn knows(&self, id: &str) -> bool {
        self.keys.find(id).is_some()
    }

    /// A fresh data key for a site, wrapped by the newest master key.
    ///
    /// # Errors
    /// [`VaultError::TooLarge`], which does not happen for a key.
    pub fn new_site_key(&self, site: SiteId, version: i32) -> Result<WrappedKey, VaultError> {
        let (id, master) = self.keys.newest();
        let key = Key::generate(&*self.entropy);
        let wrapped = master.seal(&*self.entropy, &wrapping_context(site, version), key.bytes())?;
        Ok(WrappedKey { version, master_key_id: id.clone(), wrapped })
    }

    /// Wraps a site's key by the newest master key; `None` where it is.
    ///
    /// # Errors
    /// As [`Self::open_keys`].
    pub fn rewrap(&self, site: SiteId, wrapped: &WrappedKey) -> Result<Option<WrappedKey>, VaultError> {
        let plain = self.unwrap(site, wrapped)?;
        let (id, master) = self.keys.newest();
        if wrapped.master_key_id == *id {
            return Ok(None);
        }
        let context = wrapping_context(site, wrapped.version);
        let anew = master.seal(&*self.entropy, &context, plain.expose())?;
        Ok(Some(WrappedKey { version: wrapped.version, master_key_id: id.clone(), wrapped: anew }))
    }

    fn unwrap(&self, site: SiteId, wrapped: &WrappedKey) -> Result<SecretBytes, VaultError> {
        let master = self
            .keys
            .find(&wrapped.master_key_id)
            .ok_or_else(|| VaultError::UnknownMasterKey { id: wrapped.master_key_id.clone() })?;
        master.open(&wrapping_context(site, wrapped.version), &wrapped.wrapped)
    }

    /// Opens all of a site's data keys.
    ///
    /// # Errors
    /// [`VaultError::UnknownMasterKey`] where one is wrapped by a key that was not given,
    /// [`VaultError::Tampered`] where it is not what was wrapped for this site and version, and
    /// [`VaultError::NoKey`] for an empty list.
    pub fn open_keys(&self, site: SiteId, keys: &[WrappedKey]) -> Result<Keyring, VaultError> {
        let mut opened = Vec::with_capacity(keys.len());
        for wrapped in keys {
            let plain = self.unwrap(site, wrapped)?;
            opened.push((wrapped.version, Key::from_slice(plain.expose()).ok_or(VaultError::Malformed)?));
        }
        Keyring::new(site, opened, SharedEntropy::clone(&self.entropy))
    }
}

fn wrapping_context(site: SiteId, version: i32) -> Vec<u8> {
    context(&[PURPOSE, &site.get().to_be_bytes(), &version.to_be_bytes()])
}
