//! The vendor's table of grants: what was consented to, and which tokens still serve. Pure: time is handed in.
//!
//! A grant is a family: each refresh uses the refresh token up and gives a new one. Whoever brings a used one shows
//! that two hold it, and the whole grant is revoked (RFC 9700, section 4.14.2); a code that comes twice likewise (RFC
//! 6749, section 4.1.2).

mod seal;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest as _, Sha256};

use self::seal::{Kind, Seal, Token};
use super::terms::{Account, Scope};
use crate::domain::secret::Secret;

/// How many grants are kept; the oldest go first.
pub(super) const GRANTS_MAX: usize = 20_000;
/// How many consent pages may be open; the oldest go first.
const ASKED_MAX: usize = 1_000;
/// How long a consent page may be open.
const ASKED_FOR: TimeDelta = TimeDelta::minutes(10);
/// How long a code serves.
const CODE_FOR: TimeDelta = TimeDelta::minutes(1);

/// What a client asks the operator for.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) scopes: Vec<Scope>,
    pub(super) state: Option<String>,
    /// Of PKCE, by S256.
    pub(super) challenge: String,
}

/// What the operator consents to.
#[derive(Clone, Debug)]
pub(super) struct Consent {
    pub(super) account: &'static Account,
    pub(super) scopes: Vec<Scope>,
    /// How long each access token serves, in seconds.
    pub(super) lifetime: u32,
}

/// A grant.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    pub(super) account: &'static Account,
    pub(super) scopes: Vec<Scope>,
    pub(super) lifetime: u32,
    pub(super) standing: Standing,
    pub(super) created_at: DateTime<Utc>,
    /// When the newest access token runs out.
    pub(super) access_expires_at: Option<DateTime<Utc>>,
    /// How many times a refresh token was turned in for new tokens.
    pub(super) refreshed: u64,
    /// How many times a code or a refresh token came that was used up.
    pub(super) reused: u64,
    challenge: String,
    /// How many times tokens were given out.
    generation: u64,
    /// Access tokens up to this generation do not serve any more, whatever their time.
    expired_through: u64,
}

/// How a grant stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Consented to; the code was not turned in yet.
    Pending,
    Active,
    Revoked(RevokedBy),
}

/// Why a grant was revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RevokedBy {
    Client,
    /// A code or a refresh token came twice.
    Reuse,
    Switch,
}

impl Grant {
    /// How many times the code was turned in for tokens.
    pub(super) const fn exchanged(&self) -> u64 {
        if self.generation == 0 { 0 } else { 1 }
    }
}

/// Tokens, as the token endpoint gives them.
#[derive(Debug)]
pub(super) struct Issued {
    pub(super) access: Secret,
    pub(super) refresh: Secret,
    pub(super) lifetime: u32,
    pub(super) scopes: Vec<Scope>,
}

/// Why a code or a token does not serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Unknown,
    Expired,
    Revoked,
    /// It was used up already; the grant is revoked now.
    Reused,
    /// The verifier does not fit the challenge.
    Verifier,
}

/// A token that was looked up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'a> {
    pub(super) grant: &'a Grant,
    /// In Unix seconds; a refresh token does not run out by itself.
    pub(super) expires_at: Option<i64>,
}

/// The table. Ids begin with 1 and only grow.
pub(super) struct Grants {
    seal: Seal,
    by_id: BTreeMap<u64, Grant>,
    asked: BTreeMap<u64, (DateTime<Utc>, Asked)>,
    last_grant: u64,
    last_asked: u64,
}

impl Grants {
    /// An empty table; `key` makes its tokens.
    pub(super) fn new(key: [u8; 32]) -> Self {
        let (by_id, asked) = (BTreeMap::new(), BTreeMap::new());
        Self { seal: Seal::new(key), by_id, asked, last_grant: 0, last_asked: 0 }
    }

    /// Keeps what a client asks for, until the operator has answered. The ticket is for the page, and for one answer.
    pub(super) fn ask(&mut self, asked: Asked, now: DateTime<Utc>) -> Secret {
        while self.asked.len() >= ASKED_MAX {
            self.asked.pop_first();
        }
        self.last_asked += 1;
        self.asked.insert(self.last_asked, (now, asked));
        self.seal.write(Token { kind: Kind::Ticket, id: self.last_asked, generation: 0, expires_at: 0 })
    }

    /// What this ticket is for, if it still serves.
    pub(super) fn asked(&self, ticket: &str, now: DateTime<Utc>) -> Option<&Asked> {
        let (at, asked) = self.asked.get(&self.id_of(Kind::Ticket, ticket)?)?;
        (now < *at + ASKED_FOR).then_some(asked)
    }

    /// The operator refuses.
    pub(super) fn deny(&mut self, ticket: &str, now: DateTime<Utc>) -> Option<Asked> {
        let id = self.id_of(Kind::Ticket, ticket)?;
        let (at, asked) = self.asked.remove(&id)?;
        (now < at + ASKED_FOR).then_some(asked)
    }

    /// The operator consents: what was asked for, and the code.
    pub(super) fn allow(&mut self, ticket: &str, consent: Consent, now: DateTime<Utc>) -> Option<(Asked, Secret)> {
        let asked = self.deny(ticket, now)?;
        while self.by_id.len() >= GRANTS_MAX {
            self.by_id.pop_first();
        }
        self.last_grant += 1;
        let grant = Grant {
            account: consent.account,
            scopes: consent.scopes,
            lifetime: consent.lifetime,
            standing: Standing::Pending,
            created_at: now,
            access_expires_at: None,
            refreshed: 0,
            reused: 0,
            challenge: asked.challenge.clone(),
            generation: 0,
            expired_through: 0,
        };
        self.by_id.insert(self.last_grant, grant);
        let expires_at = (now + CODE_FOR).timestamp();
        let code = Token { kind: Kind::Code, id: self.last_grant, generation: 0, expires_at };
        Some((asked, self.seal.write(code)))
    }

