//! Flows: their fields, credentials and derived values.

use super::{
    super::{
        ecma,
        fault::{Faults, suggestion},
        fields::address,
        hosts::Hosts,
        library::Allowed,
        model::{Address, Credential, Field, FieldKind, Flow, Omitted, RefreshKind, Scope},
        reader::{Table, Text, text, wrong_type},
    },
    credential, derive, identifier,
    names::{Names, Place},
    oauth,
    provider::Provider,
    words,
};
use crate::domain::{connector::AuthFlow, test_report::TestProof};

/// The flows that this program runs.
const FLOWS: [(&str, AuthFlow); 4] = [
    ("api_key", AuthFlow::ApiKey),
    ("basic", AuthFlow::Basic),
    ("signed_token", AuthFlow::SignedToken),
    ("oauth", AuthFlow::Oauth),
];

const KINDS: [(&str, FieldKind); 4] = [
    ("text", FieldKind::Text),
    ("url", FieldKind::Url),
    ("select", FieldKind::Select),
    ("multiline", FieldKind::Multiline),
];

/// What flows depend on.
#[derive(Clone, Copy)]
pub(super) struct Shared<'a> {
    pub(super) allowed: Allowed<'a>,
    pub(super) hosts: &'a Hosts,
    pub(super) scopes: &'a [Scope],
    pub(super) provider: Option<&'a Provider>,
    /// There is a provider, and its own faults have been noted.
    pub(super) broken: bool,
    /// The usual name of an OAuth client.
    pub(super) app: &'a str,
}

/// A flow that asks for nothing.
pub(super) fn empty(flow: AuthFlow, allowed: Allowed<'_>) -> Flow {
    Flow {
        flow,
        fields: Vec::new(),
        refreshable: false,
        scopes_editable: false,
        revocable: false,
        expires: false,
        proof: TestProof::Syntax,
        instructions: None,
        oauth: None,
        captures: Vec::new(),
        one_of: Vec::new(),
        derived: Vec::new(),
        credentials: Vec::new(),
        destination: None,
        bound_addresses: Vec::new(),
        allow_http: allowed.allow_http,
        origins: allowed.origins.to_vec(),
        hosts: Hosts::default(),
    }
}

/// The flows, and the steps of the test that captured values come from.
pub(super) fn read_all(
    root: &mut Table<'_, '_>,
    faults: &mut Faults<'_>,
    shared: Shared<'_>,
) -> (Vec<Flow>, Vec<Text>) {
    let mut flows: Vec<Flow> = Vec::new();
    let mut steps = Vec::new();
    let tables = root.tables(faults, "flows");
    if tables.is_empty() {
        root.missing("flows", "`[[flows]]` is missing: how does one connect?".to_owned());
    }
    for mut table in tables {
        let flow = read(&mut table, faults, shared, &mut steps);
        table.finish(faults);
        if let Some(flow) = flow {
            if flows.iter().any(|known| known.flow == flow.flow) {
                faults.add(&table.span, format!("there is a flow {} already", flow.flow));
            }
            flows.push(flow);
        }
    }
    (flows, steps)
}

