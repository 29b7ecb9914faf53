//! The OAuth apps that the gateway's operator has registered with vendors.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use super::values;
use crate::{connector::OAuthClient, domain::secret::Secret};

/// One app, as the file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct App {
    client_id: String,
    client_secret: String,
}

/// Reads the file: a table for each app, by the name that manifests have for it (`connectors/README.md`, `app`). A
/// secret may stand in a file of its own (`@FILE`).
///
/// # Errors
/// What is wrong, and where; never the text of a line, which may hold a secret.
pub(super) fn read(path: &str) -> Result<HashMap<String, OAuthClient>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("the file {path:?} cannot be read: {error}"))?;
    parse(path, &text)
}

fn parse(path: &str, text: &str) -> Result<HashMap<String, OAuthClient>, String> {
    let apps: BTreeMap<String, App> = toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        let line = line.map_or_else(String::new, |line| format!(":{line}"));
        format!("{path}{line}: {}", error.message())
    })?;
    apps.into_iter()
        .map(|(name, app)| {
            let secret =
                values::secret(&app.client_secret).map_err(|problem| format!("{path}: [{name}]: {problem}"))?;
            for (key, value) in [("client_id", app.client_id.as_str()), ("client_secret", secret.as_str())] {
                if value.is_empty() || value.chars().any(char::is_control) {
                    return Err(format!("{path}: [{name}]: `{key}` is empty, or has control characters"));
                }
            }
            Ok((name, OAuthClient { id: app.client_id, secret: Secret::new(secret) }))
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
            ("[one]\nclient_id = \"a\"\n", "apps.toml:1: missing field `client_secret`"),
            ("[one]\nclient_id = \"a\"\nclient_secret = \"hunter2\"\nid = 1\n", "apps.toml:4: unknown field `id`"),
            ("[one]\nclient_id = \"\"\nclient_secret = \"hunter2\"\n", "apps.toml: [one]: `client_id` is empty"),
            ("[one\nclient_secret = \"hunter2\"", "apps.toml:1: "),
            ("one = \"hunter2\"", "apps.toml:1: "),
        ] {
            let problem = parse("apps.toml", wrong).expect_err(wrong);
            assert!(problem.starts_with(said) && !problem.contains("hunter2"), "{wrong}: {problem}");
        }
    }
}
