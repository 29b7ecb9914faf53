//! JSON bodies: templates become JSON values, never JSON text, so that a value stays one.

use serde_json::{Map, Value};

use super::{
    model::JsonTemplate,
    placeholders::{BuildError, Found, Placeholders},
    template::Template,
};

/// Why a template gave no value.
enum Gap {
    /// A value in it is absent.
    Absent(BuildError),
    Wrong(BuildError),
}

/// The body; every value that is not marked as optional must be there.
pub(super) fn render_body(template: &JsonTemplate, names: &Placeholders<'_>) -> Result<Value, BuildError> {
    render(template, names).map_err(|(Gap::Absent(error) | Gap::Wrong(error))| error)
}

/// The same, or nothing where a value is absent and may be.
pub(super) fn render_optional(
    template: &JsonTemplate,
    names: &Placeholders<'_>,
    optional: bool,
) -> Result<Option<Value>, BuildError> {
    match render(template, names) {
        Ok(value) => Ok(Some(value)),
        Err(Gap::Absent(_)) if optional => Ok(None),
        Err(Gap::Absent(error) | Gap::Wrong(error)) => Err(error),
    }
}

fn render(template: &JsonTemplate, names: &Placeholders<'_>) -> Result<Value, Gap> {
    match template {
        JsonTemplate::Literal(value) => Ok(value.clone()),
        JsonTemplate::Text(template) => text(template, names),
        JsonTemplate::Array(items) => {
            items.iter().map(|item| render(item, names)).collect::<Result<_, _>>().map(Value::Array)
        }
        JsonTemplate::Object(members) => {
            let mut object = Map::new();
            for (name, optional, member) in members {
                match render(member, names) {
                    Ok(value) => {
                        object.insert(name.clone(), value);
                    }
                    Err(Gap::Absent(_)) if *optional => {}
                    Err(gap) => return Err(gap),
                }
            }
            Ok(Value::Object(object))
        }
    }
}

/// A placeholder that stands alone keeps its type; beside other text it becomes text.
fn text(template: &Template, names: &Placeholders<'_>) -> Result<Value, Gap> {
    if let Some(name) = template.sole_name() {
        return match names.find(name) {
            Some(Found::Json(value)) => Ok(value.clone()),
            Some(Found::Number(number, _)) => Ok(Value::Number(number)),
            Some(Found::Text(text)) => Ok(Value::String(text.to_string())),
            None => Err(Gap::Absent(names.absent(template))),
        };
    }
    match names.render(template) {
        Ok(Some(text)) => Ok(Value::String(text.to_string())),
        Ok(None) => Err(Gap::Absent(names.absent(template))),
        Err(error) => Err(Gap::Wrong(error)),
    }
}

/// Puts a credential into an object body, making the objects on the way.
pub(super) fn insert(body: &mut Value, pointer: &[String], value: &str) -> Result<(), BuildError> {
    let mut place = body;
    for step in pointer {
        let object =
            place.as_object_mut().ok_or_else(|| BuildError::new("the body has no place for the credential"))?;
        place = object.entry(step.clone()).or_insert_with(|| Value::Object(Map::new()));
    }
    *place = Value::String(value.to_owned());
    Ok(())
}
