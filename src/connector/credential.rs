//! Placing a credential in a call.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderName, header::AUTHORIZATION};
use zeroize::Zeroizing;

use super::{
    model::Credential,
    placeholders::{BuildError, Placeholders},
};

/// A credential with its values, on its way to its place.
pub(super) enum Placed {
    None,
    Header(HeaderName, Zeroizing<String>),
    Query(String, Zeroizing<String>),
    Form(String, Zeroizing<String>),
    Json(Vec<String>, Zeroizing<String>),
    Path(Zeroizing<String>),
    Signature,
}

impl Placed {
    /// What stands for `{credential}` in the address.
    pub(super) fn path(&self) -> Option<&str> {
        match self {
            Self::Path(value) => Some(value),
            _ => None,
        }
    }
}

/// Renders the flow's credential of this name.
pub(super) fn place(name: Option<&str>, names: &Placeholders<'_>) -> Result<Placed, BuildError> {
    let Some(name) = name else { return Ok(Placed::None) };
    let (_, credential) = names
        .flow
        .credentials
        .iter()
        .find(|(known, _)| known == name)
        .ok_or_else(|| BuildError::new(format!("the flow has no credential `{name}`")))?;
    Ok(match credential {
        Credential::Header { name, value } => Placed::Header(name.clone(), names.require(value)?),
        Credential::Basic { .. } if let Some(mark) = names.mark => {
            Placed::Header(AUTHORIZATION, Zeroizing::new(format!("Basic {mark}")))
        }
        Credential::Basic { user, password } => {
            let pair = Zeroizing::new(format!("{}:{}", *names.require(user)?, *names.require(password)?));
            let encoded = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
            Placed::Header(AUTHORIZATION, Zeroizing::new(format!("Basic {}", *encoded)))
        }
        Credential::Query { name, value } => Placed::Query(name.clone(), names.require(value)?),
        Credential::Form { name, value } => Placed::Form(name.clone(), names.require(value)?),
        Credential::Json { pointer, value } => Placed::Json(pointer.clone(), names.require(value)?),
        Credential::Path { value } => Placed::Path(names.require(value)?),
        Credential::StandardWebhooks => Placed::Signature,
    })
}
