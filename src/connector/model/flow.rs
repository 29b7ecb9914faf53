//! Flows: what the operator enters, what is made of it, and where it stands in a call.

use http::HeaderName;
use regex::Regex;

use super::{Capture, OAuth};
use crate::{
    connector::{
        hosts::Hosts,
        template::{Name, Template},
    },
    domain::{connector::AuthFlow, test_report::TestProof},
};

/// One way to connect.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts that the API shows one by one")]
pub struct Flow {
    pub flow: AuthFlow,
    /// What the operator must supply, in the order to ask for it.
    pub fields: Vec<Field>,
    pub refreshable: bool,
    pub scopes_editable: bool,
    /// Whether the vendor has a call that revokes the credential.
    pub revocable: bool,
    /// Whether the credential can run out by itself.
    pub expires: bool,
    /// What a passing test shows.
    pub proof: TestProof,
    /// For a signed flow: how to register the secret with the vendor.
    pub instructions: Option<String>,
    /// How the vendor grants access, in an OAuth flow.
    pub oauth: Option<OAuth>,
    /// What the vendor gives with a grant.
    pub(in crate::connector) captures: Vec<Capture>,
    /// Groups of fields of which exactly one must be given.
    pub(in crate::connector) one_of: Vec<Vec<String>>,
    pub(in crate::connector) derived: Vec<Derived>,
    pub(in crate::connector) credentials: Vec<(String, Credential)>,
    pub(in crate::connector) destination: Option<Template>,
    /// Address fields to whose host the flow's secrets are sent.
    pub(in crate::connector) bound_addresses: Vec<String>,
    pub(in crate::connector) allow_http: bool,
    /// The gateway's own, which a literal address may name.
    pub(in crate::connector) origins: Vec<String>,
    pub(in crate::connector) hosts: Hosts,
}

/// Something that the operator enters.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts of a field")]
pub struct Field {
    pub name: String,
    pub label: String,
    pub help: Option<String>,
    pub kind: FieldKind,
    /// Part of the credential: sealed, never shown, never changed by a configuration.
    pub secret: bool,
    pub required: bool,
    /// Value and label, for a select.
    pub options: Vec<(String, String)>,
    pub default_value: Option<String>,
    /// An ECMA-262 pattern that a form can check too.
    pub pattern: Option<String>,
    pub placeholder: Option<String>,
    pub(in crate::connector) regex: Option<Regex>,
    pub(in crate::connector) address: Address,
    pub(in crate::connector) integer: bool,
    /// The host of calls: it must be on the manifest's list.
    pub(in crate::connector) host: bool,
}

/// How a form shows a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    Text,
    Url,
    Select,
    Multiline,
}

/// What an address field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::connector) enum Address {
    /// The beginning of addresses: no query, no slash at its end.
    Base,
    /// The address that is called.
    Whole,
}

/// A value made from others by a rule.
#[derive(Debug)]
pub(in crate::connector) struct Derived {
    pub(in crate::connector) name: String,
    /// Made from a secret.
    pub(in crate::connector) secret: bool,
    /// May be absent.
    pub(in crate::connector) optional: bool,
    pub(in crate::connector) rule: DerivedRule,
}

#[derive(Debug)]
pub(in crate::connector) enum DerivedRule {
    /// The first template whose values are all there.
    FirstOf(Vec<Template>),
    /// One value: the first group of the pattern, then changed in these ways.
    Capture { from: Name, pattern: Option<Regex>, transforms: Vec<Transform> },
    /// What stands beside the value in a closed list.
    Chosen { from: Name, values: Vec<(String, String)> },
    /// A mail message (RFC 5322) in Base64 for addresses.
    Mail(MailTemplate),
}

impl DerivedRule {
    /// The values that it is made of.
    pub(in crate::connector) fn names(&self) -> impl Iterator<Item = &Name> {
        let (templates, from): (Vec<&Template>, Option<&Name>) = match self {
            Self::FirstOf(templates) => (templates.iter().collect(), None),
            Self::Capture { from, .. } | Self::Chosen { from, .. } => (Vec::new(), Some(from)),
            Self::Mail(mail) => {
                let lists = [&mail.to, &mail.from, &mail.reply_to].into_iter().flatten();
                (lists.chain([&mail.subject]).chain(&mail.text).chain(&mail.html).collect(), None)
            }
        };
        from.into_iter().chain(templates.into_iter().flat_map(Template::names))
    }
}

/// A fixed way to change a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::connector) enum Transform {
    LowerCase,
    /// As hexadecimal digits in lower case.
    Md5,
    /// As hexadecimal digits in lower case.
    Sha256,
    /// A decimal number, which stands as one in JSON bodies.
    Number,
}

impl Derived {
    /// Whether it stands as a number in JSON bodies.
    pub(in crate::connector) fn is_number(&self) -> bool {
        matches!(&self.rule, DerivedRule::Capture { transforms, .. } if transforms.last() == Some(&Transform::Number))
    }
}

/// A mail message: each of its parts is one value.
#[derive(Debug)]
pub(in crate::connector) struct MailTemplate {
    /// Of these, and of the next two, the first counts whose values are all there.
    pub(in crate::connector) to: Vec<Template>,
    /// Left out where none counts.
    pub(in crate::connector) from: Vec<Template>,
    pub(in crate::connector) reply_to: Vec<Template>,
    pub(in crate::connector) subject: Template,
    /// Left out where a value in it is absent.
    pub(in crate::connector) text: Option<Template>,
    pub(in crate::connector) html: Option<Template>,
}

/// Where a credential stands in a call.
#[derive(Debug)]
pub(in crate::connector) enum Credential {
    Header {
        name: HeaderName,
        value: Template,
    },
    Basic {
        user: Template,
        password: Template,
    },
    Query {
        name: String,
        value: Template,
    },
    Form {
        name: String,
        value: Template,
    },
    /// The steps of a JSON pointer into an object body.
    Json {
        pointer: Vec<String>,
        value: Template,
    },
    /// Where the address says `{credential}`.
    Path {
        value: Template,
    },
    /// Headers signed as Standard Webhooks has it.
    StandardWebhooks,
}

impl Credential {
    /// The values that it is made of.
    pub(in crate::connector) fn templates(&self) -> impl Iterator<Item = &Template> {
        let (first, second) = match self {
            Self::Basic { user, password } => (Some(user), Some(password)),
            Self::Header { value, .. }
            | Self::Query { value, .. }
            | Self::Form { value, .. }
            | Self::Json { value, .. }
            | Self::Path { value } => (Some(value), None),
            Self::StandardWebhooks => (None, None),
        };
        first.into_iter().chain(second)
    }
}
