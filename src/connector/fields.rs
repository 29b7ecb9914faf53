//! What an operator enters, checked against the flow's fields: every violation at once, and none of
//! them repeats a value.

use std::collections::BTreeSet;

use url::Url;

use super::{
    fault::suggestion,
    grant::Grant,
    hosts::Hosts,
    model::{Address, Connector, DerivedRule, Field, FieldKind, Flow},
    placeholders::{Placeholders, shown},
    template::Name,
    values::Values,
};
use crate::domain::secret::{SEALED, Secret};

/// The longest value, in characters.
pub const VALUE_MAX: usize = 4_096;

/// What is wrong with one field. The message never repeats the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub field: String,
    pub message: String,
}

impl Violation {
    fn new(field: &str, message: impl Into<String>) -> Self {
        Self { field: field.to_owned(), message: message.into() }
    }
}

impl Flow {
    /// Checks what was entered and fills in the defaults. An optional field that is empty counts as not
    /// given.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the fields, unknown ones last.
    pub fn check(&self, given: &[(String, Secret)]) -> Result<Values, Vec<Violation>> {
        let given: Vec<(&str, &str)> = given.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
        let mut violations = Vec::new();
        let values = self.read(&given, &mut violations);
        violations.extend(self.unknown(&given));
        if violations.is_empty() { Ok(values) } else { Err(violations) }
    }

