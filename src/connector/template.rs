//! Templates: text with `{name}` placeholders, and nothing else. The names are a closed list, checked
//! when the manifest is loaded, so that a call can fail for its data only.

use super::fault::suggestion;

/// What a placeholder stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// `field.NAME`: what the operator entered.
    Field(String),
    /// `field.NAME.host`, `field.NAME.path`: a part of an address.
    FieldPart(String, UrlPart),
    /// `derived.NAME`: made from other values by a rule of the manifest.
    Derived(String),
    /// `payload`, `payload.a.b`: the event's payload, or a member of it.
    Payload(Vec<String>),
    /// `event.type`
    EventType,
    /// `event.identifier`: the module's own identifier.
    EventIdentifier,
    /// `event.module`
    EventModule,
    /// `event.accepted_at`: RFC 3339, the same in every attempt.
    EventAcceptedAt,
    /// `message.id`: the same in every attempt.
    MessageId,
    /// `attempt.timestamp`: Unix seconds.
    AttemptTimestamp,
    /// `attempt.time`: RFC 3339.
    AttemptTime,
    /// `credential`: where a credential that is placed in the path stands.
    Credential,
    /// `grant.NAME`: what the vendor gave with the grant.
    Grant(String),
    /// `token.access`, `token.refresh`, `token.refresh_or_access`
    Token(Token),
    /// `client.id`
    ClientId,
    /// `client.secret`
    ClientSecret,
}

/// A token of a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Access,
    Refresh,
    /// The refresh token, or the access token where there is no other.
    RefreshOrAccess,
}

/// A part of an address that may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UrlPart {
    Host,
    Path,
}

static ALONE: [(&str, Name); 13] = [
    ("payload", Name::Payload(Vec::new())),
    ("event.type", Name::EventType),
    ("event.identifier", Name::EventIdentifier),
    ("event.module", Name::EventModule),
    ("event.accepted_at", Name::EventAcceptedAt),
    ("message.id", Name::MessageId),
    ("attempt.timestamp", Name::AttemptTimestamp),
    ("attempt.time", Name::AttemptTime),
    ("token.access", Name::Token(Token::Access)),
    ("token.refresh", Name::Token(Token::Refresh)),
    ("token.refresh_or_access", Name::Token(Token::RefreshOrAccess)),
    ("client.id", Name::ClientId),
    ("client.secret", Name::ClientSecret),
];

impl Name {
    /// Reads what stands between the braces.
    fn parse(text: &str) -> Result<Self, String> {
        if let Some((_, name)) = ALONE.iter().find(|(known, _)| *known == text) {
            return Ok(name.clone());
        }
        if text == "credential" {
            return Ok(Self::Credential);
        }
        let (space, rest) = text.split_once('.').unwrap_or((text, ""));
        let path: Vec<&str> = rest.split('.').collect();
        if rest.is_empty() || path.iter().any(|step| step.is_empty()) {
            return Err(unknown(text));
        }
        match (space, path.as_slice()) {
            ("field", [name]) => Ok(Self::Field((*name).to_owned())),
            ("field", [name, "host"]) => Ok(Self::FieldPart((*name).to_owned(), UrlPart::Host)),
            ("field", [name, "path"]) => Ok(Self::FieldPart((*name).to_owned(), UrlPart::Path)),
            ("derived", [name]) => Ok(Self::Derived((*name).to_owned())),
            ("grant", [name]) => Ok(Self::Grant((*name).to_owned())),
            ("payload", steps) => Ok(Self::Payload(steps.iter().map(|step| (*step).to_owned()).collect())),
            _ => Err(unknown(text)),
        }
    }
}

fn unknown(text: &str) -> String {
    let known = ["field.NAME", "derived.NAME", "grant.NAME", "payload.NAME", "credential"];
    let known = ALONE.iter().map(|(name, _)| *name).chain(known);
    format!("`{{{text}}}` is no placeholder{}", suggestion(text, known))
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Literal(String),
    Value(Name),
}

/// A parsed template.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Template {
    pub(super) parts: Vec<Part>,
}

impl Template {
    /// Parses a template; `{{` and `}}` stand for braces.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                literal.push_str(brace);
                rest = after;
            } else if brace == "}" {
                return Err("a `}` that closes nothing is written `}}`".to_owned());
            } else {
                let end = rest.find('}').ok_or("a `{` is not closed; as a plain character it is written `{{`")?;
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal)));
                }
                parts.push(Part::Value(Name::parse(&rest[..end])?));
                rest = &rest[end + 1..];
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self { parts })
    }

    /// The names in it.
    pub(super) fn names(&self) -> impl Iterator<Item = &Name> {
        self.parts.iter().filter_map(|part| match part {
            Part::Value(name) => Some(name),
            Part::Literal(_) => None,
        })
    }

    /// The name, where the template is nothing but one.
    pub(super) fn sole_name(&self) -> Option<&Name> {
        match self.parts.as_slice() {
            [Part::Value(name)] => Some(name),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_placeholders_and_braces() {
        let template = Template::parse("a{field.x}{{b}}{payload.c.d}").unwrap();
        assert_eq!(
            template.parts,
            [
                Part::Literal("a".into()),
                Part::Value(Name::Field("x".into())),
                Part::Literal("{b}".into()),
                Part::Value(Name::Payload(vec!["c".into(), "d".into()])),
            ]
        );
        assert_eq!(Template::parse("").unwrap().parts, []);
    }

    #[test]
    fn refuses_what_is_no_placeholder() {
        for text in
            ["{", "}", "{}", "{field}", "{field.}", "{field.x.y}", "{payload..a}", "{env.HOME}", "{if x}", "a}b"]
        {
            assert!(Template::parse(text).is_err(), "{text}");
        }
        assert!(Template::parse("{event.typ}").unwrap_err().ends_with("did you mean `event.type`?"));
    }
}
