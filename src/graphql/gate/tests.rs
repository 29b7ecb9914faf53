//! The gate before a small schema, and what it says.

mod plans;

use async_graphql::Value as Answer;
use serde_json::json;

use super::*;

const SCHEMA: &str = "
    directive @oneOf on INPUT_OBJECT
    scalar Secret
    scalar Long
    scalar JSON
    enum Color { RED GREEN }
    input Pair { name: String value: Secret }
    input Outer { pairs: [Pair!] note: String color: Color = RED deep: Outer ids: [ID!] n: Int! = 1 }
    input Either @oneOf { a: String b: Int }
    interface Thing { id: ID! a(s: Secret): Thing things: [Thing!]! }
    type One implements Thing { id: ID! a(s: Secret): Thing things: [Thing!]! one: String }
    type Two implements Thing { id: ID! a(s: Secret): Thing things: [Thing!]! two: String }
    union Any = One | Two
    type ThingConnection { nodes: [Thing!]! total: Int! }
    type Query {
        a(s: Secret): Thing
        o(input: Outer, either: Either, n: Int, list: [Int!], long: Long, json: JSON!= 1): Thing
        any: Any
        things(first: Int, last: Int): ThingConnection!
        nodes(ids: [ID!]!): [Thing]!
    }
    type Mutation { m(input: Outer!): Thing }
    type Subscription { s: Thing t: Thing }
";

fn gate() -> Gate {
    Gate::new(SCHEMA, DocumentLimits { bytes: 4_000, tokens: 200, depth: 6, cost: 1_000 }, Introspection::On)
}

fn code(refused: &Refused) -> String {
    let extensions = refused[0].extensions.as_ref().expect("extensions");
    match extensions.get("code") {
        Some(Answer::String(code)) => code.clone(),
        other => panic!("{other:?}"),
    }
}

/// The code of the first error, or the cost.
fn through(gate: &Gate, document: &str, variables: &Value) -> Result<Admitted, Refused> {
    let selected = Selected::new(gate.check(document)?, None)?;
    gate.admit(&selected, variables.as_object().cloned().unwrap_or_default())
}

fn verdict(document: &str) -> Result<(), String> {
    through(&gate(), document, &json!({})).map(|_| ()).map_err(|refused| code(&refused))
}

#[test]
fn what_is_no_document_is_told_with_its_place() {
    let refused = gate().check("{\n  a(").err().expect("refused");
    assert_eq!(code(&refused), "GRAPHQL_PARSE_FAILED");
    assert_eq!(refused[0].locations[0].line, 2, "{refused:?}");
    for document in [
        "{ a(s) { id } }",
        "{ o(input: {n}) { id } }",
        "",
        "{",
        "{ a }}",
        "{ a(s: \"x) }",
        "query { }",
        "\u{0}",
        "{ a @ }",
        "fragment on on Query { a { id } }",
    ] {
        assert_eq!(verdict(document), Err("GRAPHQL_PARSE_FAILED".into()), "{document:?}");
    }
}

#[test]
fn rules_that_the_library_misses_are_kept() {
    for document in [
        "{ o(input: {n: 1, n: 2}) { id } }",
        "{ o(input: {deep: {note: \"a\", note: \"b\"}}) { id } }",
        "{ o(either: {}) { id } }",
        "{ o(either: {a: \"x\", b: 1}) { id } }",
        "{ o(either: {a: null}) { id } }",
        "query($a: String) { o(either: {a: $a}) { id } }",
        "query($n: Int) { o(list: [$n]) { id } }",
        "query($n: [Int!]) { o(n: $n) { id } }",
        "query($i: [ID]) { o(input: {ids: $i}) { id } }",
        "query($p: Pair) { o(input: {pairs: [$p]}) { id } }",
        "query($e: Either = {a: \"x\", b: 1}) { o(either: $e) { id } }",
        "query($o: Outer = {note: \"a\", note: \"b\"}) { o(input: $o) { id } }",
        "{ o(long: 1.5) { id } }",
        "{ o(json: {b: [-1e400]}) { id } }",
        "query($x: Long = \"1\") { o(long: $x) { id } }",
        "{ o(json: [$x]) { id } }",
        "{ o(json: {a: {b: 1, b: 1}}) { id } }",
    ] {
        assert_eq!(verdict(document), Err("GRAPHQL_VALIDATION_FAILED".into()), "{document}");
    }
    for document in [
        "query($a: String = \"x\") { o(input: {note: $a}) { id } }",
        "query($n: Int = 1) { o(list: [$n]) { id } }",
        "query($n: Int) { o(input: {n: $n}) { id } }",
        "query($n: [Int!]) { o(list: $n) { id } }",
        "{ o(either: {b: 1}) { id } }",
        "query($s: String) { o(json: [$s, null, {a: [$s]}]) { id } }",
        "{ ..., f } fragment f on Query { a { id } }",
        "subscription { s { id } s { things { id } } }",
    ] {
        // A variable without a value may still be missing; the document is right.
        assert!(gate().check(document).is_ok(), "{document}");
    }
}