    /// The old values with these settings in their place. Only fields that are no secret can be changed;
    /// an empty value takes an optional one away.
    ///
    /// A secret was given for a certain host: an address cannot be moved to another one under it.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn reconfigure(&self, old: &Values, given: &[(String, String)]) -> Result<Values, Vec<Violation>> {
        let given: Vec<(&str, &str)> = given.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let (secrets, settings): (Vec<_>, Vec<_>) = given.iter().partition(|(name, _)| self.is_secret(name));
        let secrets = secrets.into_iter().map(|(name, _)| Violation::new(name, "is a credential and no setting"));
        self.merge(old, &settings, secrets.collect())
    }

    /// The old values with these in their place, secrets among them; an empty value takes an optional one away.
    ///
    /// The secrets that are not given stay, so an address cannot be moved to another host under them.
    ///
    /// # Errors
    /// Everything that is wrong; where no secret is given, this too.
    pub fn replace(&self, old: &Values, given: &[(String, Secret)]) -> Result<Values, Vec<Violation>> {
        let given: Vec<(&str, &str)> = given.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
        let none = !given.iter().any(|(name, _)| self.is_secret(name));
        let first = self.fields.iter().find(|field| field.secret).filter(|_| none);
        let missing = first.map(|field| Violation::new(&field.name, "is missing: a rotation brings a new secret"));
        self.merge(old, &given, missing.into_iter().collect())
    }

    fn merge(
        &self,
        old: &Values,
        given: &[(&str, &str)],
        mut violations: Vec<Violation>,
    ) -> Result<Values, Vec<Violation>> {
        violations.extend(self.unknown(given));
        let mut repeated = BTreeSet::new();
        let twice = given.iter().filter(|(name, _)| !repeated.insert(*name));
        violations.extend(twice.map(|(name, _)| Violation::new(name, "is given more than once")));
        let mut merged = Vec::new();
        for field in &self.fields {
            let new = given.iter().find(|(name, _)| *name == field.name).map(|(_, value)| *value);
            if let Some(value) = new.or_else(|| old.get(&field.name)) {
                merged.push((field.name.as_str(), value));
            }
        }
        let values = self.read(&merged, &mut violations);
        for name in &self.bound_addresses {
            let origin =
                |values: &Values| values.get(name).and_then(|url| Url::parse(url).ok()).map(|url| url.origin());
            if origin(old) != origin(&values) && !violations.iter().any(|violation| violation.field == *name) {
                let message = "the credential was given for another host: make a new connection for this one";
                violations.push(Violation::new(name, message));
            }
        }
        if violations.is_empty() { Ok(values) } else { Err(violations) }
    }

    fn is_secret(&self, name: &str) -> bool {
        self.field(name).is_some_and(|field| field.secret)
    }

    /// The settings that are no secret, in the order of the fields. Of an address with a query, the query
    /// is not shown.
    #[must_use]
    pub fn configuration(&self, values: &Values) -> Vec<(String, String)> {
        let shown = |field: &Field| {
            let value = values.get(&field.name)?;
            let value = match (field.kind, value.split_once('?')) {
                (FieldKind::Url, Some((address, _))) => format!("{address}?{SEALED}"),
                _ => value.to_owned(),
            };
            Some((field.name.clone(), value))
        };
        self.fields.iter().filter(|field| !field.secret).filter_map(shown).collect()
    }

    /// Where the connection delivers, in a few words for a list; `None` where the manifest has none.
    /// Never a credential or a query.
    #[must_use]
    pub fn destination_label(&self, _connector: &Connector, values: &Values, grant: Option<&Grant>) -> Option<String> {
        let names = Placeholders { grant, ..self.of_connection(values) };
        let label = names.render(self.destination.as_ref()?).ok()??;
        Some(super::answer::clean(&label, super::answer::NAME_MAX))
    }

    /// The names of templates that know the connection only.
    pub(super) fn of_connection<'a>(&'a self, values: &'a Values) -> Placeholders<'a> {
        Placeholders {
            flow: self,
            values,
            event: None,
            derived: &[],
            message_id: "",
            now: chrono::DateTime::UNIX_EPOCH,
            credential: None,
            grant: None,
            client: None,
            hosts: &self.hosts,
            mark: None,
        }
    }

    fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    fn unknown(&self, given: &[(&str, &str)]) -> Vec<Violation> {
        let unknown = given.iter().filter(|(name, _)| self.field(name).is_none());
        let known = || self.fields.iter().map(|field| field.name.as_str());
        unknown
            .map(|(name, _)| {
                Violation::new(name, format!("is no field of this connector{}", suggestion(name, known())))
            })
            .collect()
    }

    fn read(&self, given: &[(&str, &str)], violations: &mut Vec<Violation>) -> Values {
        let mut values = Values::default();
        for field in &self.fields {
            let mut entered = given.iter().filter(|(name, _)| *name == field.name).map(|(_, value)| *value);
            let first = entered.next();
            if entered.next().is_some() {
                violations.push(Violation::new(&field.name, "is given more than once"));
                continue;
            }
            let value = match first {
                Some("") if field.required => {
                    violations.push(Violation::new(&field.name, "is empty"));
                    continue;
                }
                Some("") | None => match &field.default_value {
                    Some(default) => default,
                    None if field.required => {
                        violations.push(Violation::new(&field.name, "is missing"));
                        continue;
                    }
                    None => continue,
                },
                Some(value) => value,
            };
            match field.accept(value, self.allow_http, &self.hosts) {
                Ok(accepted) => values.set(&field.name, &accepted, field.secret),
                Err(message) => violations.push(Violation::new(&field.name, message)),
            }
        }
        self.check_groups(&values, violations);
        self.check_derived(&values, violations);
        values
    }

    /// Exactly one of the groups must be given, and all of it.
    fn check_groups(&self, values: &Values, violations: &mut Vec<Violation>) {
        let Some(first) = self.one_of.first().and_then(|group| group.first()) else { return };
        let begun = |group: &&Vec<String>| group.iter().any(|name| values.get(name).is_some());
        let groups: Vec<&Vec<String>> = self.one_of.iter().filter(begun).collect();
        let all_groups = || self.one_of.iter().map(|group| group.join(" with ")).collect::<Vec<_>>().join(", or ");
        let refused = |violations: &[Violation]| {
            self.one_of.iter().flatten().any(|name| violations.iter().any(|violation| violation.field == *name))
        };
        match groups.as_slice() {
            _ if refused(violations) => {}
            [] => violations.push(Violation::new(first, format!("is missing: give {}", all_groups()))),
            [group] => {
                let missing = group.iter().filter(|name| values.get(name).is_none());
                let message = format!("is missing: {} belong together", group.join(" and "));
                violations.extend(missing.map(|name| Violation::new(name, message.clone())));
            }
            [_, more @ ..] => {
                let name = more
                    .first()
                    .and_then(|group| group.iter().find(|name| values.get(name).is_some()))
                    .unwrap_or(first);
                violations.push(Violation::new(name, format!("is too much: give {}", all_groups())));
            }
        }
    }

    /// A value from which something must be taken must have it.
    fn check_derived(&self, values: &Values, violations: &mut Vec<Violation>) {
        let names = self.of_connection(values);
        for derived in self.derived.iter().filter(|derived| !derived.optional) {
            let (DerivedRule::Capture { from, .. } | DerivedRule::Chosen { from, .. }) = &derived.rule else {
                continue;
            };
            let Name::Field(name) = from else { continue };
            if values.get(name).is_some() && names.find(&Name::Derived(derived.name.clone())).is_none() {
                let what = shown(&Name::Derived(derived.name.clone()));
                violations.push(Violation::new(name, format!("does not have the form from which {what} is taken")));
            }
        }
    }
}

