//! Providers: what connectors of one authorization server share, in a file of its own.

use super::{
    super::{
        fault::{Fault, Faults},
        hosts::Hosts,
        library::{Allowed, Source},
        model::{Capture, Flow, OAuth, RetryHint, Rule, Scope, Sunset},
        reader::Table,
        shape::PROVIDER,
    },
    error_pointers, flow, hosts, identifier,
    names::Names,
    oauth, parse, retry_hints, rule, scope, version,
};
use crate::domain::{connector::AuthFlow, test_report::TestProof};

/// What a provider gives to each of its connectors.
#[derive(Clone, Debug)]
pub(in crate::connector) struct Provider {
    pub(in crate::connector) name: String,
    pub(super) hosts: Hosts,
    pub(super) oauth: OAuth,
    pub(super) captures: Vec<Capture>,
    pub(super) scopes: Vec<Scope>,
    pub(super) rules: Vec<Rule>,
    pub(super) retry_hints: Vec<RetryHint>,
    pub(super) error_code: Vec<String>,
    pub(super) error_message: Vec<String>,
    pub(super) sunsets: Vec<Sunset>,
}

/// Reads a provider.
///
/// # Errors
/// Everything that is wrong with it, in the order of the text.
pub(in crate::connector) fn read(source: &Source, allowed: Allowed<'_>) -> Result<Provider, Vec<Fault>> {
    parse(source, &PROVIDER, |root, faults| provider(root, faults, allowed))
}

fn provider(root: &mut Table<'_, '_>, faults: &mut Faults<'_>, allowed: Allowed<'_>) -> Option<Provider> {
    version(root, faults);
    let name = identifier(root, faults, "name");
    let hosts = hosts(root, faults);
    let scopes = scope::read_all(root, faults, &[]);
    let (error_code, error_message) = error_pointers(root, faults);
    let retry_hints = retry_hints(root, faults);
    // A provider knows no fields: what differs between operators is a connector's.
    let mut bare = Flow { proof: TestProof::Syntax, hosts: hosts.clone(), ..flow::empty(AuthFlow::Oauth, allowed) };
    let rules = rule::read_all(
        root,
        faults,
        "rules",
        rule::Place { names: &Names::of_connection(&[&bare]), later_steps: None },
    );
    let Some(mut table) = root.table(faults, "oauth") else {
        if !root.has("oauth") {
            root.missing("oauth", "`[oauth]` is missing: what do the connectors share?".to_owned());
        }
        return None;
    };
    let (captures, steps) = oauth::captures(&mut table, faults);
    for step in steps {
        faults.add(&step.span, "`step` is a connector's, whose test it is");
    }
    bare.captures = captures;
    let oauth = oauth::read(&mut table, faults, &bare, name.as_deref().unwrap_or_default());
    table.finish(faults);
    Some(Provider {
        name: name?,
        hosts,
        oauth: oauth?,
        captures: bare.captures,
        scopes,
        rules,
        retry_hints,
        error_code,
        error_message,
        sunsets: faults.take_sunsets(),
    })
}
