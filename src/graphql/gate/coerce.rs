//! The variables of a request against their operation (GraphQL, section 6.1.2, `CoerceVariableValues`). Values are
//! never quoted: any of them may be a secret.

use apollo_compiler::{
    Name, Node, Schema,
    ast::{self, Type},
    executable::Operation,
    schema::{ExtendedType, InputObjectType},
};
use serde_json::{Map, Number, Value};

use crate::graphql::scalars;

/// How deeply a variable's own path is told.
const PATH_MAX: usize = 200;

/// A variable that does not fit.
#[derive(Debug, PartialEq, Eq)]
pub struct WrongVariable {
    /// `$input.fields[2].value`.
    pub path: String,
    /// What is wrong, and what would be right.
    pub problem: String,
    /// What would be right by names of the schema: not for those who are not shown all of it.
    pub names: Option<String>,
}

impl WrongVariable {
    /// Null was given for a variable that stands where it may not.
    pub(super) fn null(name: &Name) -> Self {
        Self {
            path: format!("${name}"),
            problem: "is null; a value is expected where it stands".to_owned(),
            names: None,
        }
    }
}

/// The values with which the operation runs: defaults put in, single values in place of lists made lists, and what
/// the operation does not know left out.
pub(super) fn coerce(
    schema: &Schema,
    operation: &Operation,
    mut given: Map<String, Value>,
) -> Result<Map<String, Value>, WrongVariable> {
    let mut values = Map::new();
    for variable in &operation.variables {
        let path = format!("${}", variable.name);
        let value = match given.remove(variable.name.as_str()) {
            Some(value) => coerce_value(schema, &variable.ty, value, &path)?,
            None => match &variable.default_value {
                Some(default) => literal(default),
                None if variable.ty.is_non_null() => return Err(missing(path, &variable.ty)),
                None => continue,
            },
        };
        values.insert(variable.name.to_string(), value);
    }
    Ok(values)
}

fn wrong(path: &str, problem: impl Into<String>) -> WrongVariable {
    let mut path = path.to_owned();
    path.truncate(path.floor_char_boundary(PATH_MAX));
    WrongVariable { path, problem: problem.into(), names: None }
}

fn missing(path: String, ty: &Type) -> WrongVariable {
    WrongVariable { path, problem: format!("is a {ty}, and was not given"), names: None }
}

fn coerce_value(schema: &Schema, ty: &Type, value: Value, path: &str) -> Result<Value, WrongVariable> {
    if value.is_null() {
        return if ty.is_non_null() { Err(wrong(path, format!("is null; a {ty} is expected"))) } else { Ok(value) };
    }
    match ty {
        Type::List(item) | Type::NonNullList(item) => {
            let Value::Array(items) = value else {
                return Ok(Value::Array(vec![coerce_value(schema, item, value, path)?]));
            };
            let items = items.into_iter().enumerate();
            let coerced = items.map(|(at, value)| coerce_value(schema, item, value, &format!("{path}[{at}]")));
            coerced.collect::<Result<_, _>>().map(Value::Array)
        }
        Type::Named(name) | Type::NonNullNamed(name) => match schema.types.get(name) {
            Some(ExtendedType::Enum(ty)) => {
                if value.as_str().is_some_and(|value| ty.values.contains_key(value)) {
                    return Ok(value);
                }
                let values: Vec<&str> = ty.values.keys().map(Name::as_str).collect();
                let names = Some(format!("one of {} is expected", values.join(", ")));
                Err(WrongVariable { names, ..wrong(path, format!("is no {name}")) })
            }
            Some(ExtendedType::InputObject(input)) => coerce_object(schema, input, value, path),
            _ => coerce_scalar(name, value, path),
        },
    }
}

fn coerce_object(schema: &Schema, input: &InputObjectType, value: Value, path: &str) -> Result<Value, WrongVariable> {
    let Value::Object(mut given) = value else {
        return Err(wrong(path, format!("is no object; a {} is expected", input.name)));
    };
    if let Some(unknown) = given.keys().find(|name| !input.fields.contains_key(name.as_str())) {
        let known: Vec<&str> = input.fields.keys().map(Name::as_str).collect();
        let unknown: String = unknown.chars().take(60).collect();
        let names = Some(format!("it has {}", known.join(", ")));
        let problem = format!("is no field of {}", input.name);
        return Err(WrongVariable { names, ..wrong(&format!("{path}.{unknown}"), problem) });
    }
    if input.directives.has("oneOf") && (given.len() != 1 || given.values().any(Value::is_null)) {
        return Err(wrong(path, format!("exactly one field of {} must be given, and not null", input.name)));
    }
    let mut fields = Map::new();
    for (name, field) in &input.fields {
        let path = format!("{path}.{name}");
        let value = match given.remove(name.as_str()) {
            Some(value) => coerce_value(schema, &field.ty, value, &path)?,
            // The schema's own defaults are the executor's to put in.
            None if field.ty.is_non_null() && field.default_value.is_none() => return Err(missing(path, &field.ty)),
            None => continue,
        };
        fields.insert(name.to_string(), value);
    }
    Ok(Value::Object(fields))
}

fn coerce_scalar(name: &str, value: Value, path: &str) -> Result<Value, WrongVariable> {
    let refused = |expected: &str| Err(wrong(path, format!("is no {name}; {expected} is expected")));
    match (name, &value) {
        ("Int", Value::Number(number)) => match whole(number).and_then(|whole| i32::try_from(whole).ok()) {
            Some(whole) => Ok(whole.into()),
            None => refused("a whole number from -2147483648 to 2147483647"),
        },
        ("Int", _) => refused("a whole number"),
        ("Float", Value::Number(_)) | ("String" | "ID", Value::String(_)) | ("Boolean", Value::Bool(_)) => Ok(value),
        ("ID", Value::Number(number)) => match whole(number) {
            Some(whole) => Ok(Value::String(whole.to_string())),
            None => refused("an id, as it was given out,"),
        },
        ("Float", _) => refused("a number"),
        ("String", _) => refused("a text"),
        ("Boolean", _) => refused("true or false"),
        ("ID", _) => refused("an id, as it was given out,"),
        (_, _) => match scalars::check(name, &value) {
            Ok(()) => Ok(value),
            Err(problem) => Err(wrong(path, problem)),
        },
    }
}

fn whole(number: &Number) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "the fraction is zero and the bounds are checked")]
    let from_float = |float: f64| (float.fract() == 0.0 && float.abs() < 9e15).then_some(float as i64);
    number.as_i64().or_else(|| number.as_f64().and_then(from_float))
}

/// A literal of the document as JSON; enum values become their names.
pub(super) fn literal(value: &Node<ast::Value>) -> Value {
    match &**value {
        ast::Value::Null | ast::Value::Variable(_) => Value::Null,
        ast::Value::Enum(name) => name.as_str().into(),
        ast::Value::String(text) => text.as_str().into(),
        ast::Value::Boolean(boolean) => (*boolean).into(),
        ast::Value::Int(int) => number(int.as_str()).into(),
        ast::Value::Float(float) => number(float.as_str()).into(),
        ast::Value::List(items) => Value::Array(items.iter().map(literal).collect()),
        ast::Value::Object(fields) => {
            Value::Object(fields.iter().map(|(name, value)| (name.to_string(), literal(value))).collect())
        }
    }
}

/// The number that a literal stands for; validation has made sure that it is one.
pub(super) fn number(text: &str) -> Number {
    let whole = text.parse::<i64>().map(Number::from).ok();
    whole.or_else(|| text.parse().ok().and_then(Number::from_f64)).unwrap_or_else(|| 0.into())
}
