//! Whether the names in a manifest's templates exist where they stand, and whether what they stand for
//! fits there.

use serde_json::Value;

use super::super::{
    fault::{Faults, suggestion},
    model::{CaptureFrom, Derived, DerivedRule, FieldKind, Flow},
    payload,
    placeholders::shown,
    reader::Text,
    template::{Name, Template, Token},
};
use crate::domain::connector::AuthFlow;

/// What a template's place asks of its values.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// The place is left out where a value is absent.
    pub(super) optional: bool,
    /// An object or a list has a place here too, if it stands alone.
    pub(super) structured: bool,
    /// Secrets have a place here.
    pub(super) secret: bool,
}

impl Place {
    /// One value that must be there and is no secret.
    pub(super) const PLAIN: Self = Self { optional: false, structured: false, secret: false };
    /// A credential.
    pub(super) const SECRET: Self = Self { secret: true, ..Self::PLAIN };
}

/// What a name stands for.
#[derive(Clone, Copy)]
struct Kind {
    optional: bool,
    single: bool,
    secret: bool,
}

const PRESENT: Kind = Kind { optional: false, single: true, secret: false };

/// The names that exist in one place of the manifest.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    /// Each of these must have a field that is named.
    pub(super) flows: &'a [&'a Flow],
    pub(super) derived: &'a [Derived],
    /// The schema of the event's payload, where there is an event.
    pub(super) payload: Option<&'a Value>,
    /// Whether there is a message on its way, with an id and a time.
    pub(super) message: bool,
    /// Whether a credential can stand in the path.
    pub(super) credential: bool,
    /// Which values of a grant there are.
    pub(super) stage: Stage<'a>,
    /// Whether the OAuth client is at hand, and secrets may stand anywhere: in the call that revokes a grant,
    /// and in what it carries.
    pub(super) client: bool,
}

/// How far a grant has come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage<'a> {
    /// Nobody has consented yet.
    Consent,
    /// The callback has come.
    Exchange,
    /// There is a token, and these steps of the test have been answered.
    Test(&'a [String]),
    /// All is known.
    Kept,
}

