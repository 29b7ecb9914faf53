//! What a vendor has granted: tokens, scopes, and what it said beside them. Sealed between calls, opened
//! for one.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{template::Token, values::UnreadableValues};
use crate::domain::secret::{SEALED, Secret, SecretBytes};

/// An OAuth grant. It is zeroed when dropped, and `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Grant {
    pub access: Secret,
    pub refresh: Option<Secret>,
    /// By the names that the manifest has for them.
    pub scopes: Vec<String>,
    /// When the access token runs out; `None` where it does not, or the vendor does not say.
    pub expires_at: Option<DateTime<Utc>>,
    /// Values by the names that the manifest has for them.
    pub captured: Vec<(String, String)>,
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SEALED)
    }
}

/// As it is sealed.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct Stored {
    access: String,
    refresh: Option<String>,
    scopes: Vec<String>,
    #[zeroize(skip)]
    expires_at: Option<DateTime<Utc>>,
    captured: Vec<(String, String)>,
}

impl Grant {
    /// For sealing.
    ///
    /// # Panics
    /// Never: texts and times are JSON.
    #[must_use]
    pub fn to_json(&self) -> SecretBytes {
        let stored = Stored {
            access: self.access.expose().to_owned(),
            refresh: self.refresh.as_ref().map(|token| token.expose().to_owned()),
            scopes: self.scopes.clone(),
            expires_at: self.expires_at,
            captured: self.captured.clone(),
        };
        let texts = self.scopes.iter().chain(self.captured.iter().flat_map(|(name, value)| [name, value]));
        let tokens = self.access.expose().len() + self.refresh.as_ref().map_or(0, |token| token.expose().len());
        // Room for every character escaped: a buffer that grew would leave copies behind.
        let room = 256 + 6 * tokens + texts.map(|text| 16 + 6 * text.len()).sum::<usize>();
        let mut json = Vec::with_capacity(room);
        serde_json::to_writer(&mut json, &stored).expect("texts and times are JSON");
        SecretBytes::new(json)
    }

    /// What was sealed.
    ///
    /// # Errors
    /// Where it is no grant.
    pub fn from_json(json: &SecretBytes) -> Result<Self, UnreadableValues> {
        let mut stored: Stored = serde_json::from_slice(json.expose()).map_err(|_| UnreadableValues)?;
        Ok(Self {
            access: Secret::new(std::mem::take(&mut stored.access)),
            refresh: stored.refresh.take().map(Secret::new),
            scopes: std::mem::take(&mut stored.scopes),
            expires_at: stored.expires_at,
            captured: std::mem::take(&mut stored.captured),
        })
    }

    /// The same grant with what a test captured in the place of what was known.
    #[must_use]
    pub fn with_captured(mut self, captured: &[(String, String)]) -> Self {
        for (name, value) in captured {
            self.captured.retain(|(known, _)| known != name);
            self.captured.push((name.clone(), value.clone()));
        }
        self
    }

    pub(super) fn captured(&self, name: &str) -> Option<&str> {
        self.captured.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn token(&self, token: Token) -> Option<&Secret> {
        match token {
            Token::Access => Some(&self.access),
            Token::Refresh => self.refresh.as_ref(),
            Token::RefreshOrAccess => Some(self.refresh.as_ref().unwrap_or(&self.access)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_sealing_and_shows_nothing() {
        let grant = Grant {
            access: Secret::from("hunter2"),
            refresh: Some(Secret::from("hunter3")),
            scopes: vec!["a".to_owned()],
            expires_at: DateTime::from_timestamp(1_700_000_000, 0),
            captured: vec![("host".to_owned(), "a.example.com".to_owned())],
        };
        assert_eq!(Grant::from_json(&grant.to_json()), Ok(grant.clone()));
        assert_eq!(format!("{grant:?}"), "[sealed]");
        assert_eq!(Grant::from_json(&SecretBytes::new(b"[]".to_vec())), Err(UnreadableValues));
    }
}
