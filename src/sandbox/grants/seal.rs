//! Tickets, codes and tokens: each says what it stands for, and carries a code that only this process can make
//! (HMAC-SHA256). So none is stored, and one that was used up long ago is still known for what it is.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::domain::secret::{Secret, SecretBytes};

/// Longer texts are none of ours.
const LENGTH_MAX: usize = 160;

/// What a sealed text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Ticket,
    Code,
    Access,
    Refresh,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Ticket, Self::Code, Self::Access, Self::Refresh];

    const fn word(self) -> &'static str {
        match self {
            Self::Ticket => "sandbox-ticket",
            Self::Code => "sandbox-code",
            Self::Access => "sandbox-access",
            Self::Refresh => "sandbox-refresh",
        }
    }
}

/// What stands in a sealed text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// Of the grant, or of what was asked for.
    pub(super) id: u64,
    /// How many times the grant had given tokens out.
    pub(super) generation: u64,
    /// When it runs out, in Unix seconds; 0 where it does not by itself.
    pub(super) expires_at: i64,
}

/// The key.
pub(super) struct Seal(SecretBytes);

impl Seal {
    pub(super) fn new(key: [u8; 32]) -> Self {
        Self(SecretBytes::new(key.to_vec()))
    }

    pub(super) fn write(&self, token: Token) -> Secret {
        let said = format!("{}.{}.{}.{}", token.kind.word(), token.id, token.generation, token.expires_at);
        let mac = self.mac(&said).map(|mac| URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()));
        Secret::new(format!("{said}.{}", mac.unwrap_or_default()))
    }

    /// What the text stands for, if this process made it.
    pub(super) fn read(&self, text: &str) -> Option<Token> {
        if text.len() > LENGTH_MAX {
            return None;
        }
        let (said, mac) = text.rsplit_once('.')?;
        self.mac(said)?.verify_slice(&URL_SAFE_NO_PAD.decode(mac).ok()?).ok()?;
        let mut parts = said.split('.');
        let word = parts.next()?;
        Some(Token {
            kind: Kind::ALL.into_iter().find(|kind| kind.word() == word)?,
            id: parts.next()?.parse().ok()?,
            generation: parts.next()?.parse().ok()?,
            expires_at: parts.next()?.parse().ok()?,
        })
    }

    fn mac(&self, said: &str) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose()).ok()?;
        mac.update(said.as_bytes());
        Some(mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_this_process_wrote_is_read() {
        let (seal, other) = (Seal::new([1; 32]), Seal::new([2; 32]));
        let token = Token { kind: Kind::Access, id: 7, generation: 2, expires_at: 1_900_000_000 };
        let text = seal.write(token);
        assert_eq!(seal.read(text.expose()), Some(token));
        assert_eq!(other.read(text.expose()), None);
        let (said, mac) = text.expose().rsplit_once('.').unwrap();
        for wrong in [
            String::new(),
            ".".to_owned(),
            said.to_owned(),
            format!("{said}."),
            format!("{}.{mac}", said.replace(".7.", ".8.")),
            format!("{}.{mac}", said.replace("access", "refresh")),
            format!("{}x", text.expose()),
            "x".repeat(LENGTH_MAX + 1),
        ] {
            assert_eq!(seal.read(&wrong), None, "{wrong}");
        }
    }
}
