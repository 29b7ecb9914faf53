//! What is written from the code is what is committed, and the JSON Schema tells right manifests from wrong ones.

mod made_up;

use std::{fs, path::Path};

use integrations_gateway::connector::{
    Library, LoadOptions, Source, built_in, event_reference, manifest_reference, manifest_schema,
};
use serde_json::Value;

fn committed(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap_or_default()
}

#[test]
fn the_committed_schema_of_manifests_is_the_written_one() {
    let written = format!("{:#}\n", manifest_schema());
    assert!(committed("connectors/manifest.schema.json") == written, "it is not what the code has: run `make schema`");
}

#[test]
fn the_committed_reference_is_the_written_one() {
    let reference = committed("connectors/README.md");
    let written = manifest_reference(&reference).expect("a reference");
    let library = Library::load(built_in(), LoadOptions::default()).expect("a library");
    let written = event_reference(&written, &library).expect("a reference");
    assert!(reference == written, "connectors/README.md is not what the code has: run `make schema`");
}

#[test]
fn the_manifest_in_the_reference_has_no_fault() {
    let reference = committed("connectors/README.md");
    let example =
        reference.split_once("```toml\n").and_then(|(_, after)| after.split_once("```")).expect("an example").0;
    let source = Source { file: "tidemark.toml".to_owned(), text: example.to_owned() };
    let library = Library::load(vec![source], LoadOptions::default()).expect("no fault");
    assert_eq!(library.list()[0].slug, "tidemark");
}

/// A manifest as an editor sees it.
fn as_json(text: &str) -> Value {
    let value: toml::Value = toml::from_str(text).expect("TOML");
    serde_json::to_value(value).expect("JSON")
}

#[test]
fn shipped_manifests_fit_the_schema_and_name_it() {
    let validator = jsonschema::draft202012::new(&manifest_schema()).expect("a schema");
    let sources = built_in();
    assert!(!sources.is_empty());
    for source in &sources {
        let path = if source.is_provider() { "../manifest.schema.json" } else { "./manifest.schema.json" };
        assert!(source.text.starts_with(&format!("#:schema {path}\n")), "{} does not name its schema", source.file);
        let faults: Vec<String> = validator
            .iter_errors(&as_json(&source.text))
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(faults.is_empty(), "{}: {faults:?}", source.file);
    }
}

#[test]
fn wrong_manifests_do_not_fit_the_schema() {
    let validator = jsonschema::draft202012::new(&manifest_schema()).expect("a schema");
    let right = built_in().into_iter().find(|source| source.text.contains("[[test.rules]]")).expect("a manifest").text;
    assert!(validator.is_valid(&as_json(&right)));
    for (from, to) in [
        ("version = 1", "version = 2"),
        ("version = 1", "version = 1\ncolour = \"red\""),
        ("slug = \"", "slug = \"A-"),
        ("slug = \"", "slog = \""),
        ("family = \"", "family = \"x"),
        ("method = \"", "method = \"get"),
        ("then = \"", "then = \"x"),
        ("secret = true", "secret = \"yes\""),
        ("flow = \"", "flows = \""),
        ("proof = \"", "prove = \""),
    ] {
        assert!(right.contains(from), "{from}");
        assert!(!validator.is_valid(&as_json(&right.replacen(from, to, 1))), "{to}");
    }
}
