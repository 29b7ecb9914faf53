//! The connector library, shared by all sites.

use std::sync::Arc;

use async_graphql::{Description, ID, InputObject, Object, SimpleObject};

use super::{
    enums::{AuthFlow, Capability, ConnectorFamily, all},
    ids::Named,
    page::{PageArguments, PageInfo, Rows, edge, nodes},
    plain::{List, plain},
    scalars::{Json, Url},
    scope::SharedScope,
};
use crate::{
    connector,
    domain::{
        connector as words,
        fold::fold,
        page::{Page, Place, SortKey},
        query::Placed,
    },
    service::Failure,
};

/// A vendor's schema: what its credential looks like, and what can be sent to it.
#[derive(Clone, Description)]
pub struct Connector {
    scope: SharedScope,
    slug: String,
    /// None where a connection has outlived its connector.
    known: Option<Arc<connector::Connector>>,
}

impl Connector {
    pub(super) fn new(scope: &SharedScope, connector: &Arc<connector::Connector>) -> Self {
        Self { scope: Arc::clone(scope), slug: connector.slug.clone(), known: Some(Arc::clone(connector)) }
    }

    /// The connector of a stored record: it shows its slug and nothing else where it has left the library.
    pub(super) fn of_record(scope: &SharedScope, slug: &str) -> Self {
        let known = scope.gateway.library().get(slug).cloned();
        Self { scope: Arc::clone(scope), slug: slug.to_owned(), known }
    }
}

#[Object(use_type_description)]
impl Connector {
    pub(super) async fn id(&self) -> ID {
        Named::Connector(self.slug.clone()).to_id()
    }

    /// Its stable name: callers store it.
    async fn slug(&self) -> &str {
        &self.slug
    }

    async fn display_name(&self) -> &str {
        self.known.as_ref().map_or(&self.slug, |known| &known.display_name)
    }

    async fn family(&self) -> ConnectorFamily {
        self.known.as_ref().map_or(words::ConnectorFamily::Webhooks, |known| known.family).into()
    }

    async fn description(&self) -> &str {
        self.known.as_ref().map_or("This connector is not in the library any more.", |known| &known.description)
    }

    async fn documentation_url(&self) -> Option<Url> {
        self.known.as_ref().and_then(|known| known.documentation_url.clone()).map(Url)
    }

    /// The ways to connect, and the record that each creates.
    async fn auth_flows(&self) -> Vec<ConnectorAuthFlow> {
        self.known.iter().flat_map(|known| &known.flows).map(ConnectorAuthFlow::from).collect()
    }

    async fn scopes(&self) -> Vec<ConnectorScope> {
        let scopes = self.known.iter().flat_map(|known| &known.scopes);
        scopes
            .map(|scope| ConnectorScope {
                id: scope.id.clone(),
                title: scope.title.clone(),
                default: scope.default,
                sensitive: scope.sensitive,
            })
            .collect()
    }

    /// What a module can send through a connection of this type.
    async fn operations(&self) -> Vec<ConnectorOperation> {
        let operations = self.known.iter().flat_map(|known| &known.operations);
        operations
            .map(|operation| ConnectorOperation {
                event_type: operation.event_type.clone(),
                title: operation.title.clone(),
                required_scopes: operation.required_scopes.clone(),
                payload_schema: Json(operation.payload_schema.clone()),
                example_payload: Json(operation.example_payload.clone()),
            })
            .collect()
    }

    /// Whether the site takes new connections to it, and events: false where `settings` has switched its family off, or it
    /// has left the library.
    async fn enabled(&self) -> bool {
        self.known.as_ref().is_some_and(|known| self.scope.acting.settings.is_enabled(known.family))
    }

    /// Capabilities needed besides an action's own for every credential action (connect, configure, edit scopes,
    /// refresh, rotate, reauthorize, disconnect): the product's and the site's.
    async fn extra_capabilities(&self) -> Vec<Capability> {
        let settings = &self.scope.acting.settings;
        let known = self.known.iter();
        known.flat_map(|known| settings.extra_capabilities(known.family).iter()).map(Capability::from).collect()
    }
}

plain!(Connector, connector = std::convert::identity => {
    "id": Named::Connector(connector.slug.clone()).to_id(),
    "slug": connector.slug,
});

/// One way to connect.
#[derive(SimpleObject)]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of the API")]
pub struct ConnectorAuthFlow {
    flow: AuthFlow,
    /// What the operator must supply, in the order to ask for it.
    fields: Vec<CredentialField>,
    refreshable: bool,
    scopes_editable: bool,
    revocable_at_vendor: bool,
    expires: bool,
}

impl From<&connector::Flow> for ConnectorAuthFlow {
    fn from(flow: &connector::Flow) -> Self {
        Self {
            flow: flow.flow.into(),
            fields: flow.fields.iter().map(CredentialField::from).collect(),
            refreshable: flow.refreshable,
            scopes_editable: flow.scopes_editable,
            revocable_at_vendor: flow.revocable,
            expires: flow.expires,
        }
    }
}

/// A field of a credential.
#[derive(SimpleObject)]
pub struct CredentialField {
    name: String,
    label: String,
    help: Option<String>,
    kind: FieldKind,
    /// Never shown again once it is stored.
    secret: bool,
    required: bool,
    options: Vec<FieldOption>,
    default_value: Option<String>,
    /// An ECMA-262 pattern that a form can check before it sends the value.
    pattern: Option<String>,
    placeholder: Option<String>,
}

