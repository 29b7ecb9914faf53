//! A vendor's authorization server, in the hands of the test: codes, access tokens that expire, refresh tokens that are
//! used up by their use, and a book of every token that was used twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use url::form_urlencoded;

use integrations_gateway::domain::clock::Clock;

use super::{
    clock::ManualClock,
    vendor::{Recorded, Reply, Vendor},
};

/// A bound on how often refreshes are made.
pub struct Bound {
    pub clock: Arc<ManualClock>,
    pub per_second: u32,
    /// The second that is counted, and its count.
    second: (i64, u32),
    pub refused: u32,
}

impl Bound {
    pub const fn new(clock: Arc<ManualClock>, per_second: u32) -> Self {
        Self { clock, per_second, second: (0, 0), refused: 0 }
    }

    fn admits(&mut self) -> bool {
        let second = Clock::now(&*self.clock).timestamp();
        if self.second.0 != second {
            self.second = (second, 0);
        }
        self.second.1 += 1;
        self.refused += u32::from(self.second.1 > self.per_second);
        self.second.1 <= self.per_second
    }
}

/// What the vendor knows.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "one for each bad habit of vendors")]
pub struct Book {
    /// Codes that wait, with challenge, scopes and account.
    codes: BTreeMap<String, (String, String, String)>,
    /// Access tokens that work, with their scopes, account and consent.
    access: BTreeMap<String, (String, String, u32)>,
    /// Refresh tokens that work, likewise.
    refresh: BTreeMap<String, (String, String, u32)>,
    used: BTreeSet<String>,
    expired: BTreeSet<String>,
    next: u32,
    pub exchanges: u32,
    pub refreshes: u32,
    /// Tokens that were used although they were used up.
    pub reused: u32,
    pub revocations: u32,
    /// What the token endpoint answers next in place of its own.
    pub planted: Vec<Reply>,
    /// What the revocation answers in place of its own.
    pub revocation: Option<Reply>,
    /// Access tokens that are given from now on live so long, in seconds.
    pub lifetime: u32,
    /// Whether no refresh token is given.
    pub stingy: bool,
    /// Whether a revoked access token goes on working, as at careless vendors.
    pub careless: bool,
    /// Whether no event is taken.
    pub refused: bool,
    /// No more refreshes than so many in a second of this clock are made; beyond it stands when to come again.
    pub bound: Option<Bound>,
    /// So many refreshes are made without their answers getting through.
    pub lost: u32,
    /// Whether all of an account's grants end with one.
    pub united: bool,
    /// The next request to this path is answered only when so many have come in all.
    pub held: Option<(&'static str, usize)>,
    /// A request that is never answered.
    pub stuck: Option<Stuck>,
}

/// Which request is never answered.
pub struct Stuck {
    pub path: &'static str,
    /// So many to this path are answered before.
    pub after: usize,
    /// Whether the vendor does what it is asked for.
    pub heard: bool,
}

impl Book {
    /// How many refresh tokens were used.
    pub fn used(&self) -> usize {
        self.used.len()
    }

    /// Grants that somebody could still use.
    pub fn live(&self) -> usize {
        self.refresh.len()
    }

    /// Adds a grant that somebody holds.
    pub fn plant(&mut self, access: &str, refresh: &str) {
        let grant = ("read write".to_owned(), "acme".to_owned(), 0);
        self.access.insert(access.to_owned(), grant.clone());
        self.refresh.insert(refresh.to_owned(), grant);
    }

    /// Makes every access token run out.
    pub fn expire_all(&mut self) {
        let expired: Vec<String> = std::mem::take(&mut self.access).into_keys().collect();
        self.expired.extend(expired);
    }

    /// Takes every grant back.
    pub fn revoke_all(&mut self) {
        self.access.clear();
        self.refresh.clear();
        self.expired.clear();
    }

    fn token(&mut self, kind: &str) -> String {
        self.next += 1;
        format!("{kind}-token-{:04}-planted", self.next)
    }

    fn grant(&mut self, scopes: &str, account: &str, consent: u32) -> Reply {
        let (access, refresh) = (self.token("access"), self.token("refresh"));
        self.access.insert(access.clone(), (scopes.to_owned(), account.to_owned(), consent));
        if self.stingy {
            let token = json!({"access_token": access, "expires_in": self.lifetime, "scope": scopes});
            return Reply::json(200, &token);
        }
        self.refresh.insert(refresh.clone(), (scopes.to_owned(), account.to_owned(), consent));
        Reply::json(
            200,
            &json!({"access_token": access, "refresh_token": refresh, "token_type": "bearer",
                "expires_in": self.lifetime, "scope": scopes}),
        )
    }

    fn answer(&mut self, path: &str, request: &Recorded) -> Reply {
        match path {
            "/token" => self.token_endpoint(request),
            "/revoke" => self.revoke(request),
            _ => self.call(request),
        }
    }