impl<'a> Names<'a> {
    /// The names that a connection alone has.
    pub(super) const fn of_connection(flows: &'a [&'a Flow]) -> Self {
        Self {
            flows,
            derived: &[],
            payload: None,
            message: false,
            credential: false,
            stage: Stage::Kept,
            client: false,
        }
    }

    /// Parses a template and checks it for its place.
    pub(super) fn template(&self, faults: &mut Faults<'_>, text: &Text, place: Place) -> Option<Template> {
        match Template::parse(&text.value) {
            Ok(template) => {
                self.check(faults, text, &template, place);
                Some(template)
            }
            Err(problem) => {
                faults.add(&text.span, problem);
                None
            }
        }
    }

    pub(super) fn check(&self, faults: &mut Faults<'_>, text: &Text, template: &Template, place: Place) {
        for name in template.names() {
            let name_shown = shown(name);
            match self.look(name) {
                Err(problem) => faults.add(&text.span, problem),
                Ok(kind) if kind.secret && !(place.secret || self.client) => {
                    faults.add(&text.span, format!("`{{{name_shown}}}` is secret: only a credential may carry it"));
                }
                Ok(kind) if kind.optional && !place.optional => faults.add(
                    &text.span,
                    format!("`{{{name_shown}}}` may be absent: end the key with `?` to leave it out then, or make it required"),
                ),
                Ok(kind) if !(kind.single || place.structured && template.sole_name().is_some()) => faults.add(
                    &text.span,
                    format!("`{{{name_shown}}}` may be an object or a list, which has no place within a text"),
                ),
                Ok(_) => {}
            }
        }
    }

    /// Whether the name may be absent; also where it does not exist.
    pub(super) fn may_be_absent(&self, name: &Name) -> bool {
        self.look(name).is_ok_and(|kind| kind.optional)
    }

    /// Whether the name stands for a secret.
    pub(super) fn is_secret(&self, name: &Name) -> bool {
        self.look(name).is_ok_and(|kind| kind.secret)
    }

    fn look(&self, name: &Name) -> Result<Kind, String> {
        match name {
            Name::Field(field) => self.field(field, None),
            Name::FieldPart(field, _) => self.field(field, Some(FieldKind::Url)),
            Name::Derived(derived) => self.derived(derived),
            Name::Payload(path) => self.payload(path),
            Name::EventType | Name::EventIdentifier | Name::EventModule | Name::EventAcceptedAt
                if self.payload.is_none() =>
            {
                Err(format!("`{{{}}}`: there is no event here", shown(name)))
            }
            Name::MessageId | Name::AttemptTimestamp | Name::AttemptTime if !self.message => {
                Err(format!("`{{{}}}`: there is no message here", shown(name)))
            }
            Name::Credential if !self.credential => {
                Err("`{credential}` may stand in a path only, and needs a credential `in = \"path\"`".to_owned())
            }
            Name::Grant(grant) => self.grant(grant),
            Name::Token(_) if self.stage == Stage::Consent || self.stage == Stage::Exchange => {
                Err(format!("`{{{}}}`: there is no token yet", shown(name)))
            }
            Name::Token(token) => match self.flows.iter().find(|flow| flow.flow != AuthFlow::Oauth) {
                Some(flow) => Err(format!("the flow {} has no token: only oauth has", flow.flow)),
                None => Ok(Kind { optional: *token == Token::Refresh, secret: true, ..PRESENT }),
            },
            Name::ClientId | Name::ClientSecret if !self.client => {
                Err(format!("`{{{}}}` is for the revocation, and for credentials that it carries", shown(name)))
            }
            Name::Credential | Name::ClientSecret => Ok(Kind { secret: true, ..PRESENT }),
            _ => Ok(PRESENT),
        }
    }

    fn field(&self, name: &str, kind: Option<FieldKind>) -> Result<Kind, String> {
        let mut found = PRESENT;
        for flow in self.flows {
            let Some(field) = flow.fields.iter().find(|field| field.name == name) else {
                let known = flow.fields.iter().map(|field| field.name.as_str());
                return Err(format!("the flow {} has no field `{name}`{}", flow.flow, suggestion(name, known)));
            };
            if kind.is_some_and(|kind| kind != field.kind) {
                return Err(format!("the field `{name}` is no address, and has no host or path"));
            }
            found.optional |= !field.required && field.default_value.is_none();
            found.secret |= field.secret;
        }
        Ok(found)
    }

    fn grant(&self, name: &str) -> Result<Kind, String> {
        let mut found = PRESENT;
        for flow in self.flows {
            let Some(capture) = flow.captures.iter().find(|capture| capture.name == name) else {
                let known = flow.captures.iter().map(|capture| capture.name.as_str());
                return Err(format!("the flow {} captures no `{name}`{}", flow.flow, suggestion(name, known)));
            };
            let there = match (self.stage, &capture.from) {
                (Stage::Consent, _) => false,
                (Stage::Exchange, from) => matches!(from, CaptureFrom::Callback(_)),
                (Stage::Test(answered), CaptureFrom::Step(step, _)) => answered.contains(step),
                (Stage::Test(_) | Stage::Kept, _) => true,
            };
            if !there {
                return Err(format!("`{{grant.{name}}}` is not known yet here"));
            }
            found.optional |= capture.optional;
        }
        Ok(found)
    }

    /// A derived value whose sources are not known yet is not known either.
    fn known_yet(&self, derived: &Derived) -> Result<(), String> {
        let template = |template: &Template| template.names().try_for_each(|name| self.source(name));
        match &derived.rule {
            DerivedRule::FirstOf(templates) => {
                let mut results = templates.iter().map(template);
                results.find(Result::is_ok).or_else(|| templates.first().map(template)).unwrap_or(Ok(()))
            }
            DerivedRule::Capture { from, .. } | DerivedRule::Chosen { from, .. } => self.source(from),
            DerivedRule::Mail(_) => Ok(()),
        }
    }

    fn source(&self, name: &Name) -> Result<(), String> {
        match name {
            Name::Grant(grant) => self.grant(grant).map(|_| ()),
            _ => Ok(()),
        }
    }

    fn derived(&self, name: &str) -> Result<Kind, String> {
        let kind = |derived: &Derived| Kind { optional: derived.optional, single: true, secret: derived.secret };
        if let Some(own) = self.derived.iter().find(|derived| derived.name == name) {
            return Ok(kind(own));
        }
        let mut found = PRESENT;
        for flow in self.flows {
            let Some(derived) = flow.derived.iter().find(|derived| derived.name == name) else {
                let known = flow.derived.iter().chain(self.derived).map(|derived| derived.name.as_str());
                return Err(format!("nothing derives `{name}`{}", suggestion(name, known)));
            };
            // Its sources are those of its own flow: another one may make the same name of something else.
            Self { flows: std::slice::from_ref(flow), ..*self }.known_yet(derived)?;
            let kind = kind(derived);
            found.optional |= kind.optional;
            found.secret |= kind.secret;
        }
        Ok(found)
    }

    fn payload(&self, path: &[String]) -> Result<Kind, String> {
        let schema = self.payload.ok_or_else(|| "`{payload}`: there is no event here".to_owned())?;
        match payload::member(schema, path) {
            Ok(member) => Ok(Kind { optional: member.optional, single: member.scalar, secret: false }),
            Err(known) => {
                let name = path.last().map_or("", String::as_str);
                let name_shown = shown(&Name::Payload(path.to_vec()));
                Err(format!("the payload's schema has no `{name_shown}`{}", suggestion(name, known)))
            }
        }
    }
}
