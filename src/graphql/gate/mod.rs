//! The gate: what a document must pass before any executor sees it.
//!
//! Size, tokens and nesting are bounded first, since they bound what everything after them costs. Then the document is
//! read and validated by the specification, and its depth and cost are computed, each fragment once. What comes
//! out is kept in a bounded cache, refusals too: a document that is known is neither parsed nor validated
//! again. `api` alone calls in here.

mod coerce;
mod cost;
mod expansion;
mod persisted;
mod plan;
mod refusal;
mod rules;
mod secrets;
mod syntax;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use apollo_compiler::{
    ExecutableDocument, Name, Node, Schema, ast, executable::Operation, parser::Parser, validation::Valid,
};
use async_graphql::ServerError;
use quick_cache::{Weighter, sync::Cache};
use serde_json::{Map, Value};

pub use self::persisted::Persisted;
use self::{
    coerce::WrongVariable,
    cost::{Cost, Costs},
    expansion::Expansion,
    syntax::Tokens,
};
pub(super) use self::{persisted::PersistedOperations, plan::Plan, refusal::limit_error};
use super::introspection::Introspection;

/// What documents are bounded by.
#[derive(Clone, Copy, Debug)]
pub struct DocumentLimits {
    /// The longest document, in bytes.
    pub bytes: usize,
    /// The most tokens in a document: names, numbers, texts, punctuators and comments.
    pub tokens: usize,
    /// The most fields below each other.
    pub depth: u64,
    /// The most that an operation may cost; a field costs 1, and what stands in a page as often as the page has rows.
    pub cost: u64,
}

impl Default for DocumentLimits {
    fn default() -> Self {
        Self { bytes: 64 * 1024, tokens: 2_500, depth: 20, cost: 20_000 }
    }
}

/// How deeply selections, lists and objects may be nested in a text: what bounds the parser's stack.
const NESTING_MAX: usize = 100;
/// How many fragments may stand below each other, one in the next.
const CHAIN_MAX: usize = 100;
/// The most that the cache of documents holds, in bytes as [`Weight`] counts them.
const CACHE_MAX: u64 = 16 * 1024 * 1024;
/// How many documents the cache is prepared for.
const CACHE_ITEMS: usize = 1_000;
/// What a document takes in memory for each byte of its text, measured generously.
const BYTES_PER_BYTE: u64 = 40;
/// What a cached refusal or document takes besides, its plans aside.
const BYTES_BESIDES: u64 = 4 * 1024;

/// A document that may run, with all that is known of it before its variables are.
pub(super) struct Document {
    typed: Valid<ExecutableDocument>,
    costs: Costs,
    never_null: rules::NeverNull,
    plans: plan::Plans,
}

/// Why a document, or one operation of it, does not run. Cheap to clone.
pub(super) type Refused = Arc<Vec<ServerError>>;

type Checked = Result<Arc<Document>, Refused>;

#[derive(Clone)]
struct Weight;

impl Weighter<Arc<str>, Checked> for Weight {
    fn weight(&self, text: &Arc<str>, _: &Checked) -> u64 {
        text.len() as u64 * BYTES_PER_BYTE + BYTES_BESIDES + plan::kept_bytes(text.len())
    }
}

/// Checks documents. One for a schema.
pub struct Gate {
    schema: Valid<Schema>,
    limits: DocumentLimits,
    shown: Introspection,
    cache: Cache<Arc<str>, Checked, Weight>,
}

/// The operation of a document that a request asks for.
pub(super) struct Selected {
    document: Arc<Document>,
    operation: Node<Operation>,
}

impl Gate {
    /// A gate before this schema, of which so much is shown.
    ///
    /// # Panics
    /// Where the schema is not valid: it is our own.
    #[must_use]
    pub fn new(sdl: &str, limits: DocumentLimits, shown: Introspection) -> Self {
        let schema = Schema::parse_and_validate(sdl, "schema.graphql").expect("the exported schema is valid");
        Self { schema, limits, shown, cache: Cache::with_weighter(CACHE_ITEMS, CACHE_MAX, Weight) }
    }

    /// Takes a request through the whole gate without running it: for whoever wants to know what it says.
    ///
    /// # Errors
    /// What the client would be told.
    pub fn judge(&self, text: &str, name: Option<&str>, variables: Map<String, Value>) -> Result<(), Vec<ServerError>> {
        let judged = self.check(text).and_then(|document| Selected::new(document, name));
        let admitted = judged.and_then(|selected| self.admit(&selected, variables));
        admitted.map(|_| ()).map_err(|refused| refused.to_vec())
    }

    /// The schema before which this gate stands.
    pub(super) fn schema(&self) -> &Valid<Schema> {
        &self.schema
    }

    /// Checks a document, or finds it checked.
    ///
    /// # Errors
    /// What is wrong with it, with places.
    pub(super) fn check(&self, text: &str) -> Checked {
        if text.len() > self.limits.bytes {
            let found = text.len() as u64;
            return Err(refusal::over("document", "bytes", found, self.limits.bytes as u64, "GATEWAY_MAX_DOCUMENT"));
        }
        if let Some(known) = self.cache.get(text) {
            return known;
        }
        let checked = self.read(text);
        // Whoever wrote a secret into a document should not find it kept anywhere.
        let has_secret = matches!(&checked, Err(refused) if refusal::is_about_secret(refused));
        if !has_secret {
            self.cache.insert(text.into(), checked.clone());
        }
        checked
    }

