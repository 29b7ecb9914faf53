//! The rules of ARCHITECTURE.md that a compiler does not check: who may import whom, where a library may be known,
//! who may make a `SiteId`, no vendor's name in the code, no file that has outgrown its subject.
//!
//! The rules are one pure function over a file's path and text, [`faults`], so that each is shown to catch what it
//! is for before the real files are read.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use regex::Regex;

/// Each module of `src/` and those it may import. A module may always import itself.
const MAY_IMPORT: [(&str, &[&str]); 15] = [
    ("domain", &[]),
    ("connector", &["domain"]),
    ("vault", &["domain"]),
    ("egress", &["domain"]),
    ("store", &["domain"]),
    ("bus", &["domain"]),
    ("sandbox", &["domain", "connector"]),
    ("service", &["domain", "connector", "vault", "egress", "store", "bus"]),
    ("worker", &["domain", "connector", "store", "bus", "service"]),
    ("graphql", &["domain", "connector", "service"]),
    ("web", &["domain", "connector", "service", "graphql", "sandbox"]),
    // The settings of each part are types of that part.
    ("config", &["domain", "connector", "vault", "egress", "store", "service", "graphql", "web"]),
    ("app", ALL),
    ("commands", ALL),
    ("main", ALL),
];

const ALL: &[&str] = &[
    "domain",
    "connector",
    "vault",
    "egress",
    "store",
    "bus",
    "sandbox",
    "config",
    "service",
    "worker",
    "graphql",
    "web",
    "app",
    "commands",
];

/// Libraries that only these modules may know: what they stand for stays in one place.
const KNOWN_ONLY_TO: [(&str, &[&str]); 9] = [
    ("diesel", &["store"]),
    ("diesel_async", &["store"]),
    ("diesel_migrations", &["store"]),
    ("tokio_postgres", &["store"]),
    ("reqwest", &["egress"]),
    ("async_graphql", &["graphql", "web"]),
    ("async_graphql_axum", &["web"]),
    ("axum", &["web", "sandbox", "app"]),
    (
        "tokio",
        &[
            "vault", "egress", "store", "bus", "sandbox", "config", "service", "worker", "graphql", "web", "app",
            "commands", "main",
        ],
    ),
];

/// Connectors and providers whose name is also a plain English word or a family of connectors, or names no vendor.
const PLAIN_WORDS: [&str; 6] = ["google", "kit", "sandbox", "segment", "square", "webhook_generic"];

const LONGEST_FILE: usize = 400;

/// What is wrong with the file at `path` (from the repository's root), one line for each fault.
fn faults(path: &str, text: &str, vendors: &[String]) -> Vec<String> {
    let mut faults = Vec::new();
    let lines = text.lines().count();
    if lines > LONGEST_FILE {
        faults.push(format!("{path}: {lines} lines, more than {LONGEST_FILE}: it has found a second subject"));
    }
    let Some(inside) = path.strip_prefix("src/").and_then(|path| path.strip_suffix(".rs")) else { return faults };
    for (number, line) in text.lines().enumerate() {
        for vendor in vendors.iter().filter(|vendor| names(line, vendor)) {
            faults.push(format!("{path}:{}: names the vendor {vendor}", number + 1));
        }
    }
    let module = module_path(inside);
    let Some(&top) = module.first() else { return faults };
    let code = without_comments(text);
    let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == top) else {
        faults.push(format!("{path}: the module {top} has no place in MAY_IMPORT of tests/house.rs"));
        return faults;
    };
    for imported in imports(&code, module.len()) {
        if imported != top && ALL.contains(&imported.as_str()) && !allowed.contains(&imported.as_str()) {
            faults.push(format!("{path}: {top} must not import {imported}"));
        }
    }
    for (library, only) in KNOWN_ONLY_TO {
        if !only.contains(&top) && mentions(&code, library) {
            faults.push(format!("{path}: {top} must not know {library}"));
        }
    }
    let shipped =
        if path.ends_with("tests.rs") { "" } else { code.split("#[cfg(test)]\nmod ").next().unwrap_or_default() };
    for (maker, only) in [("from_verified_token", "web"), ("from_claimed_row", "store")] {
        if top != only && path != "src/domain/id.rs" && shipped.contains(maker) {
            faults.push(format!("{path}: only {only} may call SiteId::{maker}"));
        }
    }
    faults
}