    fn token_endpoint(&mut self, request: &Recorded) -> Reply {
        if !request.header("authorization").starts_with("Basic ") {
            return Reply::json(401, &json!({"error": "invalid_client"}));
        }
        let form: BTreeMap<String, String> = form_urlencoded::parse(request.body.as_bytes()).into_owned().collect();
        let invalid = || Reply::json(400, &json!({"error": "invalid_grant", "error_description": "unknown"}));
        match form["grant_type"].as_str() {
            "authorization_code" => {
                self.exchanges += 1;
                if let Some(planted) = self.planted.pop() {
                    return planted;
                }
                let Some((challenge, scopes, account)) = self.codes.remove(&form["code"]) else { return invalid() };
                let verifier = URL_SAFE_NO_PAD.encode(Sha256::digest(form["code_verifier"].as_bytes()));
                if verifier == challenge { self.grant(&scopes, &account, self.exchanges) } else { invalid() }
            }
            "refresh_token" => {
                self.refreshes += 1;
                if self.bound.as_mut().is_some_and(|bound| !bound.admits()) {
                    return Reply::json(429, &json!({"error": "slow_down"})).header("retry-after", "2");
                }
                if let Some(planted) = self.planted.pop() {
                    return planted;
                }
                let token = &form["refresh_token"];
                if self.used.contains(token) {
                    self.reused += 1;
                    return invalid();
                }
                let Some((scopes, account, consent)) = self.refresh.remove(token) else {
                    return Reply::json(400, &json!({"error": "invalid_grant", "error_description": "revoked"}));
                };
                self.used.insert(token.clone());
                let granted = self.grant(&scopes, &account, consent);
                let cut = self.lost > 0;
                self.lost = self.lost.saturating_sub(1);
                Reply { cut, ..granted }
            }
            other => panic!("no such grant type: {other}"),
        }
    }

    fn revoke(&mut self, request: &Recorded) -> Reply {
        self.revocations += 1;
        if let Some(planted) = &self.revocation {
            return planted.clone();
        }
        let form: BTreeMap<String, String> = form_urlencoded::parse(request.body.as_bytes()).into_owned().collect();
        if let Some((_, account, _)) = self.refresh.get(&form["token"]).filter(|_| self.united) {
            let account = account.clone();
            self.refresh.retain(|_, (_, other, _)| *other != account);
            self.access.retain(|_, (_, other, _)| *other != account);
        }
        if let Some((_, _, consent)) = self.refresh.remove(&form["token"])
            && !self.careless
        {
            self.access.retain(|_, (_, _, other)| *other != consent);
        }
        Reply::status(200)
    }

    fn call(&mut self, request: &Recorded) -> Reply {
        let token = request.header("authorization").strip_prefix("Bearer ").unwrap_or_default();
        match self.access.get(token) {
            Some((_, account, _)) if request.path == "/me" => {
                Reply::json(200, &json!({"id": account, "name": format!("The {account}")}))
            }
            Some(_) if self.refused => Reply::json(400, &json!({"error": "malformed"})),
            Some(_) => Reply::json(201, &json!({"ok": true})),
            None if self.expired.contains(token) => Reply::json(401, &json!({"error": "expired"})),
            None => Reply::json(401, &json!({"error": "unknown"})),
        }
    }
}

/// The running vendor.
pub struct Granting {
    pub vendor: Vendor,
    book: Arc<Mutex<Book>>,
}

impl Granting {
    pub async fn start() -> Self {
        let vendor = Vendor::tls(&["granting.example"]).await;
        let book = Arc::new(Mutex::new(Book { lifetime: 3_600, ..Book::default() }));
        let own = Arc::clone(&book);
        vendor.answer(move |request| {
            let mut book = own.lock().unwrap_or_else(PoisonError::into_inner);
            let path = request.path.split('?').next().unwrap_or_default();
            if let Some(stuck) = book.stuck.as_mut().filter(|stuck| stuck.path == path && stuck.after > 0) {
                stuck.after -= 1;
            } else if let Some(stuck) = book.stuck.take_if(|stuck| stuck.path == path) {
                let never = Reply { hold_until: usize::MAX, ..Reply::status(500) };
                if stuck.heard {
                    book.answer(path, request);
                }
                return never;
            }
            let reply = book.answer(path, request);
            match book.held.take_if(|(held, _)| *held == path) {
                Some((_, hold_until)) => Reply { hold_until, ..reply },
                None => reply,
            }
        });
        Self { vendor, book }
    }

    /// The vendor's book, while nobody calls.
    pub fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many refreshes were asked for, and how many of them with a token that was used up.
    pub fn uses(&self) -> (u32, u32) {
        let book = self.book();
        (book.refreshes, book.reused)
    }

    /// An operator consents at this address for this account; gives the callback's query.
    pub fn consent(&self, authorize: &str, account: &str) -> String {
        let url = url::Url::parse(authorize).expect("an address");
        assert_eq!(url.host_str(), Some("granting.example"));
        let query: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!((query["response_type"].as_str(), query["code_challenge_method"].as_str()), ("code", "S256"));
        let mut book = self.book();
        let code = book.token("code");
        book.codes.insert(code.clone(), (query["code_challenge"].clone(), query["scope"].clone(), account.to_owned()));
        let mut callback = form_urlencoded::Serializer::new(String::new());
        callback.append_pair("code", &code).append_pair("state", &query["state"]);
        callback.append_pair("iss", "https://granting.example").finish()
    }
}
