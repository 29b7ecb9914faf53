//! `connectors list` and `connectors check`: the library, and whether manifests are fit for it.

use std::{fmt::Write as _, path::Path};

use integrations_gateway::{
    app,
    connector::{self, Library, LoadOptions, Source},
    domain::clock::Clock as _,
};

use super::{Failed, print};

pub(super) fn list(directory: Option<&Path>) -> Result<(), Failed> {
    let mut sources = connector::built_in();
    if let Some(directory) = directory {
        sources.extend(app::read_manifests(directory).map_err(Failed::Settings)?);
    }
    let library = load(sources)?;
    let mut table = String::new();
    for connector in library.list() {
        // Writing to a string does not fail.
        let _ = writeln!(table, "{:<24} {:<12} {}", connector.slug, connector.family.as_str(), connector.display_name);
    }
    print(&table)
}

pub(super) fn check(directory: &Path) -> Result<(), Failed> {
    let sources = app::read_manifests(directory).map_err(Failed::Settings)?;
    if sources.is_empty() {
        return Err(Failed::Settings(format!("{} holds no manifest (*.toml)", directory.display())));
    }
    let count = sources.iter().filter(|source| !source.is_provider()).count();
    // The shipped providers serve here as they do at the start.
    let providers = connector::built_in().into_iter().filter(Source::is_provider);
    let library = load(providers.chain(sources).collect())?;
    let mut said = String::new();
    for sunset in library.sunsets(app::SystemClock.now().date_naive()) {
        // Writing to a string does not fail.
        let _ = writeln!(said, "{sunset}");
    }
    print(&format!("{said}{count} manifests, no fault\n"))
}

pub(super) fn schema() -> Result<(), Failed> {
    print(&format!("{:#}\n", connector::manifest_schema()))
}

pub(super) fn reference(file: &Path) -> Result<(), Failed> {
    let failed = |problem: String| Failed::Otherwise(format!("{}: {problem}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
    let text = connector::manifest_reference(&text).map_err(failed)?;
    let library = load(connector::built_in())?;
    print(&connector::event_reference(&text, &library).map_err(failed)?)
}

fn load(sources: Vec<Source>) -> Result<Library, Failed> {
    // What `serve` would refuse where only public destinations may be called is refused here too.
    Library::load(sources, LoadOptions { allow_http: false })
        .map_err(|faults| Failed::Otherwise(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")))
}
