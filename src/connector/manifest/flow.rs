//! Flows: their fields, credentials and derived values.

use super::{
    super::{
        ecma,
        fault::Faults,
        fields::address,
        library::LoadOptions,
        model::{Address, Credential, Field, FieldKind, Flow},
        reader::{Table, Text, table, text, wrong_type},
    },
    call, derive, identifier,
    names::{Names, Place},
    rule, words,
};
use crate::domain::{connector::AuthFlow, test_report::TestProof};

/// The flows that this program runs.
const FLOWS: [(&str, AuthFlow); 3] =
    [("api_key", AuthFlow::ApiKey), ("basic", AuthFlow::Basic), ("signed_token", AuthFlow::SignedToken)];

const KINDS: [(&str, FieldKind); 4] = [
    ("text", FieldKind::Text),
    ("url", FieldKind::Url),
    ("select", FieldKind::Select),
    ("multiline", FieldKind::Multiline),
];

pub(super) fn read_all(root: &mut Table<'_, '_>, faults: &mut Faults<'_>, options: LoadOptions) -> Vec<Flow> {
    let mut flows: Vec<Flow> = Vec::new();
    let tables = root.tables(faults, "flows");
    if tables.is_empty() {
        root.missing("flows", "`[[flows]]` is missing: how does one connect?".to_owned());
    }
    for mut table in tables {
        let flow = read(&mut table, faults, options);
        table.finish(faults);
        if let Some(flow) = flow {
            if flows.iter().any(|known| known.flow == flow.flow) {
                faults.add(&table.span, format!("there is a flow {} already", flow.flow));
            }
            flows.push(flow);
        }
    }
    flows
}

fn read(table: &mut Table<'_, '_>, faults: &mut Faults<'_>, options: LoadOptions) -> Option<Flow> {
    let kind = table.need_word(faults, "flow", &FLOWS);
    let proof = table.need_word(faults, "proof", &words(TestProof::ALL, TestProof::as_str));
    let expires = table.flag(faults, "expires");
    let instructions = table.text(faults, "instructions").map(|text| text.value);
    let destination = table.text(faults, "destination");
    let fields = fields(table, faults, options);
    let one_of = groups(table, faults, &fields);
    let mut flow = Flow {
        flow: kind.unwrap_or(AuthFlow::ApiKey),
        fields,
        refreshable: false,
        scopes_editable: false,
        revocable: false,
        expires,
        proof: proof.unwrap_or(TestProof::Syntax),
        instructions,
        one_of,
        derived: Vec::new(),
        credentials: Vec::new(),
        destination: None,
        bound_addresses: Vec::new(),
        allow_http: options.allow_http,
    };
    flow.derived = derive::read_all(table, faults, &Names::of_connection(&[&flow]));
    let flows = [&flow];
    let names = Names::of_connection(&flows);
    let destination =
        destination.and_then(|text| names.template(faults, &text, Place { optional: true, ..Place::PLAIN }));
    let credentials = credentials(table, faults, &names);
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
    kind.map(|_| flow)
}

fn fields(table: &mut Table<'_, '_>, faults: &mut Faults<'_>, options: LoadOptions) -> Vec<Field> {
    let mut fields: Vec<Field> = Vec::new();
    for mut table in table.tables(faults, "fields") {
        let field = field(&mut table, faults, options);
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

fn field(table: &mut Table<'_, '_>, faults: &mut Faults<'_>, options: LoadOptions) -> Option<Field> {
    let name = identifier(table, faults, "name");
    let label = table.need_text(faults, "label");
    let help = table.text(faults, "help").map(|text| text.value);
    let kind = table.word(faults, "kind", &KINDS).unwrap_or(FieldKind::Text);
    let address_kind = table.word(faults, "address", &[("base", Address::Base), ("whole", Address::Whole)]);
    let secret = table.flag(faults, "secret");
    let optional = table.flag(faults, "optional");
    let integer = table.flag(faults, "integer");
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
    };
    check_default(faults, &field, default.as_ref(), options);
    Some(field)
}

fn check_default(faults: &mut Faults<'_>, field: &Field, default: Option<&Text>, options: LoadOptions) {
    let Some(default) = default else { return };
    if field.secret {
        faults.add(&default.span, "a secret has no default");
    }
    if let Err(problem) = field.accept(&default.value, options.allow_http) {
        faults.add(&default.span, format!("`default` {problem}"));
    }
    if field.kind == FieldKind::Url
        && address(&default.value, field.address, options.allow_http).is_ok_and(|normal| normal != default.value)
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
                    let hint = super::super::fault::suggestion(&name.value, known);
                    faults.add(&name.span, format!("there is no field `{}`{hint}", name.value));
                }
            }
        }
        groups.push(group);
    }
    groups
}

#[derive(Clone, Copy)]
enum Kind {
    Header,
    Basic,
    Query,
    Form,
    Json,
    Path,
    Signature,
}

const PLACES: [(&str, Kind); 7] = [
    ("header", Kind::Header),
    ("basic", Kind::Basic),
    ("query", Kind::Query),
    ("form", Kind::Form),
    ("json", Kind::Json),
    ("path", Kind::Path),
    ("signature", Kind::Signature),
];

fn credentials(parent: &mut Table<'_, '_>, faults: &mut Faults<'_>, names: &Names<'_>) -> Vec<(String, Credential)> {
    let Some(all) = parent.table(faults, "credentials") else { return Vec::new() };
    let mut credentials = Vec::new();
    for (name, value) in all.entries() {
        super::check_identifier(faults, &name, "the name of a credential");
        if name.value == call::NO_CREDENTIAL {
            faults.add(&name.span, "`none` stands for no credential");
        }
        let Some(mut table) = table(faults, value, "a credential") else { continue };
        let credential = credential(&mut table, faults, names);
        table.finish(faults);
        credentials.extend(credential.map(|credential| (name.value, credential)));
    }
    credentials
}

fn credential(table: &mut Table<'_, '_>, faults: &mut Faults<'_>, names: &Names<'_>) -> Option<Credential> {
    let kind = table.need_word(faults, "in", &PLACES)?;
    let secret = |table: &mut Table<'_, '_>, faults: &mut Faults<'_>, key| {
        // A password may be empty, where the vendor wants none.
        let text = if table.has(key) { table.text(faults, key) } else { table.need_text(faults, key) }?;
        names.template(faults, &text, Place::SECRET)
    };
    Some(match kind {
        Kind::Signature => {
            table.need_word(faults, "scheme", &[("standard_webhooks", ())])?;
            Credential::StandardWebhooks
        }
        Kind::Basic => {
            let (user, password) = (secret(table, faults, "user"), secret(table, faults, "password"));
            Credential::Basic { user: user?, password: password? }
        }
        Kind::Path => Credential::Path { value: secret(table, faults, "value")? },
        Kind::Header | Kind::Query | Kind::Form | Kind::Json => {
            let (name, value) = (table.need_text(faults, "name"), secret(table, faults, "value"));
            let (name, value) = (name?, value?);
            match kind {
                Kind::Header => Credential::Header { name: call::header_name(faults, &name)?, value },
                Kind::Query => Credential::Query { name: name.value, value },
                Kind::Form => Credential::Form { name: name.value, value },
                _ => {
                    let pointer = rule::pointer(faults, name)?;
                    let step = |step: &str| step.replace("~1", "/").replace("~0", "~");
                    Credential::Json { pointer: pointer.split('/').skip(1).map(step).collect(), value }
                }
            }
        }
    })
}