impl Field {
    /// The value as it is kept, or what is wrong with it.
    pub(super) fn accept(&self, value: &str, allow_http: bool, hosts: &Hosts) -> Result<String, String> {
        if value.chars().count() > VALUE_MAX {
            return Err(format!("is longer than {VALUE_MAX} characters"));
        }
        let control =
            |c: char| c.is_control() && !(self.kind == FieldKind::Multiline && matches!(c, '\n' | '\r' | '\t'));
        if value.chars().any(control) {
            return Err("contains a line break or another control character".to_owned());
        }
        if self.kind != FieldKind::Multiline && value.trim() != value {
            return Err("begins or ends with white space".to_owned());
        }
        if self.kind == FieldKind::Select && !self.options.iter().any(|(option, _)| option == value) {
            let options: Vec<&str> = self.options.iter().map(|(option, _)| option.as_str()).collect();
            return Err(format!("must be one of: {}", options.join(", ")));
        }
        if self.integer && !value.parse::<i64>().is_ok_and(|number| number.to_string() == value) {
            return Err("must be an integer".to_owned());
        }
        if self.regex.as_ref().is_some_and(|regex| !regex.is_match(value)) {
            let example = self.placeholder.as_ref().map_or_else(String::new, |text| format!(", such as {text}"));
            return Err(format!("does not have the right form{example}"));
        }
        if self.host && !hosts.admit(value) {
            return Err(format!("is no host that may be called: {}", hosts.shown()));
        }
        if self.kind == FieldKind::Url { address(value, self.address, allow_http) } else { Ok(value.to_owned()) }
    }
}

/// Checks an address and brings it into its normal form.
pub(super) fn address(value: &str, kind: Address, allow_http: bool) -> Result<String, String> {
    let url = Url::parse(value).map_err(|_| "is no address, such as https://example.com/events".to_owned())?;
    let schemes: &[&str] = if allow_http { &["https", "http"] } else { &["https"] };
    if !schemes.contains(&url.scheme()) {
        return Err(format!(
            "must begin with {}",
            schemes.iter().map(|s| format!("{s}://")).collect::<Vec<_>>().join(" or ")
        ));
    }
    if !url.has_host() || url.host_str().is_none_or(str::is_empty) {
        return Err("has no host".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not contain a user name or password".to_owned());
    }
    if url.fragment().is_some() {
        return Err("must not contain a fragment (#)".to_owned());
    }
    match kind {
        Address::Whole => Ok(url.into()),
        Address::Base if url.query().is_some() => Err("must not contain a query (?)".to_owned()),
        Address::Base => Ok(url.as_str().trim_end_matches('/').to_owned()),
    }
}
