//! The schema as a contract: what is committed is what is exported, every path to a record is guarded, and every
//! guard holds.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use async_graphql::parser::{
    parse_schema,
    types::{BaseType, FieldDefinition, Type, TypeKind, TypeSystemDefinition},
};
use integrations_gateway::graphql::sdl;
use serde_json::{Value, json};

use crate::support::{app::TestApp, calls, vendor::Vendor};

#[test]
fn the_committed_schema_is_the_exported_one() {
    let committed = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/schema.graphql")).unwrap_or_default();
    assert!(committed == sdl(), "schema.graphql is not what the code exports: run `make schema`");
}

/// What the walk needs of the schema.
pub struct Schema {
    /// Objects and interfaces: field to type, required capability and arguments.
    pub fields: BTreeMap<String, BTreeMap<String, Field>>,
    /// Interfaces and unions to the objects behind them.
    pub behind: BTreeMap<String, Vec<String>>,
    pub enums: BTreeMap<String, String>,
    /// But for fields with a default.
    pub inputs: BTreeMap<String, Vec<(String, Type)>>,
}

pub struct Field {
    pub ty: String,
    pub requires: Option<String>,
    /// Name, type, and whether there is a default.
    pub arguments: Vec<(String, Type, bool)>,
}

/// The type without lists around it.
pub fn base(ty: &Type) -> String {
    match &ty.base {
        BaseType::Named(name) => name.to_string(),
        BaseType::List(inner) => base(inner),
    }
}

fn field(definition: &FieldDefinition) -> Field {
    let requires = definition.directives.iter().find(|directive| directive.node.name.node == "requires");
    let requires =
        requires.and_then(|directive| directive.node.get_argument("capability")).map(|value| value.node.to_string());
    let arguments = definition.arguments.iter().map(|argument| &argument.node);
    Field {
        ty: base(&definition.ty.node),
        requires,
        arguments: arguments
            .map(|argument| {
                (argument.name.node.to_string(), argument.ty.node.clone(), argument.default_value.is_some())
            })
            .collect(),
    }
}

impl Schema {
    pub fn read() -> Self {
        let mut schema =
            Self { fields: BTreeMap::new(), behind: BTreeMap::new(), enums: BTreeMap::new(), inputs: BTreeMap::new() };
        for definition in parse_schema(sdl()).expect("a schema").definitions {
            let TypeSystemDefinition::Type(definition) = definition else { continue };
            let name = definition.node.name.node.to_string();
            match definition.node.kind {
                TypeKind::Object(object) => {
                    for interface in &object.implements {
                        schema.behind.entry(interface.node.to_string()).or_default().push(name.clone());
                    }
                    let fields = object.fields.iter().map(|f| (f.node.name.node.to_string(), field(&f.node)));
                    schema.fields.insert(name, fields.collect());
                }
                TypeKind::Interface(interface) => {
                    let fields = interface.fields.iter().map(|f| (f.node.name.node.to_string(), field(&f.node)));
                    schema.fields.insert(name, fields.collect());
                }
                TypeKind::Union(union) => {
                    let members = union.members.iter().map(|member| member.node.to_string()).collect();
                    schema.behind.insert(name, members);
                }
                TypeKind::Enum(values) => {
                    schema.enums.insert(name, values.values[0].node.value.node.to_string());
                }
                TypeKind::InputObject(input) => {
                    let fields = input.fields.iter().filter(|f| f.node.default_value.is_none());
                    let fields = fields.map(|f| (f.node.name.node.to_string(), f.node.ty.node.clone())).collect();
                    schema.inputs.insert(name, fields);
                }
                TypeKind::Scalar => {}
            }
        }
        schema
    }

    /// A value that an argument of this type takes.
    pub fn value(&self, name: &str, ty: &Type, ids: &BTreeMap<&str, String>) -> Value {
        match &ty.base {
            BaseType::List(_) => json!([]),
            BaseType::Named(base) => match base.as_str() {
                "ID" => json!(ids.get(name).or_else(|| ids.get("connectionId")).expect("an id")),
                "Int" | "Long" => json!(1),
                "Boolean" => json!(false),
                "JSON" => json!({}),
                "String" | "Secret" => json!("x"),
                other => match (self.enums.get(other), self.inputs.get(other)) {
                    (Some(first), _) => json!(first),
                    (None, Some(fields)) => {
                        let needed = fields.iter().filter(|(_, ty)| !ty.nullable);
                        needed.map(|(name, ty)| (name.clone(), self.value(name, ty, ids))).collect()
                    }
                    (None, None) => panic!("no value for {other}"),
                },
            },
        }
    }
}

