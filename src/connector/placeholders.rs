//! The values that a template's placeholders have in one call.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Number, Value};
use url::Url;
use zeroize::Zeroizing;

use super::{
    delivery::Event,
    grant::Grant,
    hosts::Hosts,
    mail,
    model::{Derived, DerivedRule, Flow},
    oauth::OAuthClient,
    template::{Name, Part, Template, Token, UrlPart},
    values::Values,
};

/// Why a call cannot be made. Names what is missing, and repeats no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BuildError {
    pub message: String,
}

impl BuildError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

/// Everything that a template may name.
#[derive(Clone, Copy)]
pub(super) struct Placeholders<'a> {
    pub(super) flow: &'a Flow,
    pub(super) values: &'a Values,
    pub(super) event: Option<&'a Event<'a>>,
    /// The operation's own.
    pub(super) derived: &'a [Derived],
    pub(super) message_id: &'a str,
    pub(super) now: DateTime<Utc>,
    pub(super) credential: Option<&'a str>,
    pub(super) grant: Option<&'a Grant>,
    pub(super) client: Option<&'a OAuthClient>,
    /// Where a host that is a value must stand.
    pub(super) hosts: &'a Hosts,
    /// In a preview: what stands for every value that is sealed, or made of one. Letters and digits, so that it stays
    /// what it is in every place.
    pub(super) mark: Option<&'a str>,
}

/// What a name stands for.
pub(super) enum Found<'a> {
    Text(Zeroizing<String>),
    /// In a JSON body; elsewhere it is the text.
    Number(Number, Zeroizing<String>),
    Json(&'a Value),
}

impl<'a> Placeholders<'a> {
    /// The name's value; `None` where it is absent. A JSON null is absent.
    pub(super) fn find(&self, name: &Name) -> Option<Found<'a>> {
        let text = |text: String| Some(Found::Text(Zeroizing::new(text)));
        if let Some(mark) = self.mark
            && self.is_sealed(name)
        {
            return text(mark.to_owned());
        }
        match name {
            Name::Field(name) => {
                let value = self.values.get(name)?;
                let integer = self.flow.fields.iter().any(|field| field.name == *name && field.integer);
                match value.parse::<i64>() {
                    Ok(number) if integer => Some(Found::Number(number.into(), Zeroizing::new(number.to_string()))),
                    _ => text(value.to_owned()),
                }
            }
            Name::FieldPart(name, part) => {
                let url = Url::parse(self.values.get(name)?).ok()?;
                text(match part {
                    UrlPart::Host => url.host_str()?.to_owned(),
                    UrlPart::Path => url.path().to_owned(),
                })
            }
            Name::Derived(name) => {
                let derived = self.derived.iter().chain(&self.flow.derived).find(|derived| derived.name == *name)?;
                let text = self.derive(&derived.rule)?;
                if derived.is_number() { Some(Found::Number(decimal(&text)?, text)) } else { Some(Found::Text(text)) }
            }
            Name::Payload(path) => {
                let mut value = self.event?.payload;
                for step in path {
                    value = value.get(step)?;
                }
                (!value.is_null()).then_some(Found::Json(value))
            }
            Name::EventType => text(self.event?.event_type.to_owned()),
            Name::EventIdentifier => text(self.event?.event_identifier.to_owned()),
            Name::EventModule => text(self.event?.module.to_owned()),
            Name::EventAcceptedAt => text(timestamp(self.event?.accepted_at)),
            Name::MessageId => text(self.message_id.to_owned()),
            Name::AttemptTimestamp => text(self.now.timestamp().to_string()),
            Name::AttemptTime => text(timestamp(self.now)),
            Name::Credential => text(self.credential?.to_owned()),
            Name::Grant(name) => text(self.grant?.captured(name)?.to_owned()),
            Name::Token(token) => text(self.grant?.token(*token)?.expose().to_owned()),
            Name::ClientId => text(self.client?.id.clone()),
            Name::ClientSecret => text(self.client?.secret.expose().to_owned()),
        }
    }

    /// In a preview: what stands for an address that is secret itself.
    pub(super) fn sealed_address(&self, field: &str) -> Option<&'a str> {
        self.mark.filter(|_| self.is_sealed(&Name::Field(field.to_owned())))
    }

    /// Whether only the vault knows the value, or what it is made of.
    fn is_sealed(&self, name: &Name) -> bool {
        match name {
            Name::Field(name) | Name::FieldPart(name, _) => {
                self.flow.fields.iter().any(|field| field.name == *name && field.secret)
            }
            Name::Derived(name) => {
                let mut derived = self.derived.iter().chain(&self.flow.derived);
                let rule = derived.find(|derived| derived.name == *name).map(|derived| &derived.rule);
                rule.is_some_and(|rule| rule.names().any(|name| self.is_sealed(name)))
            }
            Name::Grant(_) | Name::Token(_) | Name::ClientId | Name::ClientSecret => true,
            // A credential that is placed in the path has been rendered with its marks.
            Name::Credential
            | Name::Payload(_)
            | Name::EventType
            | Name::EventIdentifier
            | Name::EventModule
            | Name::EventAcceptedAt
            | Name::MessageId
            | Name::AttemptTimestamp
            | Name::AttemptTime => false,
        }
    }

    fn derive(&self, rule: &DerivedRule) -> Option<Zeroizing<String>> {
        match rule {
            DerivedRule::FirstOf(templates) => {
                templates.iter().find_map(|template| self.render(template).ok().flatten())
            }
            DerivedRule::Capture { from, pattern, transforms } => {
                let source = self.text(from).ok().flatten()?;
                let found = match pattern {
                    Some(pattern) => Zeroizing::new(pattern.captures(&source)?.get(1)?.as_str().to_owned()),
                    None => source,
                };
                Some(transforms.iter().fold(found, |text, transform| transform.apply(&text)))
            }
            DerivedRule::Chosen { from, values } => {
                let source = self.text(from).ok().flatten()?;
                let (_, found) = values.iter().find(|(value, _)| *value == *source)?;
                Some(Zeroizing::new(found.clone()))
            }
            DerivedRule::Mail(mail) => mail::write(mail, self).ok().flatten(),
        }
    }

    /// The name's value as text; `None` where it is absent.
    pub(super) fn text(&self, name: &Name) -> Result<Option<Zeroizing<String>>, BuildError> {
        Ok(match self.find(name) {
            None => None,
            Some(Found::Text(text) | Found::Number(_, text)) => Some(text),
            Some(Found::Json(value)) => Some(Zeroizing::new(
                scalar(value)
                    .ok_or_else(|| BuildError::new(format!("`{}` is not a single value", shown(name))))?
                    .into_owned(),
            )),
        })
    }

    /// The whole template as text; `None` where one of its values is absent.
    pub(super) fn render(&self, template: &Template) -> Result<Option<Zeroizing<String>>, BuildError> {
        let mut rendered = Zeroizing::new(String::new());
        for part in &template.parts {
            match part {
                Part::Literal(text) => rendered.push_str(text),
                Part::Value(name) => match self.text(name)? {
                    Some(text) => rendered.push_str(&text),
                    None => return Ok(None),
                },
            }
        }
        Ok(Some(rendered))
    }

    /// The whole template as text.
    pub(super) fn require(&self, template: &Template) -> Result<Zeroizing<String>, BuildError> {
        self.render(template)?.ok_or_else(|| self.absent(template))
    }

    /// Says which of the template's values is absent.
    pub(super) fn absent(&self, template: &Template) -> BuildError {
        let missing = template.names().find(|name| self.find(name).is_none());
        BuildError::new(
            missing.map_or_else(|| "a value is missing".to_owned(), |name| format!("`{}` is missing", shown(name))),
        )
    }
}

