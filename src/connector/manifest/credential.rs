//! Where a flow's credentials stand in a call.

use super::{
    super::{
        fault::Faults,
        model::Credential,
        reader::{Table, table},
        shape::CREDENTIAL,
    },
    call,
    names::{Names, Place},
    rule,
};

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

/// Reads the table `credentials`.
pub(super) fn read_all(
    parent: &mut Table<'_, '_>,
    faults: &mut Faults<'_>,
    names: &Names<'_>,
) -> Vec<(String, Credential)> {
    let Some(all) = parent.table(faults, "credentials") else { return Vec::new() };
    let mut credentials = Vec::new();
    for (name, value) in all.entries() {
        super::check_identifier(faults, &name, "the name of a credential");
        if name.value == call::NO_CREDENTIAL {
            faults.add(&name.span, "`none` stands for no credential");
        }
        let Some(mut table) = table(faults, value, "a credential", Some(&CREDENTIAL)) else { continue };
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
                Kind::Header => {
                    if !call::fits_header(&value) {
                        faults.add(&name.span, "a header cannot carry a line break or another control character");
                    }
                    Credential::Header { name: call::header_name(faults, &name)?, value }
                }
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
