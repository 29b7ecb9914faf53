//! Derived values: `first_of` several templates, what is made `from` one value, or a `mail`.

use regex::Regex;

use super::{
    super::{
        ecma,
        fault::Faults,
        model::{Derived, DerivedRule, Flow, MailTemplate, Transform},
        reader::{Table, Text, table, text},
        shape::DERIVED,
        template::{Name, Template},
    },
    check_identifier,
    names::{Names, Place},
};

/// Reads the table `derived`. A derived value may name anything but another one.
pub(super) fn read_all(parent: &mut Table<'_, '_>, faults: &mut Faults<'_>, names: &Names<'_>) -> Vec<Derived> {
    let Some(all) = parent.table(faults, "derived") else { return Vec::new() };
    let mut derived = Vec::new();
    for (name, value) in all.entries() {
        check_identifier(faults, &name, "the name of a derived value");
        let Some(mut table) = table(faults, value, "a derived value", Some(&DERIVED)) else { continue };
        let found = read(&mut table, faults, names, &name);
        table.finish(faults);
        derived.extend(found);
    }
    derived
}

const TRANSFORMS: [(&str, Transform); 4] = [
    ("lower_case", Transform::LowerCase),
    ("md5", Transform::Md5),
    ("sha256", Transform::Sha256),
    ("number", Transform::Number),
];

/// What a value may be made of: anything, also what may be absent.
const SOURCE: Place = Place { optional: true, structured: false, secret: true };

fn read(table: &mut Table<'_, '_>, faults: &mut Faults<'_>, names: &Names<'_>, name: &Text) -> Option<Derived> {
    let first_of = table.texts(faults, "first_of");
    let from = table.text(faults, "from");
    let chosen = table.table(faults, "values");
    let pattern = table.text(faults, "pattern");
    let transforms = table.words(faults, "transform", &TRANSFORMS);
    if transforms.iter().rev().skip(1).any(|transform| *transform == Transform::Number) {
        faults.add(&name.span, "`number` must be the last of `transform`");
    }
    let mail = table.table(faults, "mail");
    let optional = table.flag(faults, "optional");
    let public = table.flag(faults, "public");
    let made = Derived { name: name.value.clone(), secret: false, optional, rule: DerivedRule::FirstOf(Vec::new()) };
    match (from, chosen, mail) {
        (Some(from), chosen, None) if first_of.is_empty() => {
            let source = source(faults, names, &from)?;
            let secret = names.is_secret(&source) && !public;
            let optional = optional || names.may_be_absent(&source);
            let rule = match (chosen, pattern) {
                (Some(values), None) if transforms.is_empty() => {
                    DerivedRule::Chosen { from: source, values: values_of(faults, &values) }
                }
                (None, pattern) if pattern.is_some() || !transforms.is_empty() => {
                    let pattern = match pattern {
                        Some(pattern) => Some(one_group(faults, &pattern)?),
                        None => None,
                    };
                    DerivedRule::Capture { from: source, pattern, transforms }
                }
                _ => {
                    faults.add(&name.span, "`from` needs either `values`, or `pattern`, `transform` or both");
                    return None;
                }
            };
            Some(Derived { secret, optional, rule, ..made })
        }
        (None, None, Some(mut mail)) if first_of.is_empty() && pattern.is_none() && transforms.is_empty() => {
            let rule = mail_template(&mut mail, faults, names);
            mail.finish(faults);
            Some(Derived { rule: DerivedRule::Mail(rule?), ..made })
        }
        (None, None, None) if !first_of.is_empty() && pattern.is_none() && transforms.is_empty() => {
            let mut templates = Vec::new();
            for text in &first_of {
                let Some(template) = names.template(faults, text, SOURCE) else { continue };
                if template.names().any(|name| matches!(name, Name::Derived(_))) {
                    faults.add(&text.span, "a derived value cannot name another one");
                }
                templates.push(template);
            }
            let secret = templates.iter().flat_map(Template::names).any(|name| names.is_secret(name)) && !public;
            let optional = optional || !always(names, &templates);
            Some(Derived { secret, optional, rule: DerivedRule::FirstOf(templates), ..made })
        }
        _ => {
            faults.add(&name.span, format!("`{}` needs one of `first_of`, `from` and `mail`", name.value));
            None
        }
    }
}