    fn read(&self, text: &str) -> Checked {
        let tokens = Tokens::read(text, self.limits.tokens);
        if tokens.count > self.limits.tokens {
            let (found, bound) = (tokens.count as u64, self.limits.tokens as u64);
            return Err(refusal::over("document", "tokens", found, bound, "GATEWAY_MAX_TOKENS"));
        }
        let text = &*tokens.without_commas_after_spreads();
        let mut parser = Parser::new().recursion_limit(NESTING_MAX);
        let ast = match parser.parse_ast(text, "document") {
            Ok(ast) => ast,
            Err(_) if parser.recursion_reached() > NESTING_MAX => return Err(refusal::nested(NESTING_MAX)),
            Err(failed) => return Err(refusal::syntax(&failed.errors)),
        };
        self.check_expansion(&ast)?;
        if let Some(at) = tokens.find_missing_colon() {
            return Err(refusal::missing_colon(at));
        }
        let typed = match ast.to_executable_validate(&self.schema) {
            Ok(typed) => typed,
            Err(invalid) if rules::are_mistaken(&self.schema, &invalid.partial, &invalid.errors) => {
                Valid::assume_valid(invalid.partial)
            }
            Err(invalid) => return Err(refusal::invalid(&invalid.errors)),
        };
        let never_null = rules::check(&self.schema, &typed).map_err(|broken| refusal::broken_rules(&typed, broken))?;
        if let Some(name) = secrets::find_literal(&self.schema, &typed) {
            return Err(refusal::secret_literal(&name));
        }
        let costs = Costs::of(&typed);
        if costs.depth > self.limits.depth {
            return Err(refusal::over("document", "fields deep", costs.depth, self.limits.depth, "GATEWAY_MAX_DEPTH"));
        }
        Ok(Arc::new(Document { typed, costs, never_null, plans: plan::Plans::new(text.len()) }))
    }

    /// What is certain to cost too much need not be validated.
    fn check_expansion(&self, ast: &ast::Document) -> Result<(), Refused> {
        let Expansion { fields, chain } = Expansion::of(ast);
        if chain > CHAIN_MAX {
            return Err(refusal::chained(chain, CHAIN_MAX));
        }
        // Fields of introspection cost no less than this.
        let least = fields / cost::INTROSPECTION_PART;
        if least > self.limits.cost {
            return Err(refusal::over("operation", "cost", fields, self.limits.cost, "GATEWAY_MAX_COST"));
        }
        Ok(())
    }

    /// Makes a request of an operation: its variables are coerced, and its cost with them is held against the bound.
    ///
    /// # Errors
    /// The variable that does not fit, or what the operation would cost.
    pub(super) fn admit(&self, selected: &Selected, given: Map<String, Value>) -> Result<Admitted, Refused> {
        let Selected { document, operation } = selected;
        let variables =
            coerce::coerce(&self.schema, operation, given).map_err(|wrong| refusal::variable(&wrong, self.shown))?;
        let is_null = |name: &Name| variables.get(name.as_str()).is_some_and(Value::is_null);
        let never_null = document.never_null.iter().filter(|(of, _)| *of == operation.name);
        if let Some((_, name)) = never_null.into_iter().find(|(_, name)| is_null(name)) {
            return Err(refusal::variable(&WrongVariable::null(name), self.shown));
        }
        let cost = match document.costs.of_operation(operation) {
            Cost::Known(cost) => cost,
            Cost::ByVariables => cost::with_variables(&document.typed, operation, &variables),
        };
        if cost > self.limits.cost {
            return Err(refusal::over("operation", "cost", cost, self.limits.cost, "GATEWAY_MAX_COST"));
        }
        let plan = document.plans.get(&self.schema, &document.typed, operation, &variables);
        Ok(Admitted { plan, variables })
    }
}

/// What the executor is given.
pub(super) struct Admitted {
    pub plan: Arc<Plan>,
    pub variables: Map<String, Value>,
}

impl Selected {
    /// The operation of this name, or the only one.
    ///
    /// # Errors
    /// Where there is none, or more than one and no name.
    pub fn new(document: Arc<Document>, name: Option<&str>) -> Result<Self, Refused> {
        let operation = document.typed.operations.get(name).cloned();
        match operation {
            Ok(operation) => Ok(Self { document, operation }),
            Err(_) => Err(refusal::no_operation(name, document.typed.operations.len())),
        }
    }

    pub fn is_mutation(&self) -> bool {
        self.operation.is_mutation()
    }

    pub fn is_subscription(&self) -> bool {
        self.operation.is_subscription()
    }

    /// The document and the operation, typed.
    pub fn typed(&self) -> (&Valid<ExecutableDocument>, &Node<Operation>) {
        (&self.document.typed, &self.operation)
    }
}