fn read(table: &mut Table<'_, '_>, faults: &mut Faults<'_>, shared: Shared<'_>, steps: &mut Vec<Text>) -> Option<Flow> {
    let kind = table.need_word(faults, "flow", &FLOWS);
    let proof = table.need_word(faults, "proof", &words(TestProof::ALL, TestProof::as_str));
    let expires = table.flag(faults, "expires");
    let instructions = table.text(faults, "instructions").map(|text| text.value);
    let destination = table.text(faults, "destination");
    let fields = fields(table, faults, shared);
    let one_of = groups(table, faults, &fields);
    let mut flow = Flow {
        fields,
        expires,
        proof: proof.unwrap_or(TestProof::Syntax),
        instructions,
        one_of,
        hosts: shared.hosts.clone(),
        ..empty(kind.unwrap_or(AuthFlow::ApiKey), shared.allowed)
    };
    let mut oauth = oauth_table(table, faults, kind, shared);
    if let Some(table) = &mut oauth {
        let (captures, more) = oauth::captures(table, faults);
        flow.captures = captures;
        steps.extend(more);
    } else if let Some(provider) = shared.provider.filter(|_| kind == Some(AuthFlow::Oauth)) {
        flow.captures.clone_from(&provider.captures);
    }
    flow.derived = derive::read_all(table, faults, &Names::of_connection(&[&flow]));
    let flows = [&flow];
    let names = Names::of_connection(&flows);
    let destination =
        destination.and_then(|text| names.template(faults, &text, Place { optional: true, ..Place::PLAIN }));
    let names = Names { client: kind == Some(AuthFlow::Oauth), ..names };
    let credentials = credential::read_all(table, faults, &names);
    let signs = credentials.iter().any(|(_, credential)| matches!(credential, Credential::StandardWebhooks));
    match kind {
        Some(AuthFlow::SignedToken) if !signs => {
            faults.add(&table.span, "a flow signed_token needs a credential `in = \"signature\"`");
        }
        Some(kind) if kind != AuthFlow::SignedToken && signs => {
            faults.add(
                &table.span,
                "a credential `in = \"signature\"` needs the flow signed_token, which makes the secret",
            );
        }
        _ => {}
    }
    flow.destination = destination;
    flow.credentials = credentials;
    flow.oauth = match oauth {
        Some(mut table) => {
            let oauth = oauth::read(&mut table, faults, &flow, shared.app);
            table.finish(faults);
            oauth
        }
        None => shared.provider.filter(|_| kind == Some(AuthFlow::Oauth)).map(|provider| provider.oauth.clone()),
    };
    if let Some(oauth) = &flow.oauth {
        flow.refreshable = oauth.refresh != RefreshKind::None;
        flow.revocable = oauth.revocation.is_some();
        let asked_for = oauth.authorize.is_some() && !oauth.omitted.contains(&Omitted::Scope);
        flow.scopes_editable = asked_for && !shared.scopes.is_empty();
    }
    kind.map(|_| flow)
}

/// The key `flows`: which of these flows are meant; `None` where it is not there.
pub(super) fn named(table: &mut Table<'_, '_>, faults: &mut Faults<'_>, flows: &[&Flow]) -> Option<Vec<AuthFlow>> {
    let wanted = table.has("flows").then(|| table.texts(faults, "flows"))?;
    let mut found = Vec::new();
    for text in wanted {
        if let Some(flow) = flows.iter().find(|flow| flow.flow.as_str() == text.value) {
            found.push(flow.flow);
        } else {
            let hint = suggestion(&text.value, flows.iter().map(|flow| flow.flow.as_str()));
            faults.add(&text.span, format!("there is no flow `{}` here{hint}", text.value));
        }
    }
    Some(found)
}

/// The table `oauth` of a flow that needs one of its own.
fn oauth_table<'a, 'i>(
    table: &mut Table<'a, 'i>,
    faults: &mut Faults<'_>,
    kind: Option<AuthFlow>,
    shared: Shared<'_>,
) -> Option<Table<'a, 'i>> {
    let found = table.table(faults, "oauth");
    match (kind, &found, shared.provider) {
        (Some(AuthFlow::Oauth), Some(own), Some(provider)) => {
            faults.add(&own.span, format!("the provider {} has it: leave either of them out", provider.name));
        }
        (Some(AuthFlow::Oauth), None, None) if !shared.broken && !table.has("oauth") => {
            table.missing("oauth", "`[flows.oauth]` is missing: how does the vendor grant access?".to_owned());
        }
        (Some(kind), Some(own), _) if kind != AuthFlow::Oauth => {
            faults.add(&own.span, format!("`oauth` is for the flow oauth, not for {kind}"));
        }
        _ => {}
    }
    found
}

fn fields(table: &mut Table<'_, '_>, faults: &mut Faults<'_>, shared: Shared<'_>) -> Vec<Field> {
    let mut fields: Vec<Field> = Vec::new();
    for mut table in table.tables(faults, "fields") {
        let field = field(&mut table, faults, shared);
        table.finish(faults);
        if let Some(field) = field {
            if fields.iter().any(|known| known.name == field.name) {
                faults.add(&table.span, format!("there is a field `{}` already", field.name));
            }
            fields.push(field);
        }
    }
    fields
}

