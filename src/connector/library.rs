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
    pub fn load(sources: impl IntoIterator<Item = Source>, options: LoadOptions) -> Result<Self, Vec<Fault>> {
        let mut by_slug = BTreeMap::new();
        let mut faults = Vec::new();
        for source in sources {
            match manifest::read(&source, options) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn source(slug: &str, name: &str) -> Source {
        let text = format!(
            "version = 1\nslug = \"{slug}\"\ndisplay_name = \"{name}\"\nfamily = \"crm\"\ndescription = \"x\"\n\
             [[flows]]\nflow = \"api_key\"\nproof = \"account\"\n\
             [[test]]\nname = \"a\"\nrequest = {{ method = \"GET\", url = \"https://example.com/\" }}\n"
        );
        Source { file: format!("{slug}.toml"), text }
    }

    #[test]
    fn the_last_of_a_slug_counts_and_the_list_is_by_name() {
        let sources = [source("b", "Übel"), source("c", "alpha"), source("a", "übel"), source("c", "Zeta")];
        let library = Library::load(sources, LoadOptions::default()).unwrap();
        let listed: Vec<&str> = library.list().iter().map(|connector| connector.slug.as_str()).collect();
        assert_eq!(listed, ["c", "a", "b"]);
        assert_eq!(library.get("c").unwrap().display_name, "Zeta");
        assert!(library.get("d").is_none());
    }

    #[test]
    fn the_shipped_manifests_are_named_after_their_slugs() {
        let sources = built_in();
        assert!(!sources.is_empty());
        for source in sources {
            let library = Library::load([source.clone()], LoadOptions::default()).unwrap();
            assert_eq!(source.file, format!("connectors/{}.toml", library.list()[0].slug));
        }
    }
}