#[test]
fn what_is_over_a_bound_says_which_with_value_and_bound() {
    let gate = gate();
    let deep = format!("{}id{}", "{ a ".repeat(6), " }".repeat(6)).replace("a id", "a { id }");
    let cases = [
        (format!("{{ a {{ id }} }} # {}", "x".repeat(4_000)), "bytes", "4015", "4000"),
        (format!("{{ a {{ {} }} }}", "id ".repeat(200)), "tokens", "205", "200"),
        (deep, "fields deep", "7", "6"),
        ("{ things(first: 100) { nodes { id things { id a { id } } } } }".to_owned(), "cost", "3301", "1000"),
        (format!("{}{}", "{ a ".repeat(99).replace('a', "..."), "}".repeat(99)), "tokens", "297", "200"),
    ];
    for (document, unit, found, bound) in cases {
        let refused = through(&gate, &document, &json!({})).err().unwrap_or_else(|| panic!("{document}"));
        let message = &refused[0].message;
        assert_eq!(code(&refused), "LIMIT_EXCEEDED", "{message}");
        assert!(message.contains(unit) && message.contains(found) && message.contains(bound), "{message}");
        assert!(message.contains("(GATEWAY_MAX_"), "{message}");
    }
}

#[test]
fn nesting_is_bounded_by_itself() {
    let gate = Gate::new(SCHEMA, DocumentLimits { tokens: 100_000, ..DocumentLimits::default() }, Introspection::On);
    for document in [
        format!("{{ a {}id{} }}", "{ a ".repeat(5_000), "}".repeat(5_000)),
        format!("{{ o(list: {}1{}) {{ id }} }}", "[".repeat(5_000), "]".repeat(5_000)),
        format!("query($a: {}Int{}) {{ a {{ id }} }}", "[".repeat(5_000), "]".repeat(5_000)),
        format!("{{ o(input: {}1{}) {{ id }} }}", "{deep:".repeat(5_000), "}".repeat(5_000)),
    ] {
        let refused = gate.check(&document).err().expect("refused");
        assert_eq!(code(&refused), "LIMIT_EXCEEDED", "{}", refused[0].message);
    }
}

#[test]
fn a_cost_counts_rows_and_knows_variables() {
    let gate = gate();
    let cost = |document: &str, variables: Value| {
        let selected = Selected::new(gate.check(document).expect("valid"), None).expect("one operation");
        let (typed, operation) = selected.typed();
        let given = coerce::coerce(gate.schema(), operation, variables.as_object().cloned().expect("an object"));
        cost::with_variables(typed, operation, &given.expect("fitting"))
    };
    for (document, variables, expected) in [
        ("{ a { id } }", json!({}), 2),
        ("{ a { id } b: a { id } }", json!({}), 4),
        ("{ a { id id id } }", json!({}), 4),
        ("{ things { total } }", json!({}), 21),
        ("{ things(first: 3) { nodes { id } } }", json!({}), 1 + 3 * 2),
        ("{ things(last: 3) { nodes { id } } }", json!({}), 1 + 3 * 2),
        ("query($n: Int) { things(first: $n) { nodes { id } } }", json!({"n": 50}), 1 + 50 * 2),
        ("query($n: Int = 7) { things(first: $n) { nodes { id } } }", json!({}), 1 + 7 * 2),
        ("query($n: Int) { things(first: $n) { nodes { id } } }", json!({"n": -5}), 1 + 2),
        ("query($n: Int) { things(first: $n) { nodes { id } } }", json!({"n": 2_000_000_000}), 1 + 100 * 2),
        ("{ nodes(ids: [1, 2, 3]) { id } }", json!({}), 1 + 3),
        ("query($i: [ID!]!) { nodes(ids: $i) { id } }", json!({"i": ["a", "b"]}), 1 + 2),
        ("{ a { things { id } } }", json!({}), 1 + 1 + 10),
        ("{ ...f ...f } fragment f on Query { a { id } }", json!({}), 4),
        ("{ __typename }", json!({}), 1),
        ("{ __schema { types { name } } }", json!({}), 1),
    ] {
        assert_eq!(cost(document, variables), expected, "{document}");
    }
    let over = through(
        &gate,
        "query($n: Int) { things(first: $n) { nodes { id a { id } things { id } } } }",
        &json!({"n": 100}),
    );
    assert_eq!(over.err().map(|refused| code(&refused)).as_deref(), Some("LIMIT_EXCEEDED"));
}

