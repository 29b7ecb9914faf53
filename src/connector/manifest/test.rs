//! The steps of a connector's test.

use super::{
    super::{
        fault::Faults,
        model::{Flow, Scope, Step},
        reader::Table,
    },
    bound,
    call::{self, BaseUrl},
    flow, identifier,
    names::{Names, Stage},
    rule, scope, words,
};
use crate::domain::{connector::AuthFlow, test_report::TestProof};

/// More than any vendor needs; whoever runs a test gives up after as many calls.
const STEPS_MAX: usize = 8;

type Bound = Vec<(AuthFlow, String)>;

pub(super) fn read_all(
    root: &mut Table<'_, '_>,
    faults: &mut Faults<'_>,
    flows: &[Flow],
    base: Option<&BaseUrl>,
    scopes: &[Scope],
) -> (Vec<Step>, Bound) {
    let mut tables = root.tables(faults, "test");
    let all: Vec<&Flow> = flows.iter().collect();
    let heads: Vec<(Option<String>, Vec<AuthFlow>)> =
        tables.iter_mut().map(|table| head(table, faults, &all)).collect();
    let mut steps = Vec::new();
    let mut bounds = Vec::new();
    for (index, mut table) in tables.into_iter().enumerate() {
        let (name, used_by) = &heads[index];
        if heads[..index].iter().any(|(earlier, _)| earlier.is_some() && earlier == name) {
            faults.add(&table.span, "there is a step of this name already");
        }
        if index == STEPS_MAX {
            faults.add(&table.span, format!("a test has at most {STEPS_MAX} steps"));
        }
        let later = heads[index + 1..].iter().filter(|(_, flows)| used_by.iter().all(|flow| flows.contains(flow)));
        let later: Vec<String> = later.filter_map(|(name, _)| name.clone()).collect();
        let users: Vec<&Flow> = flows.iter().filter(|flow| used_by.contains(&flow.flow)).collect();
        let earlier: Vec<String> = heads[..index].iter().filter_map(|(name, _)| name.clone()).collect();
        let wanted = scope::named(&mut table, faults, "scopes", scopes);
        let step = read(&mut table, faults, &users, (&earlier, &later), base);
        table.finish(faults);
        if let (Some(mut step), Some(name)) = (step, name) {
            bounds.extend(bound(&step.call, &users));
            step.name.clone_from(name);
            step.flows.clone_from(used_by);
            step.scopes = wanted;
            steps.push(step);
        }
    }
    for flow in flows.iter().filter(|flow| !heads.iter().any(|(_, used_by)| used_by.contains(&flow.flow))) {
        root.missing("test", format!("a step of `[[test]]` for the flow {} is missing", flow.flow));
    }
    (steps, bounds)
}

fn head(table: &mut Table<'_, '_>, faults: &mut Faults<'_>, flows: &[&Flow]) -> (Option<String>, Vec<AuthFlow>) {
    let name = identifier(table, faults, "name");
    let used_by = flow::named(table, faults, flows);
    (name, used_by.unwrap_or_else(|| flows.iter().map(|flow| flow.flow).collect()))
}

fn read(
    table: &mut Table<'_, '_>,
    faults: &mut Faults<'_>,
    flows: &[&Flow],
    (earlier, later): (&[String], &[String]),
    base: Option<&BaseUrl>,
) -> Option<Step> {
    let names = Names { message: true, stage: Stage::Test(earlier), ..Names::of_connection(flows) };
    let of_connection = Names::of_connection(flows);
    let call = call::read(table, faults, &names, base);
    let rules = rule::read_all(table, faults, "rules", rule::Place { names: &of_connection, later_steps: Some(later) });
    let account = rule::account(table, faults, &of_connection);
    let proof = table.word(faults, "proof", &words(TestProof::ALL, TestProof::as_str));
    Some(Step { name: String::new(), flows: Vec::new(), scopes: Vec::new(), call: call?, rules, account, proof })
}