/// The capability that reading a type needs.
fn read_capability(ty: &str) -> Option<&'static str> {
    match ty {
        "ConnectionRecord" => Some("LIST_CONNECTIONS"),
        "Delivery" | "DeliveryEntry" => Some("BROWSE_DELIVERY_LOG"),
        "ActivityEntry" => Some("BROWSE_ACTIVITY_LOG"),
        _ => None,
    }
}

/// `node` and `nodes` check by what the id names: tried by `node_is_guarded_by_what_the_id_names`.
const GUARDED_WITHIN: [&str; 2] = ["Query.node", "Query.nodes"];
/// A delivery that the caller's own dispatch has made is shown to it; what lies behind is guarded.
const OWN_DISPATCH: &str = "DispatchAccepted.delivery";

#[test]
fn every_path_to_a_record_passes_its_read_capability() {
    let schema = Schema::read();
    let mut seen: BTreeSet<(String, BTreeSet<String>)> = BTreeSet::new();
    let mut reached = BTreeSet::new();
    let roots = ["Query", "Mutation", "Subscription"];
    let mut open: Vec<(String, BTreeSet<String>, String)> =
        roots.map(|root| (root.to_owned(), BTreeSet::new(), root.to_owned())).to_vec();
    while let Some((ty, held, path)) = open.pop() {
        if !seen.insert((ty.clone(), held.clone())) {
            continue;
        }
        reached.insert(ty.clone());
        for member in schema.behind.get(&ty).into_iter().flatten() {
            open.push((member.clone(), held.clone(), format!("{path} as {member}")));
        }
        for (name, field) in schema.fields.get(&ty).into_iter().flatten() {
            let (place, path) = (format!("{ty}.{name}"), format!("{path}.{name}"));
            if GUARDED_WITHIN.contains(&place.as_str()) {
                continue;
            }
            let mut held = held.clone();
            held.extend(field.requires.clone());
            if let Some(needed) = read_capability(&field.ty)
                && place != OWN_DISPATCH
            {
                // A record that is read where its own capability was passed may lead to itself.
                assert!(held.contains(needed), "{path} reaches {} without {needed}", field.ty);
            }
            open.push((field.ty.clone(), held, path));
        }
    }
    for ty in ["ConnectionRecord", "Delivery", "DeliveryEntry", "ActivityEntry"] {
        assert!(reached.contains(ty), "{ty} is not reached: the walk proves nothing");
    }
    let unreached: Vec<&String> =
        schema.fields.keys().filter(|ty| !reached.contains(*ty) && *ty != "Node" && *ty != "StreamEvent").collect();
    assert!(unreached.is_empty(), "{unreached:?} cannot be reached");
}