/// A decimal number, such as `49.90`: digits, and one point at most.
fn decimal(text: &str) -> Option<Number> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit()) || !digits.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return None;
    }
    text.parse::<i64>().map(Number::from).ok().or_else(|| Number::from_f64(text.parse().ok()?))
}

/// RFC 3339 in UTC, with milliseconds.
fn timestamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A JSON value as plain text; `None` for objects, arrays and null.
pub(super) fn scalar(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Bool(flag) => Some(Cow::Borrowed(if *flag { "true" } else { "false" })),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The name as a manifest writes it.
pub(super) fn shown(name: &Name) -> String {
    match name {
        Name::Field(name) => format!("field.{name}"),
        Name::FieldPart(name, UrlPart::Host) => format!("field.{name}.host"),
        Name::FieldPart(name, UrlPart::Path) => format!("field.{name}.path"),
        Name::Derived(name) => format!("derived.{name}"),
        Name::Payload(path) => path.iter().fold("payload".to_owned(), |text, step| format!("{text}.{step}")),
        Name::EventType => "event.type".to_owned(),
        Name::EventIdentifier => "event.identifier".to_owned(),
        Name::EventModule => "event.module".to_owned(),
        Name::EventAcceptedAt => "event.accepted_at".to_owned(),
        Name::MessageId => "message.id".to_owned(),
        Name::AttemptTimestamp => "attempt.timestamp".to_owned(),
        Name::AttemptTime => "attempt.time".to_owned(),
        Name::Credential => "credential".to_owned(),
        Name::Grant(name) => format!("grant.{name}"),
        Name::Token(Token::Access) => "token.access".to_owned(),
        Name::Token(Token::Refresh) => "token.refresh".to_owned(),
        Name::Token(Token::RefreshOrAccess) => "token.refresh_or_access".to_owned(),
        Name::ClientId => "client.id".to_owned(),
        Name::ClientSecret => "client.secret".to_owned(),
    }
}