fn source(faults: &mut Faults<'_>, names: &Names<'_>, from: &Text) -> Option<Name> {
    let braced = Text { value: format!("{{{}}}", from.value), span: from.span.clone() };
    let template = names.template(faults, &braced, SOURCE)?;
    let source = template.sole_name().filter(|name| !matches!(name, Name::Derived(_))).cloned();
    if source.is_none() {
        faults.add(&from.span, "`from` must be one name, such as field.api_key, and not a derived one");
    }
    source
}

fn one_group(faults: &mut Faults<'_>, pattern: &Text) -> Option<Regex> {
    let regex = ecma::compile(&pattern.value)
        .map_err(|problem| faults.add(&pattern.span, format!("`pattern` {problem}")))
        .ok()?;
    if regex.captures_len() != 2 {
        faults.add(&pattern.span, "`pattern` must have exactly one group, which is the value");
        return None;
    }
    Some(regex)
}

fn values_of(faults: &mut Faults<'_>, table: &Table<'_, '_>) -> Vec<(String, String)> {
    let mut values = Vec::new();
    for (given, value) in table.entries() {
        let value = text(faults, value, "each of `values`");
        values.extend(value.map(|value| (given.value, value.value)));
    }
    if values.is_empty() {
        faults.add(&table.span, "`values` is empty");
    }
    values
}

fn mail_template(table: &mut Table<'_, '_>, faults: &mut Faults<'_>, names: &Names<'_>) -> Option<MailTemplate> {
    let place = Place { optional: true, ..Place::PLAIN };
    let mut part = |table: &mut Table<'_, '_>, key, place| {
        let text = table.text(faults, key)?;
        names.template(faults, &text, place)
    };
    let (text, html) = (part(table, "text", place), part(table, "html", place));
    let subject = part(table, "subject", Place::PLAIN);
    let mut addresses = |table: &mut Table<'_, '_>, key| -> Vec<Template> {
        let texts = table.texts(faults, key);
        texts.iter().filter_map(|text| names.template(faults, text, place)).collect()
    };
    let (from, reply_to, to) = (addresses(table, "from"), addresses(table, "reply_to"), addresses(table, "to"));
    for key in ["to", "subject"] {
        if !table.has(key) {
            table.missing(key, format!("`{key}` is missing"));
        }
    }
    let bodies = [&text, &html];
    let sure = |template: &&Option<Template>| {
        template.as_ref().is_some_and(|template| !template.names().any(|name| names.may_be_absent(name)))
    };
    if !bodies.iter().any(sure) {
        faults.add(&table.span, "a mail needs `text` or `html` that is always there");
    }
    if !to.is_empty() && !always(names, &to) {
        faults.add(&table.span, "a mail needs an address under `to` that is always there");
    }
    Some(MailTemplate { to, from, reply_to, subject: subject?, text, html })
}

/// Whether one of the templates always has all its values: by itself, or because each way of filling in
/// the fields of which one group is given fills one.
fn always(names: &Names<'_>, templates: &[Template]) -> bool {
    let present = |template: &Template, flow: &Flow, group: &[String]| {
        template.names().all(|name| match name {
            Name::Field(field) if flow.fields.iter().any(|known| known.name == *field) => {
                group.contains(field) || !names.may_be_absent(name)
            }
            _ => !names.may_be_absent(name),
        })
    };
    names.flows.iter().all(|flow| {
        let none = [Vec::new()];
        let groups = if flow.one_of.is_empty() { &none[..] } else { &flow.one_of };
        groups.iter().all(|group| templates.iter().any(|template| present(template, flow, group)))
    })
}
