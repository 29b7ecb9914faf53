//! Derived values: `first_of` several templates, or what a pattern captures.

use super::{
    super::{
        ecma,
        fault::Faults,
        model::{Derived, DerivedRule, Flow},
        reader::{Table, Text, table},
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
        let Some(mut table) = table(faults, value, "a derived value") else { continue };
        let found = read(&mut table, faults, names, &name);
        table.finish(faults);
        derived.extend(found);
    }
    derived
}

fn read(table: &mut Table<'_, '_>, faults: &mut Faults<'_>, names: &Names<'_>, name: &Text) -> Option<Derived> {
    let first_of = table.texts(faults, "first_of");
    let from = table.text(faults, "from");
    let pattern = table.text(faults, "pattern");
    let optional = table.flag(faults, "optional");
    let public = table.flag(faults, "public");
    let place = Place { optional: true, structured: false, secret: true };
    match (from, pattern) {
        (Some(from), Some(pattern)) if first_of.is_empty() => {
            let braced = Text { value: format!("{{{}}}", from.value), span: from.span.clone() };
            let template = names.template(faults, &braced, place)?;
            let Some(source) = template.sole_name().filter(|name| !matches!(name, Name::Derived(_))).cloned() else {
                faults.add(&from.span, "`from` must be one name, such as field.api_key, and not a derived one");
                return None;
            };
            let regex = ecma::compile(&pattern.value)
                .map_err(|problem| faults.add(&pattern.span, format!("`pattern` {problem}")))
                .ok()?;
            if regex.captures_len() != 2 {
                faults.add(&pattern.span, "`pattern` must have exactly one group, which is the value");
                return None;
            }
            let secret = names.is_secret(&source) && !public;
            let optional = optional || names.may_be_absent(&source);
            Some(Derived {
                name: name.value.clone(),
                secret,
                optional,
                rule: DerivedRule::Capture { from: source, pattern: regex },
            })
        }
        (None, None) if !first_of.is_empty() => {
            let mut templates = Vec::new();
            for text in &first_of {
                let Some(template) = names.template(faults, text, place) else { continue };
                if template.names().any(|name| matches!(name, Name::Derived(_))) {
                    faults.add(&text.span, "a derived value cannot name another one");
                }
                templates.push(template);
            }
            let secret = templates.iter().flat_map(Template::names).any(|name| names.is_secret(name)) && !public;
            let optional = optional || !always(names, &templates);
            Some(Derived { name: name.value.clone(), secret, optional, rule: DerivedRule::FirstOf(templates) })
        }
        _ => {
            faults.add(&name.span, format!("`{}` needs either `first_of`, or `from` and `pattern`", name.value));
            None
        }
    }
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