fn field(table: &mut Table<'_, '_>, faults: &mut Faults<'_>, shared: Shared<'_>) -> Option<Field> {
    let name = identifier(table, faults, "name");
    let label = table.need_text(faults, "label");
    let help = table.text(faults, "help").map(|text| text.value);
    let kind = table.word(faults, "kind", &KINDS).unwrap_or(FieldKind::Text);
    let address_kind = table.word(faults, "address", &[("base", Address::Base), ("whole", Address::Whole)]);
    let secret = table.flag(faults, "secret");
    let optional = table.flag(faults, "optional");
    let integer = table.flag(faults, "integer");
    let host = table.flag(faults, "host");
    let options_span = table.any("options").map(toml::Spanned::span);
    let select_options = select_options(table, faults);
    let default = table.text(faults, "default");
    let pattern = table.text(faults, "pattern");
    let placeholder = table.text(faults, "placeholder").map(|text| text.value);

    if address_kind.is_some() && kind != FieldKind::Url {
        faults.add(&table.span, "`address` is for `kind = \"url\"` only");
    }
    if integer && kind != FieldKind::Text {
        faults.add(&table.span, "`integer` is for `kind = \"text\"` only");
    }
    if host && (!matches!(kind, FieldKind::Text | FieldKind::Select) || secret) {
        faults.add(&table.span, "`host` is for `kind = \"text\"` and `kind = \"select\"` only, and for no secret");
    }
    if host && shared.hosts.is_empty() {
        faults.add(&table.span, "`host` needs the list `allowed_hosts` of the hosts that there may be");
    }
    for (option, _) in select_options.iter().filter(|(option, _)| host && !shared.hosts.admit(option)) {
        faults.add(&table.span, format!("the option `{option}` is not among `allowed_hosts`"));
    }
    match (kind, options_span) {
        (FieldKind::Select, None) => table.missing("options", "`options` is missing: what can be selected?".to_owned()),
        (FieldKind::Select, Some(span)) if select_options.is_empty() => faults.add(&span, "`options` is empty"),
        (FieldKind::Select, Some(_)) | (_, None) => {}
        (_, Some(span)) => faults.add(&span, "`options` is for `kind = \"select\"` only"),
    }
    let regex = pattern.as_ref().and_then(|text| {
        ecma::compile_shared(&text.value).map_err(|problem| faults.add(&text.span, format!("`pattern` {problem}"))).ok()
    });
    let field = Field {
        name: name?,
        // A fault has been noted; without the field every use of it would be another one.
        label: label.map_or_else(String::new, |label| label.value),
        help,
        kind,
        secret,
        required: !optional,
        options: select_options,
        default_value: default.as_ref().map(|text| text.value.clone()),
        pattern: pattern.map(|text| text.value),
        placeholder,
        regex,
        address: address_kind.unwrap_or(Address::Base),
        integer,
        host,
    };
    check_default(faults, &field, default.as_ref(), shared);
    Some(field)
}

fn check_default(faults: &mut Faults<'_>, field: &Field, default: Option<&Text>, shared: Shared<'_>) {
    let Some(default) = default else { return };
    if field.secret {
        faults.add(&default.span, "a secret has no default");
    }
    if let Err(problem) = field.accept(&default.value, shared.allowed.allow_http, shared.hosts) {
        faults.add(&default.span, format!("`default` {problem}"));
    }
    if field.kind == FieldKind::Url
        && address(&default.value, field.address, shared.allowed.allow_http).is_ok_and(|normal| normal != default.value)
    {
        faults.add(&default.span, "`default` is not in its normal form, such as https://example.com");
    }
}

fn select_options(table: &mut Table<'_, '_>, faults: &mut Faults<'_>) -> Vec<(String, String)> {
    let mut options = Vec::new();
    for mut option in table.tables(faults, "options") {
        let value = option.need_text(faults, "value");
        let label = option.need_text(faults, "label");
        option.finish(faults);
        options.extend(value.zip(label).map(|(value, label)| (value.value, label.value)));
    }
    options
}

/// Groups of fields of which exactly one is given: none of them is required by itself.
fn groups(table: &mut Table<'_, '_>, faults: &mut Faults<'_>, fields: &[Field]) -> Vec<Vec<String>> {
    let mut groups = Vec::new();
    for item in table.items(faults, "one_of") {
        let Some(names) = item.get_ref().as_array() else {
            wrong_type(faults, item, "each of `one_of`", "a list of fields");
            continue;
        };
        let mut group = Vec::new();
        for name in names {
            let Some(name) = text(faults, name, "each field of `one_of`") else { continue };
            match fields.iter().find(|field| field.name == name.value) {
                Some(field) if field.required => {
                    faults.add(
                        &name.span,
                        format!("`{}` must be `optional = true`, since another group may be given", name.value),
                    );
                }
                Some(_) => group.push(name.value),
                None => {
                    let known = fields.iter().map(|field| field.name.as_str());
                    let hint = suggestion(&name.value, known);
                    faults.add(&name.span, format!("there is no field `{}`{hint}", name.value));
                }
            }
        }
        groups.push(group);
    }
    groups
}
