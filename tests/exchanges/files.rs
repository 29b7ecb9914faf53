//! Manifests and exchanges, read from the files and not from the binary: whoever writes them tries them without
//! building anything.
//!
//! `EXCHANGES_OF=stripe,google` walks only these connectors and the connectors of these providers;
//! `EXCHANGES_IN=/elsewhere` reads `connectors/` and `tests/vendors/` there.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use integrations_gateway::connector::{PROVIDERS, Source};

use super::document::Exchange;

fn root() -> PathBuf {
    variable("EXCHANGES_IN").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").to_owned()).into()
}

/// Whether this connector or provider is to be walked.
pub fn is_wanted(name: &str) -> bool {
    variable("EXCHANGES_OF").is_none_or(|wanted| wanted.split(',').any(|wanted| wanted == name))
}

#[expect(clippy::disallowed_methods, reason = "what a test walks is no setting of the gateway")]
fn variable(name: &str) -> Option<String> {
    env::var(name).ok()
}

/// The name of the file, which is the slug or the provider's name.
pub fn name(source: &Source) -> String {
    Path::new(&source.file).file_stem().expect("a name").to_string_lossy().into_owned()
}

/// The manifests that are to be walked, and their providers.
pub fn manifests() -> Vec<Source> {
    let (mut manifests, mut providers) = (toml_files("connectors"), toml_files(&format!("connectors/{PROVIDERS}")));
    manifests.retain(|source| is_wanted(&name(source)) || provider(source).is_some_and(|name| is_wanted(&name)));
    let named: Vec<String> = manifests.iter().filter_map(provider).collect();
    providers.retain(|source| named.contains(&name(source)) || is_wanted(&name(source)));
    manifests.extend(providers);
    manifests
}

/// The provider that a manifest names.
pub fn provider(source: &Source) -> Option<String> {
    let manifest: toml::Table = source.text.parse().ok()?;
    manifest.get("provider")?.as_str().map(str::to_owned)
}

fn toml_files(folder: &str) -> Vec<Source> {
    let files = fs::read_dir(root().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut sources = Vec::new();
    for file in files {
        let path = file.expect("a file").path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let file = format!("{folder}/{}", path.file_name().expect("a name").to_string_lossy());
            sources.push(Source { file, text: fs::read_to_string(&path).expect("a text") });
        }
    }
    sources.sort_by(|a, b| a.file.cmp(&b.file));
    sources
}

/// All exchanges of a connector, each with the place that it stands in.
pub fn exchanges(slug: &str) -> Vec<(String, Exchange)> {
    let files = fs::read_dir(root().join("tests/vendors").join(slug));
    let files = files.unwrap_or_else(|_| panic!("{slug} has no exchanges"));
    let mut paths: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
    paths.sort();
    let read = |path: &PathBuf| {
        let place = format!("{slug}/{}", path.file_name().expect("a name").to_string_lossy());
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{place}: {error}"));
        let exchange = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{place}: {error}"));
        (place, exchange)
    };
    paths.iter().map(read).collect()
}
