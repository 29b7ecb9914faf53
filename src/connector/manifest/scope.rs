//! Scopes: what an operator can consent to.

use super::super::{
    fault::{Faults, suggestion},
    model::Scope,
    reader::{Table, Text},
};

/// Reads the scopes; `shared` are those that the provider has already.
pub(super) fn read_all(root: &mut Table<'_, '_>, faults: &mut Faults<'_>, shared: &[Scope]) -> Vec<Scope> {
    let mut scopes = shared.to_vec();
    for mut table in root.tables(faults, "scopes") {
        let id = table.need_text(faults, "id");
        let title = table.need_text(faults, "title");
        let default = table.flag(faults, "default");
        let sensitive = table.flag(faults, "sensitive");
        let aliases = table.texts(faults, "aliases").into_iter().map(|text| text.value).collect();
        let parameter = table.text(faults, "parameter").map(|text| text.value);
        table.finish(faults);
        let (Some(id), Some(title)) = (id, title) else { continue };
        if id.value.chars().any(|c| c.is_whitespace() || c.is_control()) {
            faults.add(&id.span, "a scope's `id` has no white space");
        }
        if scopes.iter().any(|known| known.id == id.value) {
            faults.add(&id.span, format!("there is a scope `{}` already", id.value));
        }
        scopes.push(Scope { id: id.value, title: title.value, default, sensitive, aliases, parameter });
    }
    scopes
}

/// A list of scopes, each of which the connector must have.
pub(super) fn named(
    table: &mut Table<'_, '_>,
    faults: &mut Faults<'_>,
    key: &'static str,
    scopes: &[Scope],
) -> Vec<String> {
    let texts: Vec<Text> = table.texts(faults, key);
    for text in texts.iter().filter(|text| !scopes.iter().any(|known| known.id == text.value)) {
        let hint = suggestion(&text.value, scopes.iter().map(|scope| scope.id.as_str()));
        faults.add(&text.span, format!("the connector has no scope `{}`{hint}", text.value));
    }
    texts.into_iter().map(|text| text.value).collect()
}
