//! Sites see nothing of each other: for each place of the schema that takes an id, another site's id is answered exactly
//! as one that nothing has.

use std::collections::BTreeMap;

use async_graphql::parser::types::{BaseType, Type};
use futures_util::FutureExt as _;
use serde_json::{Value, json};

use crate::{
    oauth::connected,
    schema::{Schema, base},
    support::{
        app::{Database, TestApp, on_both},
        calls,
        grants::Granting,
        vendor::{Reply, Vendor},
    },
};

on_both!(ids_of_another_site_are_ids_of_nothing);

/// A place that takes an id: an argument of a root field, and the way into it.
#[derive(Clone, Debug)]
struct Place {
    root: &'static str,
    field: String,
    argument: String,
    way: Vec<String>,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}({}", self.root, self.field, self.argument)?;
        self.way.iter().try_for_each(|step| write!(f, ".{step}"))?;
        f.write_str(")")
    }
}

/// The ways from a type of an input to ids in it.
fn ways(schema: &Schema, ty: &Type, seen: &[String]) -> Vec<Vec<String>> {
    let name = base(ty);
    if name == "ID" {
        return vec![Vec::new()];
    }
    if seen.contains(&name) {
        return Vec::new();
    }
    let seen = [seen, std::slice::from_ref(&name)].concat();
    let fields = schema.inputs.get(&name).into_iter().flatten();
    fields
        .flat_map(|(field, ty)| ways(schema, ty, &seen).into_iter().map(|way| [vec![field.clone()], way].concat()))
        .collect()
}

fn places(schema: &Schema) -> Vec<Place> {
    let mut places = Vec::new();
    for root in ["Query", "Mutation", "Subscription"] {
        for (field, definition) in &schema.fields[root] {
            for (argument, ty, _) in &definition.arguments {
                for way in ways(schema, ty, &[]) {
                    places.push(Place { root, field: field.clone(), argument: argument.clone(), way });
                }
            }
        }
    }
    places
}

/// A value of this type with an id at the end of the way; what must stand beside it is the asking site's own.
fn value(schema: &Schema, name: &str, ty: &Type, way: &[String], id: &str, own: &BTreeMap<&str, String>) -> Value {
    match (&ty.base, way) {
        (BaseType::List(inner), _) => json!([value(schema, name, inner, way, id, own)]),
        (BaseType::Named(_), []) => json!(id),
        (BaseType::Named(input), [step, rest @ ..]) => {
            let mut whole = schema.value(name, &Type { nullable: false, ..ty.clone() }, own);
            let fields = &schema.inputs[input.as_str()];
            let (_, ty) = fields.iter().find(|(field, _)| field == step).expect("the way leads on");
            if whole.get("eventType").is_some() {
                // An operator must say.
                whole["originatingModule"] = json!("forms");
            }
            whole[step] = value(schema, step, ty, rest, id, own);
            whole
        }
    }
}

/// What is asked of an answer of this type: its plain fields, and those of what it holds.
fn selection(schema: &Schema, ty: &str, depth: usize) -> String {
    let mut all = vec!["__typename".to_owned()];
    for member in schema.behind.get(ty).into_iter().flatten() {
        all.push(format!("... on {member} {{ {} }}", fields(schema, member, depth, member)));
    }
    if !schema.behind.contains_key(ty) {
        all.push(fields(schema, ty, depth, ""));
    }
    all.join(" ")
}

fn fields(schema: &Schema, ty: &str, depth: usize, prefix: &str) -> String {
    let mut all = vec!["__typename".to_owned()];
    for (name, field) in schema.fields.get(ty).into_iter().flatten() {
        if field.arguments.iter().any(|(_, ty, default)| !ty.nullable && !default) || field.ty.ends_with("Connection") {
            continue;
        }
        let composite = schema.fields.contains_key(&field.ty) || schema.behind.contains_key(&field.ty);
        if !composite {
            all.push(format!("{prefix}_{name}: {name}"));
        } else if depth > 0 {
            all.push(format!("{prefix}_{name}: {name} {{ {} }}", selection(schema, &field.ty, depth - 1)));
        }
    }
    all.join(" ")
}