/// The names of the modules that lead to a file: `store/connection/read` is `store`, `connection`, `read`. Of the
/// crate's own root, `lib`, none.
fn module_path(inside: &str) -> Vec<&str> {
    let mut names: Vec<&str> = inside.split('/').collect();
    if names.last() == Some(&"mod") || names == ["lib"] {
        names.pop();
    }
    names
}

/// The first names of the paths that begin at the crate's root, as `crate::`, as the library's name, or as so many
/// `super::` that they leave a module `depth` levels below the root.
fn imports(code: &str, depth: usize) -> Vec<String> {
    static START: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\b(?:crate::|integrations_gateway::|((?:super::)+))").expect("a regex"));
    let mut found = Vec::new();
    for hit in START.captures_iter(code) {
        if hit.get(1).is_some_and(|climb| climb.as_str().matches("super").count() < depth) {
            continue;
        }
        let rest = &code[hit.get(0).map_or(0, |whole| whole.end())..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(first_names(group)),
            None => found.extend(first_name(rest)),
        }
    }
    found
}

/// The first name of each path in a group of imports, whose brace is open already.
fn first_names(group: &str) -> Vec<String> {
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                found.extend(first_name(&group[start..at]));
                start = at + 1;
                if character == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    found
}

fn first_name(path: &str) -> Option<String> {
    let path = path.trim_start();
    let end = path.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(path.len());
    (end > 0).then(|| path[..end].to_owned())
}

/// Whether a path begins with `library`, or it is imported by its bare name.
fn mentions(code: &str, library: &str) -> bool {
    code.match_indices(library).any(|(start, _)| {
        let inside = |c: char| c.is_alphanumeric() || "_:.".contains(c);
        let after = &code[start + library.len()..];
        !code[..start].ends_with(inside) && ["::", ";", " as "].iter().any(|next| after.starts_with(next))
    })
}

/// Cuts a line at `//` though it may stand in a string: no import comes after one.
fn without_comments(text: &str) -> String {
    let code = |line: &str| line.split("//").next().unwrap_or_default().to_owned() + "\n";
    text.lines().map(code).collect()
}

