//! The library of connectors: loaded once, shared by all sites, never changed.

use std::{collections::BTreeMap, sync::Arc};

use super::{fault::Fault, manifest, model::Connector};
use crate::domain::fold::fold;

/// A manifest's text and the name of its file.
#[derive(Clone, Debug)]
pub struct Source {
    pub file: String,
    pub text: String,
}

/// What the process allows its connectors.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadOptions {
    /// Whether address fields may hold `http://` besides `https://`.
    pub allow_http: bool,
}

/// All connectors of this process.
#[derive(Debug, Default)]
pub struct Library {
    by_slug: BTreeMap<String, Arc<Connector>>,
    listed: Vec<Arc<Connector>>,
}

impl Library {
    /// Reads manifests. Of several with one slug the last counts.
    ///
    /// # Errors
    /// Every fault of every manifest.
    pub fn load(sources: Vec<Source>, options: LoadOptions) -> Result<Self, Vec<Fault>> {
        let mut by_slug = BTreeMap::new();
        let mut faults = Vec::new();
        for source in &sources {
            match manifest::read(source, options) {
                Ok(connector) => {
                    by_slug.insert(connector.slug.clone(), Arc::new(connector));
                }
                Err(more) => faults.extend(more),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let mut listed: Vec<Arc<Connector>> = by_slug.values().cloned().collect();
        listed.sort_by_cached_key(|connector| (fold(&connector.display_name), connector.slug.clone()));
        Ok(Self { by_slug, listed })
    }

    /// The connector of this slug.
    #[must_use]
    pub fn get(&self, slug: &str) -> Option<&Arc<Connector>> {
        self.by_slug.get(slug)
    }

    /// All connectors, by folded display name, then slug.
    #[must_use]
    pub fn list(&self) -> &[Arc<Connector>] {
        &self.listed
    }
}

#[derive(rust_embed::Embed)]
#[folder = "connectors/"]
struct Shipped;

/// The manifests that ship with the product.
#[must_use]
pub fn built_in() -> Vec<Source> {
    let manifests = Shipped::iter().filter(|file| !file.contains('/') && file.ends_with(".toml"));
    manifests
        .filter_map(|file| {
            let text = String::from_utf8_lossy(&Shipped::get(&file)?.data).into_owned();
            Some(Source { file: format!("connectors/{file}"), text })
        })
        .collect()
}