/// The document that asks with an id at a place, and its variables.
fn asking(schema: &Schema, place: &Place, id: &str, own: &BTreeMap<&str, String>) -> (String, Value) {
    let field = &schema.fields[place.root][&place.field];
    let (mut declared, mut given, mut variables) = (Vec::new(), Vec::new(), json!({}));
    for (argument, ty, default) in &field.arguments {
        if *argument == place.argument {
            variables[argument] = value(schema, argument, ty, &place.way, id, own);
        } else if !ty.nullable && !default {
            variables[argument] = schema.value(argument, ty, own);
        } else {
            continue;
        }
        declared.push(format!("${argument}: {ty}"));
        given.push(format!("{argument}: ${argument}"));
    }
    let page = field.ty.ends_with("Connection");
    let selected = if page { "nodes { __typename id }".to_owned() } else { selection(schema, &field.ty, 1) };
    let document = format!(
        "{} T({}) {{ {}({}) {{ {selected} }} }}",
        place.root.to_lowercase(),
        declared.join(", "),
        place.field,
        given.join(", "),
    );
    (document, variables)
}

/// What another site has, by the name of its kind.
async fn ids_of(app: &TestApp, granting: &Granting, receiver: &Vendor, site: i64) -> BTreeMap<&'static str, String> {
    let admin = app.site_token(site, "Administrator");
    let connection = calls::connect_webhook(app, &admin, receiver, &format!("/{site}")).await.connection;
    let dispatch = |identifier: &'static str| json!({"connectionId": connection, "eventType": "a.b", "eventIdentifier": identifier, "payload": {}, "originatingModule": "forms"});
    let logged = async |count: usize| loop {
        let log = "{ deliveryLog { nodes { id outcome delivery { id } } } }";
        let log = app.graphql(&admin, log, json!({})).await["data"]["deliveryLog"]["nodes"].clone();
        if log.as_array().is_some_and(|rows| rows.len() == count) {
            return log;
        }
    };
    receiver.answer(|_| Reply::status(400));
    app.graphql(&admin, calls::DISPATCH, json!({"input": dispatch("1")})).await;
    let log = logged(1).await;
    let retry = "mutation { retryDeliveries(input: {filter: {}}) { batch { id } } }";
    let batch = app.graphql(&admin, retry, json!({})).await["data"]["retryDeliveries"]["batch"]["id"].clone();
    logged(2).await;
    receiver.answer(|_| Reply::status(204));
    let begin = "mutation($input: BeginSignedConnectionInput!) { beginSignedConnection(input: $input) { id } }";
    let url = format!("http://{}/offer", receiver.address);
    let input = json!({"connectorSlug": "webhook_generic", "fields": [{"name": "url", "value": url}]});
    let offer =
        app.graphql(&admin, begin, json!({ "input": input })).await["data"]["beginSignedConnection"]["id"].clone();
    let authorization = crate::oauth::begin(app, &admin, json!({"connectorSlug": "granting"})).await["id"].clone();
    let activity = app.graphql(&admin, "{ activityLog { nodes { id } } }", json!({})).await;
    let granted = connected(app, granting, &admin, &format!("account {site}")).await;
    let text = |id: &Value| id.as_str().unwrap_or_else(|| panic!("no id: {log} {batch} {offer}")).to_owned();
    BTreeMap::from([
        ("connection", connection),
        ("granted", granted),
        ("delivery", text(&log[0]["delivery"]["id"])),
        ("entry", text(&log[0]["id"])),
        ("batch", text(&batch)),
        ("offer", text(&offer)),
        ("authorization", text(&authorization)),
        ("activity", text(&activity["data"]["activityLog"]["nodes"][0]["id"])),
    ])
}

async fn answered(
    app: &TestApp,
    token: &str,
    place: &Place,
    schema: &Schema,
    id: &str,
    own: &BTreeMap<&str, String>,
) -> String {
    let (document, variables) = asking(schema, place, id, own);
    let request = app.post(token, &document, &variables);
    let request = if place.root == "Subscription" { request.header("accept", "text/event-stream") } else { request };
    #[expect(clippy::disallowed_methods, reason = "the gateway's answers to a test are small")]
    let text = request.send().await.expect("an answer").text().await.expect("a body");
    assert!(!text.contains("GRAPHQL_VALIDATION_FAILED") && !text.contains("INTERNAL"), "{document}: {text}");
    text.replace(id, "ID")
}

