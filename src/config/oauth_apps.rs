//! The OAuth apps that the gateway's operator has registered with vendors.

use std::collections::HashMap;

use super::values;
use crate::{connector::OAuthClient, domain::secret::Secret};

/// Reads the file: a table for each app, by the name that manifests have for it (`connectors/README.md`, `app`). A
/// secret may stand in a file of its own (`@FILE`).
///
/// # Errors
/// What is wrong, and where; never the text of a line, which may hold a secret.
pub(super) fn read(path: &str) -> Result<HashMap<String, OAuthClient>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("the file {path:?} cannot be read: {error}"))?;
    parse(path, &text)
}

/// By hand, since the messages of a derived reader repeat values.
fn parse(path: &str, text: &str) -> Result<HashMap<String, OAuthClient>, String> {
    let apps: toml::Table = toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        let line = line.map_or_else(String::new, |line| format!(":{line}"));
        format!("{path}{line}: {}", error.message())
    })?;
    apps.into_iter()
        .map(|(name, app)| {
            let app = app.as_table().ok_or_else(|| {
                format!("{path}: `{name}` is no table: each app is one, as in [{name}], with `client_id` and `client_secret`")
            })?;
            if let Some(unknown) = app.keys().find(|key| !["client_id", "client_secret"].contains(&key.as_str())) {
                return Err(format!("{path}: [{name}]: there is no key `{unknown}`: use `client_id` and `client_secret`"));
            }
            let value = |key: &str| {
                let text = app.get(key).and_then(toml::Value::as_str).filter(|text| !text.trim().is_empty());
                let text = text.ok_or_else(|| format!("{path}: [{name}]: `{key}` is missing, empty or no text"))?;
                let value = values::secret(text).map_err(|problem| format!("{path}: [{name}]: {problem}"))?;
                if value.is_empty() || value.chars().any(char::is_control) {
                    return Err(format!("{path}: [{name}]: `{key}` is empty, or has control characters"));
                }
                Ok(value)
            };
            Ok((name.clone(), OAuthClient { id: value("client_id")?, secret: Secret::new(value("client_secret")?) }))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apps_have_an_id_and_a_secret() {
        let apps = parse("apps.toml", "[one]\nclient_id = \"a\"\nclient_secret = \"hunter2\"\n").expect("apps");
        assert_eq!((apps["one"].id.as_str(), apps["one"].secret.expose()), ("a", "hunter2"));
        for (wrong, said) in [
            ("[one]\nclient_id = \"a\"\n", "apps.toml: [one]: `client_secret` is missing"),
            (
                "[one]\nclient_id = \"a\"\nclient_secret = \"hunter2\"\nid = 1\n",
                "apps.toml: [one]: there is no key `id`",
            ),
            (
                "[one]\nclient_id = \"\"\nclient_secret = \"hunter2\"\n",
                "apps.toml: [one]: `client_id` is missing, empty",
            ),
            ("[one\nclient_secret = \"hunter2\"", "apps.toml:1: "),
            ("one = \"hunter2\"", "apps.toml: `one` is no table"),
            (
                "[one]\nclient_id = \"a\"\nclient_secret = [\"hunter2\"]\n",
                "apps.toml: [one]: `client_secret` is missing",
            ),
        ] {
            let problem = parse("apps.toml", wrong).expect_err(wrong);
            assert!(problem.starts_with(said) && !problem.contains("hunter2"), "{wrong}: {problem}");
        }
    }
}