    /// Turns a code in. A wrong verifier does not use it up: else whoever has seen a code could spoil it.
    pub(super) fn exchange(&mut self, code: &str, verifier: &str, now: DateTime<Utc>) -> Result<Issued, Refused> {
        let token = self.read(Kind::Code, code).ok_or(Refused::Unknown)?;
        let grant = self.by_id.get_mut(&token.id).ok_or(Refused::Unknown)?;
        if URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)) != grant.challenge {
            return Err(Refused::Verifier);
        }
        match grant.standing {
            Standing::Revoked(_) if grant.exchanged() == 0 => return Err(Refused::Revoked),
            Standing::Active | Standing::Revoked(_) => return Err(grant.reuse()),
            Standing::Pending if token.expires_at <= now.timestamp() => return Err(Refused::Expired),
            Standing::Pending => grant.standing = Standing::Active,
        }
        self.issue(token.id, now)
    }

    /// Turns a refresh token in.
    pub(super) fn refresh(&mut self, refresh: &str, now: DateTime<Utc>) -> Result<Issued, Refused> {
        let token = self.read(Kind::Refresh, refresh).ok_or(Refused::Unknown)?;
        let grant = self.by_id.get_mut(&token.id).ok_or(Refused::Unknown)?;
        if token.generation != grant.generation {
            return Err(grant.reuse());
        }
        if grant.standing != Standing::Active {
            return Err(Refused::Revoked);
        }
        grant.refreshed += 1;
        self.issue(token.id, now)
    }

    fn issue(&mut self, id: u64, now: DateTime<Utc>) -> Result<Issued, Refused> {
        let grant = self.by_id.get_mut(&id).ok_or(Refused::Unknown)?;
        grant.generation += 1;
        let expires_at = now + TimeDelta::seconds(grant.lifetime.into());
        grant.access_expires_at = Some(expires_at);
        let (generation, expires_at) = (grant.generation, expires_at.timestamp());
        Ok(Issued {
            access: self.seal.write(Token { kind: Kind::Access, id, generation, expires_at }),
            refresh: self.seal.write(Token { kind: Kind::Refresh, id, generation, expires_at: 0 }),
            lifetime: grant.lifetime,
            scopes: grant.scopes.clone(),
        })
    }

    /// The grant of an access token that serves.
    pub(super) fn check(&self, access: &str, now: DateTime<Utc>) -> Result<&Grant, Refused> {
        let token = self.read(Kind::Access, access).ok_or(Refused::Unknown)?;
        let grant = self.by_id.get(&token.id).ok_or(Refused::Unknown)?;
        if grant.standing != Standing::Active {
            return Err(Refused::Revoked);
        }
        if token.generation <= grant.expired_through || token.expires_at <= now.timestamp() {
            return Err(Refused::Expired);
        }
        Ok(grant)
    }

    /// A token of either kind that serves.
    pub(super) fn find(&self, text: &str, now: DateTime<Utc>) -> Option<Found<'_>> {
        if let Ok(grant) = self.check(text, now) {
            let expires_at = self.read(Kind::Access, text).map(|token| token.expires_at);
            return Some(Found { grant, expires_at });
        }
        let token = self.read(Kind::Refresh, text)?;
        let grant = self.by_id.get(&token.id)?;
        let serves = grant.standing == Standing::Active && token.generation == grant.generation;
        serves.then_some(Found { grant, expires_at: None })
    }

    /// Gives the grant of this token back, old or new, access or refresh. A token that is not known is gone already.
    pub(super) fn give_back(&mut self, text: &str) {
        let token = self.read(Kind::Refresh, text).or_else(|| self.read(Kind::Access, text));
        if let Some(grant) = token.and_then(|token| self.by_id.get_mut(&token.id)) {
            grant.revoke(RevokedBy::Client);
        }
    }

    /// A grant, to turn a switch of it.
    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut Grant> {
        self.by_id.get_mut(&id)
    }

    /// All grants with their ids, the oldest first.
    pub(super) fn list(&self) -> impl DoubleEndedIterator<Item = (u64, &Grant)> + ExactSizeIterator {
        self.by_id.iter().map(|(id, grant)| (*id, grant))
    }

    fn read(&self, kind: Kind, text: &str) -> Option<Token> {
        self.seal.read(text).filter(|token| token.kind == kind)
    }

    fn id_of(&self, kind: Kind, text: &str) -> Option<u64> {
        self.read(kind, text).map(|token| token.id)
    }
}

impl Grant {
    /// All access tokens so far run out now.
    pub(super) const fn expire(&mut self) {
        self.expired_through = self.generation;
    }

    /// Ends the grant; the first reason stays.
    pub(super) const fn revoke(&mut self, by: RevokedBy) {
        if !matches!(self.standing, Standing::Revoked(_)) {
            self.standing = Standing::Revoked(by);
        }
    }

    /// Takes a scope away, from now on.
    pub(super) fn drop_scope(&mut self, scope: Scope) {
        self.scopes.retain(|granted| *granted != scope);
    }

    const fn reuse(&mut self) -> Refused {
        self.reused += 1;
        self.revoke(RevokedBy::Reuse);
        Refused::Reused
    }
}