async fn state(app: &TestApp, token: &str) -> Value {
    let query = "{ connections { nodes { id displayName state updatedAt lastTest { testedAt } pendingDeliveries } } \
         deliveryLog { nodes { id } } activityLog { nodes { id } } }";
    app.graphql(token, query, json!({})).await
}

async fn ids_of_another_site_are_ids_of_nothing(database: Database) {
    let schema = Schema::read();
    let granting = Granting::start().await;
    let receiver = Vendor::plain().await;
    let app = TestApp::with_grants(database, &granting).await;
    let theirs = ids_of(&app, &granting, &receiver, 2).await;
    let ours = ids_of(&app, &granting, &receiver, 1).await;
    // What stands beside the id that is tried.
    let own = BTreeMap::from([
        ("connectionId", ours["connection"].clone()),
        ("deliveryEntryId", ours["entry"].clone()),
        ("offerId", ours["offer"].clone()),
        ("id", ours["connection"].clone()),
    ]);
    let (admin, other) = (app.token("Administrator"), app.site_token(2, "Administrator"));
    let before = state(&app, &other).await;
    let (mut tried, mut followed) = (0, Vec::new());
    for place in places(&schema) {
        if place.root == "Subscription" && place.field != "authorizationUpdated" {
            followed.push(place.to_string());
            continue;
        }
        let mut looked_for = false;
        for (kind, id) in &theirs {
            let nothing = answered(&app, &admin, &place, &schema, &calls::id_of_nothing(id), &own).await;
            let foreign = answered(&app, &admin, &place, &schema, id, &own).await;
            assert_eq!(foreign, nothing, "{place} with another site's {kind}");
            looked_for |= !foreign.contains("BAD_USER_INPUT");
            tried += 1;
        }
        assert!(looked_for, "{place} never came to look for an id");
        // To whom it belongs, one of the ids is something: else nothing was tried here.
        if place.root == "Query" {
            let mut told = 0;
            for id in theirs.values() {
                let nothing = answered(&app, &other, &place, &schema, &calls::id_of_nothing(id), &own).await;
                told += u32::from(answered(&app, &other, &place, &schema, id, &own).await != nothing);
            }
            assert!(told > 0, "{place} tells nothing of any id");
        }
    }
    assert!(tried >= 150, "{tried}");
    assert_eq!(state(&app, &other).await, before, "nothing of the other site has changed");
    // The same ids are good for whom they belong to.
    for (kind, id) in theirs.iter().filter(|(kind, _)| **kind != "offer") {
        let node = app.graphql(&other, "query($id: ID!) { node(id: $id) { id } }", json!({ "id": id })).await;
        assert_eq!(node["data"]["node"]["id"], **id, "{kind}");
    }

    // Streams that are filtered by another site's ids stay silent.
    assert_eq!(
        followed,
        [
            "Subscription.activityLogged(filter.connectionIds)",
            "Subscription.connectionStateChanged(filter.connectionIds)",
            "Subscription.deliveryLogged(filter.connectionIds)",
        ]
    );
    let filter = format!("filter: {{connectionIds: [\"{}\"]}}", theirs["connection"]);
    let mut foreign = Vec::new();
    for document in [
        format!("subscription {{ activityLogged({filter}) {{ entry {{ id }} }} }}"),
        format!("subscription {{ connectionStateChanged({filter}) {{ change }} }}"),
        format!("subscription {{ deliveryLogged({filter}) {{ entry {{ id }} }} }}"),
    ] {
        foreign.push(app.subscribe(&admin, &document).await);
    }
    let mut all = app.subscribe(&admin, "subscription { connectionStateChanged { connectionId } }").await;
    calls::act(&app, &other, "pauseConnection", &theirs["connection"], "connection { state }").await;
    calls::act(&app, &admin, "pauseConnection", &ours["connection"], "connection { state }").await;
    assert_eq!(all.next().await["connectionStateChanged"]["connectionId"], ours["connection"]);
    for silent in &mut foreign {
        assert!(silent.next().now_or_never().is_none(), "a stream tells of another site");
    }
    app.stop().await;
}
