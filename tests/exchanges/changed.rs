//! Whether the exchanges hold the manifests: each value of each manifest is changed once, and some exchange must
//! then differ, or the manifest be refused.

use std::path::Path;

use integrations_gateway::connector::{Library, LoadOptions, Source};
use toml::Value;

use super::{
    document::{self, Exchange},
    walk::Walk,
};

/// What is said to people, and what other tests hold: the slug is the file's name, and payloads have one shape in all
/// connectors. No exchange can differ by it.
const NOT_EXCHANGED: [&str; 12] = [
    "slug",
    "example_payload",
    "version",
    "display_name",
    "description",
    "documentation_url",
    "label",
    "help",
    "placeholder",
    "title",
    "instructions",
    "payload_schema",
];

/// The way to a value: keys and indexes.
type Way = Vec<Step>;

#[derive(Clone, Debug)]
enum Step {
    Key(String),
    At(usize),
}

/// Names that only the manifest itself uses: of a test's step.
fn is_internal(way: &[Step]) -> bool {
    matches!(way, [Step::Key(list), Step::At(_), Step::Key(name)] if list == "test" && name == "name")
}

fn ways(value: &Value, way: &Way, found: &mut Vec<Way>) {
    let below = |step: Step| way.iter().cloned().chain([step]).collect::<Way>();
    match value {
        Value::Table(table) => {
            for (key, value) in table.iter().filter(|(key, _)| !NOT_EXCHANGED.contains(&key.as_str())) {
                ways(value, &below(Step::Key(key.clone())), found);
            }
        }
        Value::Array(items) => {
            for (at, value) in items.iter().enumerate() {
                ways(value, &below(Step::At(at)), found);
            }
        }
        _ if is_internal(way) => {}
        _ => found.push(way.clone()),
    }
}

/// `rules.3.status`.
fn told(way: &[Step]) -> String {
    let steps = way.iter().map(|step| match step {
        Step::Key(key) => key.clone(),
        Step::At(at) => at.to_string(),
    });
    steps.collect::<Vec<_>>().join(".")
}

fn at<'a>(value: &'a mut Value, way: &[Step]) -> &'a mut Value {
    way.iter().fold(value, |value, step| match step {
        Step::Key(key) => value.get_mut(key.as_str()).expect("the way leads somewhere"),
        Step::At(at) => value.get_mut(*at).expect("the way leads somewhere"),
    })
}

fn change(value: &mut Value) {
    match value {
        // A letter that no vendor's word begins with; a change at the end could still be found by a pattern.
        Value::String(text) => *text = format!("q{text}"),
        Value::Integer(number) => *number += 1,
        Value::Boolean(flag) => *flag = !*flag,
        other => panic!("a manifest has no {other:?}"),
    }
}

/// Whether something notices the changed manifest or provider.
fn is_noticed(changed: Source, others: &[Source], exchanges: &[(String, Vec<(String, Exchange)>)]) -> bool {
    let file = changed.file.clone();
    let all = others.iter().filter(|source| source.file != file).cloned().chain([changed]);
    let Ok(library) = Library::load(all, LoadOptions::default()) else { return true };
    exchanges.iter().any(|(slug, exchanges)| {
        library.get(slug).is_none_or(|connector| {
            exchanges.iter().any(|(place, exchange)| Walk { connector, place, exchange }.walk().is_err())
        })
    })
}

#[test]
fn no_value_of_a_manifest_can_change_unnoticed() {
    let sources = document::manifests();
    let is_provider = |source: &Source| source.file.contains("/providers/");
    let providers: Vec<Source> = sources.iter().filter(|source| is_provider(source)).cloned().collect();
    let slug = |source: &Source| Path::new(&source.file).file_stem().expect("a name").to_string_lossy().into_owned();
    let read = |slug: String| {
        let exchanges = document::read(&slug);
        (slug, exchanges)
    };
    let all: Vec<_> = sources.iter().filter(|source| !is_provider(source)).map(|source| read(slug(source))).collect();
    let mut unnoticed = Vec::new();
    let mut changes = 0;
    for source in &sources {
        let name = slug(source);
        let manifest: Value = source.text.parse::<toml::Table>().expect("TOML").into();
        let own = if is_provider(source) {
            &all[..]
        } else {
            std::slice::from_ref(all.iter().find(|(slug, _)| *slug == name).expect("read"))
        };
        let others = if is_provider(source) { &sources } else { &providers };
        assert!(!is_noticed(source.clone(), others, own), "{name} differs from its exchanges as it is");
        let mut found = Vec::new();
        ways(&manifest, &Way::new(), &mut found);
        for way in found {
            let mut changed = manifest.clone();
            change(at(&mut changed, &way));
            changes += 1;
            let text = toml::to_string(&changed).expect("TOML");
            if !is_noticed(Source { file: source.file.clone(), text }, others, own) {
                unnoticed.push(format!("{name}: {}", told(&way)));
            }
        }
    }
    assert!(changes > 300, "{changes} changes");
    assert!(
        unnoticed.is_empty(),
        "of {changes} changes, {} went unnoticed:\n{}",
        unnoticed.len(),
        unnoticed.join("\n")
    );
}
