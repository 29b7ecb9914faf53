//! What comes back in an OAuth flow: the callback, the token endpoint's answers, and those to a revocation.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use regex::Regex;

use super::{
    super::{
        answer::{NAME_MAX, Read, captured, clean},
        delivery::MESSAGE_MAX,
        grant::Grant,
        hosts::Hosts,
        model::{Capture, CaptureFrom, Class, ExpiryForm, Flow, OAuth, Then},
        retry_hint,
    },
    OAuthCall,
};
use crate::domain::{
    exchange::{Answer, NoAnswer},
    secret::Secret,
};

/// The longest token, in bytes.
const TOKEN_MAX: usize = 16 * 1_024;
/// Times beyond this many seconds from now are taken for none: 100 years.
const EXPIRY_MAX: i64 = 100 * 366 * 24 * 3_600;

/// A callback that cannot be used. Names what is wrong, and repeats no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CallbackRefused {
    pub message: String,
}

/// Why the token endpoint gave no token. Texts of the vendor's are not masked yet (see
/// [`OAuthCall::mask`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRefused {
    pub refusal: TokenRefusal,
    /// In words for an operator.
    pub detail: String,
    pub vendor_error_code: Option<String>,
    pub vendor_message: Option<String>,
}

/// What follows from a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRefusal {
    /// The grant, or the code, does not serve any more.
    Expired,
    /// The vendor says that it was taken back.
    Revoked,
    /// The client or its request is not as the vendor wants it: the grant itself may be fine.
    Misconfigured,
    /// Passing trouble, not to be tried again before `after` where the vendor or the manifest says so.
    Passing { after: Option<Duration> },
    /// No answer came to a request that the vendor may have acted on: what it used up may be used up.
    Lost,
}

/// How a revocation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revoked {
    Done,
    /// There was nothing left to revoke.
    AlreadyGone,
    /// The vendor did not do it. `again`: another attempt may end otherwise.
    Failed {
        again: bool,
        detail: String,
    },
}

impl OAuthCall<'_> {
    /// Takes the values that the manifest wants from a callback's query.
    ///
    /// # Errors
    /// Where one is missing, or not as it should be.
    pub fn read_callback(&self, query: &[(String, String)]) -> Result<Vec<(String, String)>, CallbackRefused> {
        let mut found = Vec::new();
        for capture in &self.flow.captures {
            let CaptureFrom::Callback(parameter) = &capture.from else { continue };
            let value = query.iter().find(|(name, _)| name == parameter).map(|(_, value)| value.as_str());
            let value = capture.take(value, &self.connector.hosts).map_err(|problem| CallbackRefused {
                message: format!("the callback's parameter `{parameter}` {problem}"),
            })?;
            found.extend(value.map(|value| (capture.name.clone(), value)));
        }
        Ok(found)
    }

    /// Reads the answer to an exchange (with what the callback brought), a refresh (with the grant that
    /// it renews) or a mint.
    ///
    /// # Errors
    /// What the refusal means.
    pub fn read_token(
        &self,
        answer: Result<&Answer, &NoAnswer>,
        requested: &[String],
        known: &[(String, String)],
        renewed: Option<&Grant>,
        now: DateTime<Utc>,
    ) -> Result<Grant, TokenRefused> {
        let answer = answer.map_err(|none| TokenRefused {
            refusal: if none.reached { TokenRefusal::Lost } else { TokenRefusal::Passing { after: None } },
            detail: format!("no answer came: {}", clean(&none.detail, NAME_MAX)),
            vendor_error_code: None,
            vendor_message: None,
        })?;
        let read = Read::new(answer);
        let token = |pointer: &str| {
            let text = read.text_at(pointer)?;
            (!text.is_empty() && text.len() <= TOKEN_MAX).then(|| Secret::from(&*text))
        };
        let rule = read.rule(&self.oauth.rules);
        let refused = rule.is_some_and(|rule| rule.then != Then::Class(Class::Success));
        let access = match token("/access_token") {
            Some(access) if (200..=299).contains(&read.status()) && !refused => access,
            _ => return Err(self.refused(&read, now)),
        };
        let refresh = token("/refresh_token").or_else(|| renewed?.refresh.clone());
        let mut grant = Grant {
            access,
            refresh,
            scopes: self.granted(&read, renewed.map_or(requested, |grant| &grant.scopes)),
            expires_at: self.oauth.expires_at(&read, now),
            captured: renewed.map_or(known, |grant| &grant.captured).to_vec(),
        };
        for capture in &self.flow.captures {
            let CaptureFrom::Token(pointer) = &capture.from else { continue };
            let value = read.text_at(pointer);
            let kept = grant.captured(&capture.name).is_some();
            match capture.take(value.as_deref(), &self.connector.hosts) {
                Ok(Some(value)) => grant = grant.with_captured(&[(capture.name.clone(), value)]),
                Ok(None) => {}
                // A renewal need not repeat what was said at first.
                Err(_) if value.is_none() && kept => {}
                Err(problem) => {
                    return Err(TokenRefused {
                        refusal: TokenRefusal::Misconfigured,
                        detail: format!("the answer's `{pointer}` {problem}"),
                        vendor_error_code: None,
                        vendor_message: None,
                    });
                }
            }
        }
        Ok(grant)
    }

    /// Reads the answer to a revocation.
    #[must_use]
    pub fn read_revocation(&self, answer: Result<&Answer, &NoAnswer>) -> Revoked {
        let answer = match answer {
            Ok(answer) => answer,
            Err(none) => {
                let detail = format!("no answer came: {}", clean(&none.detail, NAME_MAX));
                return Revoked::Failed { again: true, detail };
            }
        };
        let read = Read::new(answer);
        let rule = self.oauth.revocation.as_ref().and_then(|revocation| read.rule(&revocation.rules));
        let class = match rule.map(|rule| &rule.then) {
            Some(Then::Class(class)) => *class,
            Some(Then::Next(_)) => Class::Rejected,
            None => super::super::answer::usual_class(read.status()),
        };
        let detail = || {
            rule.and_then(|rule| rule.detail.clone())
                .unwrap_or_else(|| format!("the vendor answered {}", read.status()))
        };
        match class {
            Class::Success => Revoked::Done,
            Class::Gone => Revoked::AlreadyGone,
            Class::RateLimited | Class::Retryable => Revoked::Failed { again: true, detail: detail() },
            _ => Revoked::Failed { again: false, detail: detail() },
        }
    }

    /// The scopes that the answer names, by the manifest's names for them; those that were asked for where
    /// it names none (RFC 6749, 5.1).
    fn granted(&self, read: &Read<'_>, otherwise: &[String]) -> Vec<String> {
        let (pointer, separator) = &self.oauth.granted;
        let texts = read.texts_at(pointer);
        let mut scopes: Vec<String> = Vec::new();
        for name in texts.iter().flat_map(|text| text.split(separator.as_str())) {
            let name = clean(name, NAME_MAX);
            let known = self.connector.scopes.iter().find(|scope| scope.aliases.contains(&name));
            let name = known.map_or(name, |scope| scope.id.clone());
            if !name.is_empty() && !scopes.contains(&name) {
                scopes.push(name);
            }
        }
        if texts.is_empty() { otherwise.to_vec() } else { scopes }
    }

    fn refused(&self, read: &Read<'_>, now: DateTime<Utc>) -> TokenRefused {
        let rule = read.rule(&self.oauth.rules);
        let code = read.first_at(&["/error".to_owned()], NAME_MAX);
        let after = retry_hint::wait(&self.connector.retry_hints, rule, read, now);
        let refusal = match rule.map(|rule| &rule.then) {
            Some(Then::Class(class)) => match class {
                Class::Expired => TokenRefusal::Expired,
                Class::Revoked | Class::Invalid | Class::Gone => TokenRefusal::Revoked,
                Class::RateLimited | Class::Retryable => TokenRefusal::Passing { after },
                _ => TokenRefusal::Misconfigured,
            },
            Some(Then::Next(_)) | None => match (code.as_deref(), read.status()) {
                (_, 408 | 425 | 429 | 500..=599) | (Some("temporarily_unavailable" | "server_error"), _) => {
                    TokenRefusal::Passing { after }
                }
                (Some("invalid_grant"), _) => TokenRefusal::Expired,
                _ => TokenRefusal::Misconfigured,
            },
        };
        let detail = rule.and_then(|rule| rule.detail.clone()).unwrap_or_else(|| match read.status() {
            200..=299 => "the token endpoint answered without a token".to_owned(),
            status => format!("the token endpoint answered {status}"),
        });
        let message = ["/error_description", "/message"].map(str::to_owned);
        TokenRefused {
            refusal,
            detail,
            vendor_error_code: code.or_else(|| read.first_at(&self.connector.error_code, NAME_MAX)),
            vendor_message: read
                .first_at(&message, MESSAGE_MAX)
                .or_else(|| read.first_at(&self.connector.error_message, MESSAGE_MAX)),
        }
    }
}

