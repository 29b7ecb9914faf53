//! Checks of what callers hand in, before anything is read or called.

use super::types::Failure;
use crate::domain::{connection::DISPLAY_NAME_MAX, fold};

/// The longest event type, event identifier, idempotency key and module name, in characters.
pub(super) const EVENT_TYPE_MAX: usize = 120;
pub(super) const EVENT_IDENTIFIER_MAX: usize = 200;
pub(super) const IDEMPOTENCY_KEY_MAX: usize = 400;
pub(super) const MODULE_MAX: usize = 64;

/// A display name: trimmed, not empty, of printable characters, not too long.
pub(super) fn display_name(field: &str, name: &str) -> Result<String, Failure> {
    let name = name.trim();
    text(field, name, DISPLAY_NAME_MAX)?;
    if fold::fold(name).is_empty() {
        return Err(Failure::bad_input(field, "must not be empty"));
    }
    Ok(name.to_owned())
}

/// A text of 1 to `max` characters without control characters.
pub(super) fn text(field: &str, value: &str, max: usize) -> Result<(), Failure> {
    let length = value.chars().count();
    if length == 0 {
        return Err(Failure::bad_input(field, "must not be empty"));
    }
    if length > max {
        return Err(Failure::bad_input(field, format!("has {length} characters; at most {max} are allowed")));
    }
    if value.chars().any(char::is_control) {
        return Err(Failure::bad_input(field, "must not contain control characters"));
    }
    Ok(())
}

/// An event type: letters, digits, `_` and `.`, as Standard Webhooks has it.
pub(super) fn event_type(field: &str, value: &str) -> Result<(), Failure> {
    text(field, value, EVENT_TYPE_MAX)?;
    if value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.')) {
        Ok(())
    } else {
        Err(Failure::bad_input(field, "may contain letters, digits, `_` and `.` only, such as submission.created"))
    }
}

/// A module's name: lower-case letters, digits, `_` and `-`.
pub(super) fn module(field: &str, value: &str) -> Result<(), Failure> {
    text(field, value, MODULE_MAX)?;
    if value.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-')) {
        Ok(())
    } else {
        Err(Failure::bad_input(field, "may contain lower-case letters, digits, `_` and `-` only, such as forms"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field_of<T: std::fmt::Debug>(result: Result<T, Failure>) -> String {
        match result {
            Err(Failure::BadInput { field, .. }) => field,
            other => panic!("expected a wrong input, got {other:?}"),
        }
    }

    #[test]
    fn names_are_trimmed_and_bounded() {
        assert_eq!(display_name("n", "  Shop  "), Ok("Shop".to_owned()));
        assert_eq!(display_name("n", &"é".repeat(DISPLAY_NAME_MAX)).map(|n| n.chars().count()), Ok(DISPLAY_NAME_MAX));
        for bad in ["", "   ", "a\u{0}b", "a\nb", &"é".repeat(DISPLAY_NAME_MAX + 1)] {
            assert_eq!(field_of(display_name("n", bad)), "n");
        }
    }

    #[test]
    fn event_types_and_modules_have_a_closed_alphabet() {
        assert_eq!(event_type("t", "submission.created"), Ok(()));
        assert_eq!(module("m", "forms-2"), Ok(()));
        for bad in ["", "a b", "a/b", "é"] {
            assert_eq!(field_of(event_type("t", bad)), "t");
            assert_eq!(field_of(module("m", bad)), "m");
        }
        assert_eq!(field_of(module("m", "Forms")), "m");
    }
}
