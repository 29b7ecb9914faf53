//! The connector library of a process: what is built in, what a directory adds, and in `--dev` the sandbox.

use std::net::SocketAddr;

use super::StartError;
use crate::{
    config::Config,
    connector::{self, Library, LoadOptions, Source},
    sandbox::{Sandbox, SandboxManifest},
};

/// The connector library of these settings.
///
/// # Errors
/// Every fault of every manifest, a line each.
pub fn load_library(config: &Config) -> Result<Library, StartError> {
    let mut sources = connector::built_in();
    if let Some(directory) = &config.connectors_dir {
        let more = read_manifests(directory)
            .map_err(|problem| StartError::Setting(format!("GATEWAY_CONNECTORS_DIR: {problem}")))?;
        sources.extend(more);
    }
    // Where destinations that are not public may be called, plain http to them makes sense too.
    let options = LoadOptions { allow_http: !config.allowed_destinations.is_empty() };
    Library::load(sources, options).map_err(|faults| {
        let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
        StartError::Setting(lines.join("\n"))
    })
}

/// Adds the connector of the sandbox, which this very gateway answers at the address that it has bound.
pub(super) fn with_sandbox(
    library: Library,
    sandbox: &Sandbox,
    bound: SocketAddr,
    base_path: &str,
) -> Result<Library, StartError> {
    let called = format!("http://{bound}{base_path}");
    let called = called.parse().map_err(|error| StartError::Failed(format!("{called}: {error}")))?;
    let SandboxManifest { text, origins } = sandbox.manifest(&called);
    library.with_own(&Source { file: "the sandbox's manifest".to_owned(), text }, &origins).map_err(|faults| {
        let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
        StartError::Failed(lines.join("\n"))
    })
}

/// The manifests of a directory and the providers in its folder for them, in the order of their names.
///
/// # Errors
/// Which file or directory cannot be read.
pub fn read_manifests(directory: &std::path::Path) -> Result<Vec<Source>, String> {
    let mut sources = read_toml(directory)?;
    let providers = directory.join(connector::PROVIDERS);
    if providers.is_dir() {
        sources.extend(read_toml(&providers)?);
    }
    Ok(sources)
}

fn read_toml(directory: &std::path::Path) -> Result<Vec<Source>, String> {
    let unreadable = |path: &std::path::Path, error| format!("{} cannot be read: {error}", path.display());
    let entries = std::fs::read_dir(directory).map_err(|error| unreadable(directory, error))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| unreadable(directory, error))?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?;
            Ok(Source { file: path.display().to_string(), text })
        })
        .collect()
}