impl Flow {
    /// What this step of the test captures for the grant.
    pub(in crate::connector) fn captured_by(
        &self,
        step: &str,
        read: &Read<'_>,
        hosts: &Hosts,
    ) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for capture in &self.captures {
            if let CaptureFrom::Step(name, pointer) = &capture.from
                && name == step
                && let Ok(Some(value)) = capture.take(read.text_at(pointer).as_deref(), hosts)
            {
                found.push((capture.name.clone(), value));
            }
        }
        found
    }
}

impl OAuth {
    fn expires_at(&self, read: &Read<'_>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let expiry = &self.expiry;
        let after = |seconds: i64| {
            let seconds = Some(seconds).filter(|seconds| (0..=EXPIRY_MAX).contains(seconds))?;
            now.checked_add_signed(TimeDelta::try_seconds(seconds)?)
        };
        let Some(text) = read.text_at(&expiry.pointer) else { return after(expiry.assumed?.into()) };
        match expiry.form {
            ExpiryForm::Time => DateTime::parse_from_rfc3339(&text).ok().map(|time| time.to_utc()),
            ExpiryForm::Seconds | ExpiryForm::UnixSeconds => match text.parse::<i64>().ok()? {
                0 if expiry.zero_is_never => None,
                seconds if expiry.form == ExpiryForm::Seconds => after(seconds),
                seconds => DateTime::from_timestamp(seconds, 0),
            },
        }
    }
}

impl Capture {
    /// The value as it is kept, or what is wrong with it.
    fn take(&self, value: Option<&str>, hosts: &Hosts) -> Result<Option<String>, String> {
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            return if self.optional { Ok(None) } else { Err("is missing".to_owned()) };
        };
        let fits = |pattern: &Regex| captured(pattern, value).map(str::to_owned);
        let value = match &self.pattern {
            Some(pattern) => fits(pattern).ok_or("does not have the right form")?,
            None => value.to_owned(),
        };
        if value.len() > NAME_MAX || value.chars().any(char::is_control) {
            return Err("is too long, or has control characters".to_owned());
        }
        if self.host && !hosts.admit(&value) {
            return Err(format!("is none of the hosts that may be called: {}", hosts.shown()));
        }
        Ok(Some(value))
    }
}
