//! Addresses: their host is a literal, has placeholders for single labels, or comes from an address
//! field; the rest is path.

use super::{
    super::{
        fault::Faults,
        model::{Address, Base, DerivedRule, FieldKind, Flow, UrlTemplate},
        reader::Text,
        template::{Name, Part, Template},
    },
    names::{Names, Place},
};

/// The beginning of addresses that are given as a path.
pub(super) struct BaseUrl(String);

impl BaseUrl {
    pub(super) fn read(faults: &mut Faults<'_>, text: &Text, flows: &[&Flow]) -> Option<Self> {
        if text.value.ends_with('/') {
            faults.add(&text.span, "`base_url` must not end with `/`");
        }
        parse(faults, text, &text.value, &Names::of_connection(flows))?;
        Some(Self(text.value.clone()))
    }
}

/// Reads an address; a path is added to the base.
pub(super) fn read(
    faults: &mut Faults<'_>,
    text: &Text,
    base: Option<&BaseUrl>,
    names: &Names<'_>,
) -> Option<UrlTemplate> {
    if !text.value.starts_with('/') {
        return parse(faults, text, &text.value, names);
    }
    let Some(base) = base else {
        faults.add(&text.span, "a path needs a `base_url`");
        return None;
    };
    parse(faults, text, &format!("{}{}", base.0, text.value), names)
}

fn parse(faults: &mut Faults<'_>, text: &Text, address: &str, names: &Names<'_>) -> Option<UrlTemplate> {
    let template = match Template::parse(address) {
        Ok(template) => template,
        Err(problem) => {
            faults.add(&text.span, problem);
            return None;
        }
    };
    let url = match split(template, names) {
        Ok(url) => url,
        Err(problem) => {
            faults.add(&text.span, problem);
            return None;
        }
    };
    if let Base::Host(host) = &url.base {
        names.check(faults, text, host, Place::PLAIN);
    }
    names.check(faults, text, &url.path, Place { secret: names.credential, ..Place::PLAIN });
    if let Base::Listed(name) = &url.base {
        names.check(faults, text, &Template { parts: vec![Part::Value(name.clone())] }, Place::PLAIN);
    }
    for name in url.path.names().filter(|name| **name != Name::Credential && !names.client && names.is_secret(name)) {
        faults.add(
            &text.span,
            format!("`{{{}}}` is secret: only a credential may carry it", super::super::placeholders::shown(name)),
        );
    }
    Some(url)
}

fn split(template: Template, names: &Names<'_>) -> Result<UrlTemplate, String> {
    let mut parts = template.parts.into_iter().peekable();
    if let Some(Part::Literal(start)) = parts.peek_mut()
        && let Some(origin) = own_origin(start, names)
    {
        start.drain(..origin.len());
        let path = Template { parts: parts.collect() };
        check_path(&path)?;
        return Ok(UrlTemplate { base: Base::Own(origin.to_owned()), path });
    }
    match parts.next() {
        Some(Part::Value(Name::Field(name))) => {
            let path = Template { parts: parts.collect() };
            check_field(&name, &path, names)?;
            check_path(&path)?;
            Ok(UrlTemplate { base: Base::Field(name), path })
        }
        Some(Part::Literal(start)) if start.starts_with("https://") => {
            let rest = start["https://".len()..].to_owned();
            let (host, path) = split_host([Part::Literal(rest)].into_iter().chain(parts));
            check_path(&path)?;
            if let [Part::Value(name)] = host.parts.as_slice() {
                check_listed(name, names)?;
                return Ok(UrlTemplate { base: Base::Listed(name.clone()), path });
            }
            check_host(&host)?;
            Ok(UrlTemplate { base: Base::Host(host), path })
        }
        _ => {
            Err("an address begins with `https://`, with a path after `base_url`, or with an address field".to_owned())
        }
    }
}

/// The origin of the gateway's own with which this address begins. A path follows it.
fn own_origin<'n>(start: &str, names: &Names<'n>) -> Option<&'n str> {
    let mut origins = names.flows.iter().flat_map(|flow| &flow.origins);
    origins.find(|origin| start.strip_prefix(*origin).is_some_and(|rest| rest.starts_with('/'))).map(String::as_str)
}