/// Whether `line` has `vendor` as a word: of a sentence, of a `snake_case` or of a `CamelCase` name.
fn names(line: &str, vendor: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    lower.match_indices(vendor).any(|(start, _)| {
        let (word, end) = (&line[start..], start + vendor.len());
        let before = line[..start].chars().next_back();
        let begins = word.starts_with(|c: char| c.is_ascii_uppercase()) && before.is_some_and(char::is_lowercase);
        let ends = line[end..].starts_with(|c: char| !c.is_alphanumeric() || c.is_ascii_uppercase());
        (begins || !before.is_some_and(char::is_alphanumeric)) && (ends || end == line.len())
    })
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files below `folder` whose names end so.
fn files(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "node_modules") {
            found.extend(files(&path, endings));
        } else if endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)) {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn the_house_is_in_order() {
    let manifests = files(&repository().join("connectors"), &[".toml"]);
    let vendors: Vec<String> = manifests
        .iter()
        .filter_map(|path| path.file_stem()?.to_str().map(str::to_owned))
        .filter(|slug| !PLAIN_WORDS.contains(&slug.as_str()))
        .collect();
    assert!(!vendors.is_empty(), "the connectors are there");

    let mut all = Vec::new();
    for (folder, endings) in
        [("src", [".rs"].as_slice()), ("tests", &[".rs", ".mjs"]), ("playground/src", &[".ts", ".tsx", ".css"])]
    {
        let found = files(&repository().join(folder), endings);
        assert!(!found.is_empty(), "{folder} has files");
        for file in found {
            let path = file.strip_prefix(repository()).unwrap().to_string_lossy().replace('\\', "/");
            all.extend(faults(&path, &fs::read_to_string(&file).unwrap(), &vendors));
        }
    }
    assert!(all.is_empty(), "\n{}\n", all.join("\n"));
}

mod tests {
    use super::*;

    fn check(path: &str, text: &str) -> Vec<String> {
        faults(path, text, &["acme".to_owned(), "north_star".to_owned()])
    }

    #[track_caller]
    fn assert_fault(path: &str, text: &str, expected: &str) {
        let found = check(path, text);
        assert!(found.iter().any(|fault| fault.contains(expected)), "{text:?} in {path}: {found:?}");
    }

    #[track_caller]
    fn assert_fine(path: &str, text: &str) {
        assert_eq!(check(path, text), Vec::<String>::new(), "{text:?} in {path}");
    }

    #[test]
    fn imports_go_one_way() {
        assert_fault("src/domain/state.rs", "use crate::store::Pool;", "domain must not import store");
        assert_fault("src/graphql/query.rs", "fn f() { crate::store::find(1) }", "graphql must not import store");
        assert_fault("src/store/mod.rs", "use crate::{domain::{id, page}, vault::Seal};", "must not import vault");
        assert_fault("src/store/connection/read.rs", "use super::super::super::egress;", "must not import egress");
        assert_fault("src/web/mod.rs", "use crate::{\n    service,\n    store,\n};", "must not import store");
        assert_fault("src/service/mod.rs", "pub(crate) use crate::config::Config;", "must not import config");
        assert_fault("src/attic/mod.rs", "", "no place");

        assert_fine("src/service/dispatch.rs", "use crate::{domain::{event, id}, store};");
        assert_fine("src/store/connection/read.rs", "use super::super::egress;");
        assert_fine("src/domain/id.rs", "//! See `crate::store`.\n// crate::store");
        assert_fine("src/app/mod.rs", "use crate::{graphql, store, web};");
        assert_fine("src/commands/serve.rs", "use integrations_gateway::app;");
        assert_fine("src/lib.rs", "pub mod store;");
    }

    #[test]
    fn libraries_stay_where_they_belong() {
        assert_fault("src/domain/clock.rs", "use tokio::time;", "domain must not know tokio");
        assert_fault("src/connector/send.rs", "async fn f(c: &reqwest::Client) {}", "must not know reqwest");
        assert_fault("src/service/read.rs", "use diesel::prelude::*;", "service must not know diesel");
        assert_fault("src/service/read.rs", "use async_graphql::ID;", "service must not know async_graphql");
        assert_fault("src/worker/mod.rs", "use reqwest as http;", "worker must not know reqwest");

        assert_fine("src/store/read.rs", "use diesel::prelude::*;");
        assert_fine("src/service/read.rs", "use crate::store::diesel_rows; // not diesel::anything");
    }

    #[test]
    fn only_authentication_and_stored_rows_make_a_site() {
        let call = "let site = SiteId::from_verified_token(7);";
        assert_fault("src/service/read.rs", call, "only web");
        assert_fault("src/web/read.rs", "SiteId::from_claimed_row(row.site)", "only store");
        assert_fine("src/web/token.rs", call);
        assert_fine("src/bus/mod.rs", &format!("fn f() {{}}\n#[cfg(test)]\nmod tests {{ {call} }}"));
    }

    #[test]
    fn no_vendor_has_a_name_in_the_code() {
        for text in
            ["if slug == \"acme\" {}", "// As Acme wants it", "acme_key", "for_acme()", "MyAcmeKey", "NORTH_STAR"]
        {
            assert_fault("src/connector/build.rs", text, "names the vendor");
        }
        assert_fine("src/connector/build.rs", "the acmeist's pharmacmeal; north stars");
        assert_fine("tests/deliver.rs", "connect(\"acme\")");
    }

    #[test]
    fn a_file_has_one_subject() {
        assert_fault("tests/deliver.rs", &"\n".repeat(401), "401 lines");
        assert_fine("src/store/read.rs", &"\n".repeat(400));
    }
}
