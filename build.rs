//! Builds the crate again when what is embedded in it has changed: the connectors and the playground's page.

use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // A path that is not there would build the crate at every run; until the page is built, its folder is watched
    // for it.
    let page = ["playground/dist", "playground"].into_iter().find(|path| Path::new(path).exists());
    for path in page.into_iter().chain(["connectors", "migrations"]).filter(|path| Path::new(path).exists()) {
        println!("cargo::rerun-if-changed={path}");
    }
}
