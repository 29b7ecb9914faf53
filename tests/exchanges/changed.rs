//! Whether the exchanges hold the manifests: each value of each manifest is changed once, and some exchange must
//! then differ, or the manifest be refused.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use integrations_gateway::connector::{Library, LoadOptions, Source};
use toml::Value;

use super::{document::Exchange, files, transport::Recorded, walk::Walk};

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

/// The exchanges of a connector, each with its place.
type Exchanges = Vec<(String, Exchange)>;

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
fn is_noticed(changed: Source, others: &[Source], exchanges: &[(String, &Exchanges)]) -> bool {
    let file = changed.file.clone();
    let all = others.iter().filter(|source| source.file != file).cloned().chain([changed]);
    let Ok(library) = Library::load(all, LoadOptions::default()) else { return true };
    exchanges.iter().any(|(slug, exchanges)| {
        library.get(slug).is_none_or(|connector| {
            exchanges
                .iter()
                .any(|(place, exchange)| Walk { connector, place, exchange, transport: &Recorded }.walk().is_err())
        })
    })
}

/// The changes of one manifest or provider: how many, and which went unnoticed.
fn changes(source: &Source, others: &[Source], exchanges: &[(String, &Exchanges)]) -> (usize, Vec<String>) {
    let name = files::name(source);
    let manifest: Value = source.text.parse::<toml::Table>().expect("TOML").into();
    if is_noticed(source.clone(), others, exchanges) {
        return (0, vec![format!("{name} differs from its exchanges as it is")]);
    }
    let mut found = Vec::new();
    ways(&manifest, &Way::new(), &mut found);
    let unnoticed = found.iter().filter(|way| {
        let mut changed = manifest.clone();
        change(at(&mut changed, way));
        let text = toml::to_string(&changed).expect("TOML");
        !is_noticed(Source { file: source.file.clone(), text }, others, exchanges)
    });
    (found.len(), unnoticed.map(|way| format!("{name}: {}", told(way))).collect())
}

/// The changes of one manifest, or of one provider with all connectors that share it.
fn changes_of(source: &Source, all: &[(Source, Exchanges)]) -> (usize, Vec<String>) {
    let (name, is_provider) = (files::name(source), source.is_provider());
    let is_shared = |known: &Source| files::provider(known).is_some_and(|provider| provider == name);
    let mut others = Vec::new();
    let mut walked = Vec::new();
    for (known, exchanges) in all {
        if known.is_provider() || is_provider && is_shared(known) {
            others.push(known.clone());
        }
        if if is_provider { is_shared(known) } else { known.file == source.file } {
            walked.push((files::name(known), exchanges));
        }
    }
    changes(source, &others, &walked)
}

#[test]
fn no_value_of_a_manifest_can_change_unnoticed() {
    let read = |source: Source| {
        let exchanges = if source.is_provider() { Vec::new() } else { files::exchanges(&files::name(&source)) };
        (source, exchanges)
    };
    let all: Vec<(Source, Exchanges)> = files::manifests().into_iter().map(read).collect();
    let wanted: Vec<&Source> =
        all.iter().map(|(source, _)| source).filter(|source| files::is_wanted(&files::name(source))).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut found = Vec::new();
        while let Some(source) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
            found.push(changes_of(source, &all));
        }
        found
    };
    let found: Vec<(usize, Vec<String>)> = thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        running.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    let count: usize = found.iter().map(|(count, _)| count).sum();
    let mut unnoticed: Vec<String> = found.into_iter().flat_map(|(_, unnoticed)| unnoticed).collect();
    unnoticed.sort();
    assert!(unnoticed.is_empty(), "of {count} changes, {} went unnoticed:\n{}", unnoticed.len(), unnoticed.join("\n"));
    assert!(count > 10 * wanted.len(), "{count} changes");
}