/// The parts before the first `/`, and those from it on.
fn split_host(parts: impl Iterator<Item = Part>) -> (Template, Template) {
    let (mut host, mut path) = (Vec::new(), Vec::new());
    for part in parts {
        match part {
            Part::Literal(text) if path.is_empty() => match text.find('/') {
                Some(at) => {
                    host.push(Part::Literal(text[..at].to_owned()));
                    path.push(Part::Literal(text[at..].to_owned()));
                }
                None => host.push(Part::Literal(text)),
            },
            value @ Part::Value(_) if path.is_empty() => host.push(value),
            part @ (Part::Literal(_) | Part::Value(_)) => path.push(part),
        }
    }
    host.retain(|part| *part != Part::Literal(String::new()));
    (Template { parts: host }, Template { parts: path })
}

fn check_field(name: &str, path: &Template, names: &Names<'_>) -> Result<(), String> {
    for flow in names.flows {
        let Some(field) = flow.fields.iter().find(|field| field.name == name) else {
            return Err(format!("the flow {} has no field `{name}`", flow.flow));
        };
        if field.kind != FieldKind::Url {
            return Err(format!("the field `{name}` is no address: it needs `kind = \"url\"`"));
        }
        if !field.required && field.default_value.is_none() {
            return Err(format!("the field `{name}` may be absent, and an address needs its host"));
        }
        if field.address == Address::Whole && !path.parts.is_empty() {
            return Err(format!("the field `{name}` is a whole address; nothing can follow it"));
        }
    }
    Ok(())
}

/// A host that is a value: `allowed_hosts` says which there may be.
fn check_listed(name: &Name, names: &Names<'_>) -> Result<(), String> {
    let shown = super::super::placeholders::shown(name);
    for flow in names.flows {
        if flow.hosts.is_empty() {
            return Err(format!(
                "`{{{shown}}}` as a host needs the list `allowed_hosts` of the hosts that there may be"
            ));
        }
        match name {
            Name::Field(field) if flow.fields.iter().any(|known| known.name == *field && !known.host) => {
                return Err(format!("the field `{field}` is no host: it needs `host = true`"));
            }
            Name::Grant(grant) if flow.captures.iter().any(|known| known.name == *grant && !known.host) => {
                return Err(format!("what `{grant}` captures is no host: it needs `host = true`"));
            }
            Name::Derived(derived) => {
                let rule = flow.derived.iter().find(|known| known.name == *derived).map(|known| &known.rule);
                let Some(DerivedRule::Chosen { values, .. }) = rule else { continue };
                if let Some((_, host)) = values.iter().find(|(_, host)| !flow.hosts.admit(host)) {
                    return Err(format!("`{{{shown}}}` may be `{host}`, which is not among `allowed_hosts`"));
                }
            }
            Name::Field(_) | Name::Grant(_) => {}
            _ => {
                return Err(format!(
                    "`{{{shown}}}` cannot be a host: only a field, a derived value or a value of the grant can"
                ));
            }
        }
    }
    Ok(())
}

/// No value may decide which domain is called: a literal domain follows the last placeholder.
fn check_host(host: &Template) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | ':');
    let literals = host.parts.iter().filter_map(|part| match part {
        Part::Literal(text) => Some(text),
        Part::Value(_) => None,
    });
    if !literals.into_iter().all(|text| text.chars().all(allowed)) {
        return Err("the host's name may have lower-case letters, digits, `.` and `-` only".to_owned());
    }
    let fixed = match host.parts.as_slice() {
        [Part::Literal(name)] => !name.starts_with(['.', ':']),
        [.., Part::Literal(end)] => end.starts_with('.') && end[1..].contains('.'),
        _ => false,
    };
    if fixed { Ok(()) } else { Err("the host must end with a literal domain, such as `.example.com`".to_owned()) }
}

fn check_path(path: &Template) -> Result<(), String> {
    let mut sample = String::new();
    for part in &path.parts {
        match part {
            Part::Literal(text) => sample.push_str(text),
            Part::Value(_) => sample.push('x'),
        }
    }
    if sample.contains('?') {
        return Err("a query belongs under `query`".to_owned());
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@/%".contains(c);
    if let Some(c) = sample.chars().find(|c| !allowed(*c)) {
        return Err(format!("`{c}` cannot stand in a path"));
    }
    if !sample.is_empty() && (!sample.starts_with('/') || sample.split('/').any(|step| matches!(step, "." | ".."))) {
        return Err("a path begins with `/` and has no `.` or `..` in it".to_owned());
    }
    Ok(())
}