/// Every role's capabilities but one: a site role made for each guarded field.
#[tokio::test(flavor = "multi_thread")]
async fn every_guard_holds() {
    let schema = Schema::read();
    let receiver = Vendor::plain().await;
    let app = TestApp::start().await;
    let admin = app.token("Administrator");
    let signed = calls::connect_webhook(&app, &admin, &receiver, "/").await;
    let accepted = calls::dispatch(&app, &app.module_token("forms"), &signed.connection, "a.b", "1", "REJECT").await;
    receiver.wait_for(2).await;
    let ids = BTreeMap::from([
        ("connectionId", signed.connection.clone()),
        ("id", signed.connection.clone()),
        ("delivery.id", accepted["delivery"]["id"].as_str().expect("an id").to_owned()),
    ]);
    let all = [
        "list_connections",
        "browse_library",
        "create_connection",
        "edit_scopes",
        "refresh_credentials",
        "test_connection",
        "pause_resume",
        "disconnect",
        "browse_delivery_log",
        "retry_delivery",
        "manage_payment_credentials",
        "browse_activity_log",
        "dispatch_events",
        "manage_roles",
        "manage_settings",
    ];
    for without in all {
        let rest: Vec<&str> = all.into_iter().filter(|capability| *capability != without).collect();
        app.save_role(&format!("without {without}"), &rest).await;
    }
    let mut tried = 0;
    for root in ["Query", "Mutation"] {
        for (name, field) in &schema.fields[root] {
            let Some(requires) = &field.requires else { continue };
            let needed = field.arguments.iter().filter(|(_, ty, default)| !ty.nullable && !default);
            let (mut variables, mut declared, mut given) = (json!({}), String::new(), String::new());
            for (argument, ty, _) in needed {
                let key = if name == "delivery" { "delivery.id" } else { argument };
                variables[argument] = match key {
                    "delivery.id" => json!(ids[key]),
                    _ => schema.value(argument, ty, &ids),
                };
                write!(declared, "${argument}: {ty} ").expect("text");
                write!(given, "{argument}: ${argument} ").expect("text");
            }
            let (declared, given) =
                if given.is_empty() { (declared, given) } else { (format!("({declared})"), format!("({given})")) };
            let operation = root.to_lowercase();
            let query = format!("{operation} T{declared} {{ guarded: {name}{given} {{ __typename }} }}");
            let token = app.token(&format!("without {}", requires.to_lowercase()));
            let answer = app.graphql(&token, &query, variables).await;
            assert_eq!(answer["data"]["guarded"], json!(null), "{query}: {answer}");
            assert_eq!(
                answer["errors"][0]["extensions"],
                json!({"code": "FORBIDDEN", "capability": requires}),
                "{query}: {answer}"
            );
            assert_eq!(answer["errors"][0]["path"], json!(["guarded"]), "{query}");
            tried += 1;
        }
    }
    assert!(tried >= 15, "{tried} guards of roots were tried");

    // Guards below the roots, each beside a living sibling.
    let nested: Vec<(String, String, String)> = schema
        .fields
        .iter()
        .filter(|(ty, _)| !["Query", "Mutation", "Subscription"].contains(&ty.as_str()))
        .flat_map(|(ty, fields)| {
            fields.iter().filter_map(move |(name, f)| Some((ty.clone(), name.clone(), f.requires.clone()?)))
        })
        .collect();
    for (ty, name, requires) in &nested {
        let selection = if name == "pendingDeliveries" { String::new() } else { "{ __typename }".to_owned() };
        let given = if name == "deliveryStatistics" { "(since: \"2029-01-01T00:00:00Z\")" } else { "" };
        let place = match ty.as_str() {
            "ConnectionRecord" => format!("connections {{ nodes {{ id {name}{given} {selection} }} }}"),
            "DeliveryEntry" => format!("deliveryLog {{ nodes {{ id {name} {selection} }} }}"),
            "Delivery" => format!("deliveryLog {{ nodes {{ id delivery {{ id {name} {selection} }} }} }}"),
            "ActivityEntry" => format!("activityLog {{ nodes {{ id {name} {selection} }} }}"),
            // Payloads and stream events share their guard with what they carry: tried in their own stories.
            _ => continue,
        };
        let token = app.token(&format!("without {}", requires.to_lowercase()));
        let answer = app.graphql(&token, &format!("{{ {place} }}"), json!({})).await;
        let errors = answer["errors"].as_array().unwrap_or_else(|| panic!("{ty}.{name}: {answer}"));
        assert!(
            errors.iter().all(|error| error["extensions"] == json!({"code": "FORBIDDEN", "capability": requires})),
            "{ty}.{name}: {answer}"
        );
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn node_is_guarded_by_what_the_id_names() {
    let receiver = Vendor::plain().await;
    let app = TestApp::start().await;
    let admin = app.token("Administrator");
    let signed = calls::connect_webhook(&app, &admin, &receiver, "/").await;
    calls::dispatch(&app, &app.module_token("forms"), &signed.connection, "a.b", "1", "REJECT").await;
    receiver.wait_for(2).await;
    // The entry is in the log once the subscription's position has passed it; a restart settles what is under way.
    let app = app.restart().await;
    let found = app
        .graphql(&admin, "{ connections { nodes { id } } deliveryLog { nodes { id delivery { id } } } activityLog { nodes { id } } connector(slug: \"webhook_generic\") { id } }", json!({}))
        .await["data"]
        .clone();
    let id = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{found}")).to_owned();
    app.save_role("nobody", &[]).await;
    for (id, ty, capability) in [
        (id(&found["connections"]["nodes"][0]["id"]), "ConnectionRecord", "LIST_CONNECTIONS"),
        (id(&found["deliveryLog"]["nodes"][0]["id"]), "DeliveryEntry", "BROWSE_DELIVERY_LOG"),
        (id(&found["deliveryLog"]["nodes"][0]["delivery"]["id"]), "Delivery", "BROWSE_DELIVERY_LOG"),
        (id(&found["activityLog"]["nodes"][0]["id"]), "ActivityEntry", "BROWSE_ACTIVITY_LOG"),
        (id(&found["connector"]["id"]), "Connector", "BROWSE_LIBRARY"),
    ] {
        let query =
            "query($id: ID!) { node(id: $id) { __typename id } nodes(ids: [$id, \"nothing\"]) { __typename id } }";
        let seen = app.graphql(&admin, query, json!({ "id": id })).await;
        let node = json!({"__typename": ty, "id": id});
        assert_eq!(seen, json!({"data": {"node": node, "nodes": [node, null]}}));
        let refused = app.graphql(&app.token("nobody"), query, json!({ "id": id })).await;
        assert_eq!(refused["data"], json!({"node": null, "nodes": [null, null]}), "{refused}");
        let errors = refused["errors"].as_array().expect("errors");
        assert_eq!(errors.len(), 2, "{refused}");
        for error in errors {
            assert_eq!(error["extensions"], json!({"code": "FORBIDDEN", "capability": capability}));
        }
    }
    app.stop().await;
}

/// Taking a capability away ends what it allowed, also for those who follow already.
#[tokio::test(flavor = "multi_thread")]
async fn a_running_subscription_ends_with_its_capability() {
    let receiver = Vendor::plain().await;
    let app = TestApp::start().await;
    let admin = app.token("Administrator");
    let signed = calls::connect_webhook(&app, &admin, &receiver, "/").await;
    app.save_role("Watcher", &["list_connections"]).await;
    let mut watching = app.subscribe(&app.token("Watcher"), "subscription { connectionStateChanged { change } }").await;
    calls::act(&app, &admin, "pauseConnection", &signed.connection, "connection { state }").await;
    assert_eq!(watching.next().await["connectionStateChanged"]["change"], "STATE_CHANGED");
    app.save_role("Watcher", &[]).await;
    calls::act(&app, &admin, "resumeConnection", &signed.connection, "connection { state }").await;
    let last = watching.error().await;
    assert_eq!(last["extensions"], json!({"code": "FORBIDDEN", "capability": "LIST_CONNECTIONS"}), "{last}");
    app.stop().await;
}

/// However deep a document is, it is run or refused, and the process lives.
#[tokio::test(flavor = "multi_thread")]
async fn deep_documents_do_no_harm() {
    let receiver = Vendor::plain().await;
    let app = TestApp::start().await;
    let admin = app.token("Administrator");
    let signed = calls::connect_webhook(&app, &admin, &receiver, "/").await;
    calls::dispatch(&app, &app.module_token("forms"), &signed.connection, "a.b", "1", "REJECT").await;
    receiver.wait_for(2).await;
    let app = app.restart_bounded(|limits| limits.documents.cost = u64::MAX).await;
    let nested = |pairs: usize| {
        let inner = "delivery { entries { ".repeat(pairs);
        format!("{{ deliveryLog {{ nodes {{ {inner} id {} }} }} }}", "} }".repeat(pairs))
    };
    let deepest = app.graphql(&admin, &nested(8), json!({})).await;
    assert_eq!(deepest.get("errors"), None, "the deepest document that is run: {deepest}");
    for pairs in [10, 30, 100, 1_000, 10_000] {
        let refused = app.graphql(&admin, &nested(pairs), json!({})).await;
        assert!(refused["errors"][0]["extensions"]["code"].is_string(), "{pairs}: {refused}");
    }
    for literal in ["[", "{a:"] {
        let query = format!("{{ node(id: {}", literal.repeat(50_000));
        let refused = app.graphql(&admin, &query, json!({})).await;
        assert_eq!(refused["errors"][0]["extensions"]["code"], "LIMIT_EXCEEDED", "{refused}");
    }
    app.stop().await;
}