#[test]
fn fragments_that_double_each_other_saturate() {
    let gate = Gate::new(SCHEMA, DocumentLimits::default(), Introspection::On);
    let fragments: Vec<String> =
        (0..60).map(|n| format!(" fragment f{n} on Query {{ ...f{m} ...f{m} ...f{m} }}", m = n + 1)).collect();
    let document = format!("{{ ...f0 }}{} fragment f60 on Query {{ a {{ id }} }}", fragments.concat());
    let refused = through(&gate, &document, &json!({})).err().expect("refused");
    assert_eq!(code(&refused), "LIMIT_EXCEEDED");
    assert!(refused[0].message.contains("beyond counting"), "{}", refused[0].message);
}

#[test]
fn a_chain_of_fragments_is_bounded_too() {
    let fragments: Vec<String> = (0..300).map(|n| format!(" fragment f{n} on Query {{ ...f{} }}", n + 1)).collect();
    let document = format!("{{ ...f0 }}{} fragment f300 on Query {{ a {{ id }} }}", fragments.concat());
    let refused =
        Gate::new(SCHEMA, DocumentLimits::default(), Introspection::On).check(&document).err().expect("refused");
    assert_eq!(code(&refused), "LIMIT_EXCEEDED", "{}", refused[0].message);
    assert!(refused[0].message.contains("301 fragments"), "{}", refused[0].message);
}

#[test]
fn a_documents_size_with_its_fragments_in_place_is_known_before_it_is_validated() {
    let of = |text: &str| {
        let expansion::Expansion { fields, chain } =
            expansion::Expansion::of(&Parser::new().parse_ast(text, "document").expect("a document"));
        (fields, chain)
    };
    assert_eq!(of("{ a { id } }"), (2, 0));
    assert_eq!(of("query A { a } query B { a b ... { c } }"), (3, 0));
    assert_eq!(of("{ ...f ...f x { ...g } } fragment f on Q { a ...g } fragment g on Q { b c }"), (9, 2));
    assert_eq!(of("{ ...f } fragment f on Q { a ...g } fragment g on Q { b ...f }"), (2, 2));
    assert_eq!(of("{ ...missing } fragment unused on Q { a }"), (0, 0));
}

#[test]
fn variables_are_coerced_and_faults_are_told_by_path() {
    let document = "query($o: Outer, $e: Either, $n: Int, $l: [Int!], $x: Long) { o(input: $o, either: $e, n: $n, list: $l, long: $x) { id } }";
    let gate = gate();
    let coerced = |variables: Value| {
        through(&gate, document, &variables).map(|admitted| Value::Object(admitted.variables)).map_err(|refused| {
            assert_eq!(code(&refused), "BAD_USER_INPUT");
            refused[0].message.clone()
        })
    };
    assert_eq!(coerced(json!({"l": 1, "n": 2.0, "unknown": 1})), Ok(json!({"n": 2, "l": [1]})));
    assert_eq!(coerced(json!({"o": {"ids": 7.0}})), Ok(json!({"o": {"ids": ["7"]}})));
    assert_eq!(coerced(json!({"o": {"ids": 7, "color": "GREEN"}})), Ok(json!({"o": {"color": "GREEN", "ids": ["7"]}})));
    assert_eq!(
        coerced(json!({"o": null, "x": 9_007_199_254_740_991_i64})),
        Ok(json!({"o": null, "x": 9_007_199_254_740_991_i64}))
    );
    for (variables, place) in [
        (json!({"n": "1"}), "$n: is no Int"),
        (json!({"n": 2_147_483_648_i64}), "$n: is no Int"),
        (json!({"n": 1.5}), "$n: is no Int"),
        (json!({"l": [1, null]}), "$l[1]: is null"),
        (json!({"o": {"deep": {"pairs": [{"name": 1}]}}}), "$o.deep.pairs[0].name: is no String"),
        (json!({"o": {"pairs": {"value": 5}}}), "$o.pairs.value: a secret is a string"),
        (json!({"o": {"hunter2": 1}}), "$o.hunter2: is no field of Outer"),
        (json!({"o": "hunter2"}), "$o: is no object"),
        (json!({"o": {"color": "hunter2"}}), "$o.color: is no Color; one of RED, GREEN is expected"),
        (json!({"o": {"n": null}}), "$o.n: is null"),
        (json!({"e": {}}), "$e: exactly one"),
        (json!({"e": {"a": null}}), "$e: exactly one"),
        (json!({"e": {"a": "x", "b": 1}}), "$e: exactly one"),
        (json!({"x": 1.5}), "$x: not a whole number"),
    ] {
        let message = coerced(variables.clone()).expect_err(&variables.to_string());
        assert!(message.starts_with(place), "{variables}: {message}");
        assert!(variables["o"].get("hunter2").is_some() || !message.contains("hunter2"), "{message}");
    }
    let null = through(&gate, "query($n: Int) { o(input: {n: $n}) { id } }", &json!({"n": null})).err();
    assert_eq!(null.map(|refused| code(&refused)).as_deref(), Some("BAD_USER_INPUT"));
    assert!(through(&gate, "query($n: Int) { o(input: {n: $n}) { id } }", &json!({})).is_ok());
    let missing = through(&gate, "mutation($o: Outer!) { m(input: $o) { id } }", &json!({}));
    assert_eq!(
        missing.err().map(|refused| refused[0].message.clone()).as_deref(),
        Some("$o: is a Outer!, and was not given")
    );
}

