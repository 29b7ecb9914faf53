//! What the executor is given.

use super::*;

/// The plan as a document again.
pub(super) fn planned(document: &str, variables: &Value) -> String {
    let plan = through(&gate(), document, variables).expect("valid").plan;
    let executable = plan.executable.as_ref().expect("something to run");
    executable.operations.iter().map(|(_, operation)| planned_set(&operation.node.selection_set.node)).collect()
}

fn planned_set(set: &async_graphql::parser::types::SelectionSet) -> String {
    use async_graphql::parser::types::Selection;
    let items = set.items.iter().map(|item| match &item.node {
        Selection::Field(field) => {
            let below = &field.node.selection_set.node;
            let below = if below.items.is_empty() { String::new() } else { planned_set(below) };
            format!("{}{below}", field.node.response_key().node)
        }
        Selection::InlineFragment(fragment) => {
            let on = &fragment.node.type_condition.as_ref().expect("a condition").node.on.node;
            format!("...{on}{}", planned_set(&fragment.node.selection_set.node))
        }
        Selection::FragmentSpread(_) => panic!("a spread is left"),
    });
    format!("{{{}}}", items.collect::<Vec<_>>().join(" "))
}

#[test]
fn a_plan_has_each_response_key_once() {
    for (document, expected) in [
        ("{ any { __typename } }", "{any{...One{__typename} ...Two{__typename}}}"),
        ("{ things { total } things { total nodes { id } } }", "{things{total nodes{...One{id} ...Two{id}}}}"),
        (
            "{ a { id ... on One { one } ...t ... on Thing { id } } } fragment t on Two { two id }",
            "{a{...One{id one} ...Two{id two}}}",
        ),
        (
            "query($y: Boolean!, $n: Boolean!) { things @include(if: $y) { total @skip(if: $n) } a @skip(if: $y) { id } }",
            "{things{total}}",
        ),
        ("{ x: things { total @include(if: false) t: total } }", "{x{t}}"),
        ("{ ... { ... on Query { things { total } } } }", "{things{total}}"),
        ("mutation { m(input: {}) { id } m(input: {}) { ... on One { one } } }", "{m{...One{id one} ...Two{id}}}"),
        ("{ a { things { ... on Two { two } } } }", "{a{...One{things{...Two{two}}} ...Two{things{...Two{two}}}}}"),
    ] {
        assert_eq!(planned(document, &json!({"y": true, "n": false})), expected, "{document}");
    }
}

#[test]
fn a_plan_looks_at_each_fragment_once_and_large_plans_are_not_kept() {
    let gate = Gate::new(SCHEMA, DocumentLimits::default(), Introspection::On);
    let fragments: String = [(); 18].iter().enumerate().fold(String::new(), |all, (n, ())| {
        all + " fragment f"
            + &n.to_string()
            + " on Query { ...f"
            + &(n + 1).to_string()
            + " ...f"
            + &(n + 1).to_string()
            + " }"
    });
    let doubling = format!(
        "{{ ...f0 }}{fragments} fragment f18 on Query {{ ...{{ ...{{ __schema {{ queryType {{ name }} }} }} }} }}"
    );
    let plan = through(&gate, &doubling, &json!({})).expect("cheap enough").plan;
    assert!(plan.introspection && plan.executable.is_none());

    let wide = (0..8).map(|n| format!("a{n}: a {{ ...f }}")).collect::<Vec<_>>().concat();
    let aliases = (0..8).map(|n| format!("b{n}: a {{ id }}")).collect::<Vec<_>>().concat();
    let large = format!("{{ {wide} }} fragment f on Thing {{ {aliases} }}");
    let small = "{ a { id } }";
    for (document, is_kept) in [(large.as_str(), false), (small, true)] {
        let plans = [(); 2].map(|()| through(&gate, document, &json!({})).expect("valid").plan);
        assert_eq!(Arc::ptr_eq(&plans[0], &plans[1]), is_kept, "{document}");
    }
}

#[test]
fn introspection_is_taken_out_of_the_plan() {
    let plan = through(
        &gate(),
        "{ s: __schema { queryType { name } } a { id } t: __type(name: \"One\") { name } }",
        &json!({}),
    );
    let plan = plan.expect("valid").plan;
    assert_eq!((plan.introspection, plan.keys.as_slice()), (true, ["s", "a", "t"].map(str::to_owned).as_slice()));
    let alone = through(&gate(), "{ __schema { queryType { name } } }", &json!({})).expect("valid").plan;
    assert!(alone.introspection && alone.executable.is_none());
}
