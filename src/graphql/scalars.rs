//! The scalars of the API.

use async_graphql::{Description, InputValueError, InputValueResult, Scalar, ScalarType, Value};
use chrono::{Datelike as _, SecondsFormat, Timelike as _, Utc};
use serde::{Serialize, Serializer};

use crate::domain::secret;

/// Whether a value fits the scalar of this name. One that is not ours takes any value.
///
/// # Errors
/// What is wrong with the value, without quoting it.
pub(super) fn check(name: &str, value: &serde_json::Value) -> Result<(), String> {
    fn fits<T: ScalarType + async_graphql::InputType>(value: &serde_json::Value) -> Result<(), String> {
        let value = Value::from_json(value.clone()).map_err(|_| "is no JSON value".to_owned())?;
        <T as ScalarType>::parse(value).map(|_| ()).map_err(|error| {
            let message = error.into_server_error(async_graphql::Pos::default()).message;
            // The library puts the type's name in front.
            message.split_once(": ").map_or(message.clone(), |(_, own)| own.to_owned())
        })
    }
    match name {
        "DateTime" => fits::<DateTime>(value),
        "URL" => fits::<Url>(value),
        "Long" => fits::<Long>(value),
        // Not parsed, so that no copy of it is made.
        "Secret" if !value.is_string() => Err("a secret is a string".to_owned()),
        _ => Ok(()),
    }
}

/// RFC 3339 date and time in UTC, to the millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Description)]
pub struct DateTime(pub chrono::DateTime<Utc>);

#[Scalar(use_type_description, specified_by_url = "https://scalars.graphql.org/andimarek/date-time.html")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else { return Err(InputValueError::custom("a date and time is a string")) };
        chrono::DateTime::parse_from_rfc3339(text)
            .map(|time| Self(time.with_timezone(&Utc)))
            .map_err(|_| InputValueError::custom("not an RFC 3339 date and time such as 2030-01-15T12:00:00Z"))
    }

    fn to_value(&self) -> Value {
        self.with_text(|text| Value::String(text.to_owned()))
    }
}

impl DateTime {
    /// Hands over the text: chrono's own formatting would cost more than all other fields of most rows.
    fn with_text<R>(self, take: impl FnOnce(&str) -> R) -> R {
        const DIGITS: &[u8; 10] = b"0123456789";
        let (time, millis) = (self.0, self.0.timestamp_subsec_millis());
        // What has a sign, five digits, or a leap second, is left to chrono.
        let Some(year) = u32::try_from(time.year()).ok().filter(|year| *year <= 9_999 && millis <= 999) else {
            return take(&time.to_rfc3339_opts(SecondsFormat::Millis, true));
        };
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let parts = [
            (0..4, year),
            (5..7, time.month()),
            (8..10, time.day()),
            (11..13, time.hour()),
            (14..16, time.minute()),
            (17..19, time.second()),
            (20..23, millis),
        ];
        for (place, mut number) in parts {
            for digit in text[place].iter_mut().rev() {
                *digit = DIGITS[(number % 10) as usize];
                number /= 10;
            }
        }
        take(str::from_utf8(&text).unwrap_or_default())
    }
}

impl Serialize for DateTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.with_text(|text| serializer.serialize_str(text))
    }
}

/// Any JSON value.
#[derive(Clone, Debug, Description)]
pub struct Json(pub serde_json::Value);

#[Scalar(use_type_description, name = "JSON")]
impl ScalarType for Json {
    fn parse(value: Value) -> InputValueResult<Self> {
        value.into_json().map(Self).map_err(|_| InputValueError::custom("not a JSON value"))
    }

    fn to_value(&self) -> Value {
        // Every JSON value is a GraphQL value but for numbers beyond what JSON itself can say.
        Value::from_json(self.0.clone()).unwrap_or_default()
    }
}

/// An absolute https URL (http only where the server's configuration allows it).
#[derive(Clone, Debug, Description)]
pub struct Url(pub String);

#[Scalar(use_type_description, name = "URL", specified_by_url = "https://url.spec.whatwg.org/")]
impl ScalarType for Url {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(text) if url::Url::parse(&text).is_ok() => Ok(Self(text)),
            _ => Err(InputValueError::custom("not an absolute URL")),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

/// A secret on its way in: from variables only, never a literal in a document. Never appears in an answer, a
/// log or an error.
#[derive(Clone, Debug, Description)]
pub struct Secret(pub secret::Secret);

#[Scalar(use_type_description)]
impl ScalarType for Secret {
    fn parse(value: Value) -> InputValueResult<Self> {
        // An error must not quote the value, as `InputValueError::expected_type` does.
        match value {
            Value::String(text) => Ok(Self(secret::Secret::new(text))),
            _ => Err(InputValueError::custom("a secret is a string")),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(secret::SEALED.to_owned())
    }
}

/// A whole number up to 2^53 - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Description, Serialize)]
pub struct Long(pub i64);

const LONG_MAX: i64 = (1 << 53) - 1;

#[Scalar(use_type_description)]
impl ScalarType for Long {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::Number(number) => number.as_i64(),
            _ => None,
        }
        .filter(|number| (-LONG_MAX..=LONG_MAX).contains(number))
        .map(Self)
        .ok_or_else(|| InputValueError::custom("not a whole number up to 2^53 - 1"))
    }

    fn to_value(&self) -> Value {
        Value::Number(self.0.into())
    }
}
