//! The field values of one connection: sealed between calls, opened for one.

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::domain::secret::SecretBytes;

/// All field values of one connection, credentials among them. They are zeroed when dropped, and
/// `Debug` shows none.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub struct Values {
    list: Vec<Given>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct Given {
    name: String,
    value: String,
    secret: bool,
}

impl std::fmt::Debug for Values {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(crate::domain::secret::SEALED)
    }
}

/// What was sealed are no values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored values of the connection cannot be read")]
pub struct UnreadableValues;

impl Values {
    /// For sealing.
    ///
    /// # Panics
    /// Never: texts and flags are JSON.
    #[must_use]
    pub fn to_json(&self) -> SecretBytes {
        // Room for every character escaped: a buffer that grew would leave copies behind.
        let room = self.list.iter().map(|given| 64 + 6 * (given.name.len() + given.value.len())).sum::<usize>();
        let mut json = Vec::with_capacity(2 + room);
        serde_json::to_writer(&mut json, self).expect("texts and flags are JSON");
        SecretBytes::new(json)
    }

    /// Reads what [`Self::to_json`] wrote.
    ///
    /// # Errors
    /// Where it is something else.
    pub fn from_json(json: &SecretBytes) -> Result<Self, UnreadableValues> {
        serde_json::from_slice(json.expose()).map_err(|_| UnreadableValues)
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.list.iter().find(|given| given.name == name).map(|given| given.value.as_str())
    }

    pub(super) fn set(&mut self, name: &str, value: &str, secret: bool) {
        self.list.retain(|given| given.name != name);
        self.list.push(Given { name: name.to_owned(), value: value.to_owned(), secret });
    }

    /// Every value, and whether it is secret.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, bool)> {
        self.list.iter().map(|given| (given.value.as_str(), given.secret))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survive_sealing_and_show_nothing() {
        let mut values = Values::default();
        values.set("key", "hunter2", true);
        values.set("site", "é\n", false);
        assert_eq!(Values::from_json(&values.to_json()), Ok(values.clone()));
        assert_eq!(format!("{values:?}"), "[sealed]");
        assert_eq!(Values::from_json(&SecretBytes::new(b"{}".to_vec())), Err(UnreadableValues));
    }
}
