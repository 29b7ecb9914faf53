//! Keys, seal and open. Knows no database and no network; `service` and `app` are its only callers.
//!
//! A master key, given to the process, wraps a data key for each site; data keys seal credentials, and
//! keys derived from them (HKDF-SHA256, RFC 5869) seal payloads. Everything is AES-256-GCM with a fresh
//! 96-bit nonce (NIST SP 800-38D), and with what it belongs to as associated data: a blob that was
//! moved, cut or changed does not open. Keys zero themselves when dropped, and show nothing.

mod cipher;
mod keyring;
mod master;
#[cfg(test)]
mod tests;

pub use keyring::{Keyring, Place, Sealed};
pub use master::{MasterKeys, Vault, WrappedKey, generate_master_key};

/// Why something was not sealed or opened. No text of it holds a key or a plaintext.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// The site's key is wrapped by a master key that the process has not been given.
    #[error("no master key {id:?} was given (GATEWAY_MASTER_KEYS)")]
    UnknownMasterKey { id: String },
    /// Sealed by a version of the site's key that is not there.
    #[error("the site has no key of version {0}")]
    UnknownVersion(i32),
    /// Changed, moved, or sealed by another key.
    #[error("the sealed value does not authenticate")]
    Tampered,
    /// Not of the form that sealing gives.
    #[error("the sealed value is malformed")]
    Malformed,
    /// Longer than one nonce may protect.
    #[error("the value is too large to be sealed")]
    TooLarge,
    /// A site without any key.
    #[error("the site has no key")]
    NoKey,
}