#[test]
fn a_known_document_is_not_read_again_and_a_secret_is_not_kept() {
    let gate = gate();
    let (first, again) = (gate.check("{ a { id } }").expect("valid"), gate.check("{ a { id } }").expect("valid"));
    assert!(Arc::ptr_eq(&first, &again));
    let (first, again) = (gate.check("{ b }").err().expect("invalid"), gate.check("{ b }").err().expect("invalid"));
    assert!(Arc::ptr_eq(&first, &again));
    let kept = gate.cache.len();
    assert_eq!(
        gate.check("{ a(s: \"hunter2\") { id } }").err().map(|refused| code(&refused)).as_deref(),
        Some("BAD_USER_INPUT")
    );
    assert_eq!(gate.cache.len(), kept);
}

#[test]
fn the_cache_is_bounded() {
    let gate = Gate::new(SCHEMA, DocumentLimits::default(), Introspection::On);
    for n in 0..5_000 {
        let _ = gate.check(&format!("{{ a {{ id }} }} # {n} {}", "x".repeat(2_000)));
    }
    assert!(gate.cache.weight() <= CACHE_MAX, "{}", gate.cache.weight());
    assert!(!gate.cache.is_empty());
}

#[test]
fn secrets_as_literals_are_found_wherever_they_stand() {
    for document in [
        "{ a(s: \"x\") { id } }",
        "{ a(s: 1) { id } }",
        "{ a(s: ENUM) { id } }",
        "{ a { a(s: \"x\") { id } } }",
        "mutation($v: Secret) { m(input: {pairs: [{name: \"n\", value: $v}, {name: \"n\", value: \"x\"}]}) { id } }",
        "mutation { m(input: {pairs: {value: \"x\"}}) { id } }",
        "{ ...f } fragment f on Query { a(s: \"x\") { id } }",
        "{ a { ... on One { a(s: \"x\") { id } } } }",
        "{ a { ... { a(s: \"x\") { id } } } }",
        "query($s: Secret = \"x\") { a(s: $s) { id } }",
        "query($o: Outer = {pairs: [{value: \"x\"}]}) { o(input: $o) { id } }",
        "{ a(s: [\"x\"]) { id } }",
        "{ a(s: {x: 1}) { id } }",
    ] {
        assert_eq!(verdict(document), Err("BAD_USER_INPUT".into()), "{document}");
    }
    for document in [
        "query($s: Secret) { a(s: $s) { id } }",
        "{ a(s: null) { id } }",
        "mutation($o: Outer!) { m(input: $o) { id } }",
        "mutation($v: Secret) { m(input: {note: \"x\", pairs: [{name: \"n\", value: $v}]}) { id } }",
    ] {
        assert!(gate().check(document).is_ok(), "{document}");
    }
}

#[test]
fn a_subscription_has_one_root_field_with_fragments_in_place() {
    for document in [
        "subscription { s { id } t { id } }",
        "subscription { ...f } fragment f on Subscription { s { id } t { id } }",
        "subscription { s { id } ... { t { id } } }",
        "subscription { __typename }",
    ] {
        assert_eq!(verdict(document), Err("GRAPHQL_VALIDATION_FAILED".into()), "{document}");
    }
    assert_eq!(
        plans::planned("subscription { ...f } fragment f on Subscription { s { id } }", &json!({})),
        "{s{...One{id} ...Two{id}}}"
    );
}

#[test]
fn an_operation_is_chosen_by_name() {
    let gate = gate();
    let select = |document: &str, name: Option<&str>| {
        let selected = Selected::new(gate.check(document).expect("valid"), name);
        selected.map(|selected| selected.is_mutation()).map_err(|refused| code(&refused))
    };
    let two = "query A { a { id } } mutation B { m(input: {}) { id } }";
    assert_eq!(select(two, Some("A")), Ok(false));
    assert_eq!(select(two, Some("B")), Ok(true));
    for (document, name) in [(two, None), (two, Some("C")), (two, Some("")), ("{ a { id } }", Some("A"))] {
        assert_eq!(select(document, name), Err("OPERATION_RESOLUTION_FAILURE".into()), "{document} {name:?}");
    }
}