impl From<&connector::Field> for CredentialField {
    fn from(field: &connector::Field) -> Self {
        let option = |(value, label): &(String, String)| FieldOption { value: value.clone(), label: label.clone() };
        Self {
            name: field.name.clone(),
            label: field.label.clone(),
            help: field.help.clone(),
            kind: match field.kind {
                connector::FieldKind::Text => FieldKind::Text,
                connector::FieldKind::Url => FieldKind::Url,
                connector::FieldKind::Select => FieldKind::Select,
                connector::FieldKind::Multiline => FieldKind::Multiline,
            },
            secret: field.secret,
            required: field.required,
            options: field.options.iter().map(option).collect(),
            default_value: field.default_value.clone(),
            pattern: field.pattern.clone(),
            placeholder: field.placeholder.clone(),
        }
    }
}

/// What a field takes.
#[derive(async_graphql::Enum, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    Text,
    Url,
    Select,
    Multiline,
}

/// A choice of a field.
#[derive(SimpleObject)]
pub struct FieldOption {
    value: String,
    label: String,
}

/// A scope that a connector offers.
#[derive(SimpleObject)]
pub struct ConnectorScope {
    id: String,
    title: String,
    default: bool,
    sensitive: bool,
}

/// What a connector can be sent for an event.
#[derive(SimpleObject)]
pub struct ConnectorOperation {
    /// `*` stands for every event type that has no operation of its own.
    event_type: String,
    title: String,
    required_scopes: Vec<String>,
    /// JSON Schema (2020-12) that a dispatched payload is checked against.
    payload_schema: Json,
    example_payload: Json,
}

/// Which connectors. A field that is left out restricts nothing.
#[derive(InputObject, Default)]
pub struct ConnectorFilter {
    families: Option<Vec<ConnectorFamily>>,
    auth_flows: Option<Vec<AuthFlow>>,
    /// Connectors that have an operation for it.
    accepts_event_type: Option<String>,
    /// Anywhere in the name, the slug or the description, without regard to case.
    search: Option<String>,
}

impl ConnectorFilter {
    fn admits(&self, connector: &connector::Connector) -> bool {
        let families: Option<Vec<words::ConnectorFamily>> = all(self.families.clone());
        let flows: Option<Vec<words::AuthFlow>> = all(self.auth_flows.clone());
        let search = self.search.as_deref().map(fold);
        families.is_none_or(|families| families.contains(&connector.family))
            && flows.is_none_or(|flows| connector.flows.iter().any(|flow| flows.contains(&flow.flow)))
            && self.accepts_event_type.as_deref().is_none_or(|event| connector.operation(event).is_some())
            && search.is_none_or(|search| {
                [&connector.display_name, &connector.slug, &connector.description]
                    .into_iter()
                    .any(|text| fold(text).contains(&search))
            })
    }
}

edge!(ConnectorEdge of Connector);

/// A page of the library.
#[derive(Description)]
pub struct ConnectorConnection {
    rows: Rows<Connector>,
    total: usize,
}

#[Object(use_type_description)]
impl ConnectorConnection {
    async fn edges(&self) -> List<ConnectorEdge> {
        ConnectorEdge::all(&self.rows)
    }

    async fn nodes(&self) -> List<Connector> {
        nodes(&self.rows)
    }

    async fn page_info(&self) -> PageInfo {
        self.rows.info()
    }

    async fn total_count(&self) -> i32 {
        i32::try_from(self.total).unwrap_or(i32::MAX)
    }
}

const KIND: &str = "connectors";

/// One page of the library, by name.
pub(super) fn page(
    scope: &SharedScope,
    filter: Option<ConnectorFilter>,
    arguments: PageArguments,
) -> Result<ConnectorConnection, Failure> {
    let request = arguments.read(KIND)?;
    let filter = filter.unwrap_or_default();
    let place = |connector: &connector::Connector| (fold(&connector.display_name), connector.slug.clone());
    let text = |place: &Place| match &place.key {
        SortKey::Text(text) => text.split_once('\n').map(|(name, slug)| (name.to_owned(), slug.to_owned())),
        SortKey::Null | SortKey::Number(_) => None,
    };
    let bound = |field: &str, place: &Option<Place>| match place {
        Some(place) => text(place).map(Some).ok_or_else(|| Failure::bad_input(field, "is not a cursor of this list")),
        None => Ok(None),
    };
    let (after, before) = (bound("after", &request.after)?, bound("before", &request.before)?);
    let found: Vec<&Arc<connector::Connector>> =
        scope.gateway.library().list().iter().filter(|connector| filter.admits(connector)).collect();
    let total = found.len();
    let mut within: Vec<&Arc<connector::Connector>> = found
        .into_iter()
        .filter(|connector| after.as_ref().is_none_or(|after| place(connector) > *after))
        .filter(|connector| before.as_ref().is_none_or(|before| place(connector) < *before))
        .collect();
    if request.backwards {
        within.reverse();
    }
    within.truncate(request.size as usize + 1);
    let placed = within.into_iter().map(|row| {
        let (name, slug) = place(row);
        Placed { row, place: Place { key: SortKey::Text(format!("{name}\n{slug}")), id: 0 } }
    });
    let page = Page::from_read(placed.collect(), &request);
    let connectors = |found: Vec<_>| found.into_iter().map(|connector| Connector::new(scope, connector)).collect();
    Ok(ConnectorConnection { rows: Rows::new(KIND, page, connectors), total })
}
