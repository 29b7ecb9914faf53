//! The library of connectors: loaded once, shared by all sites, never changed.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use chrono::{NaiveDate, TimeDelta};

use super::{fault::Fault, manifest, model::Connector};
use crate::domain::fold::fold;

/// A manifest's text and the name of its file.
#[derive(Clone, Debug)]
pub struct Source {
    pub file: String,
    pub text: String,
}

impl Source {
    /// Whether it is a provider, which connectors share: those lie in a directory of this name.
    #[must_use]
    pub fn is_provider(&self) -> bool {
        let folder = Path::new(&self.file).parent().and_then(Path::file_name);
        folder.is_some_and(|folder| folder == PROVIDERS)
    }
}

/// The directory of the providers, beside the manifests.
pub const PROVIDERS: &str = "providers";
/// How long before a vendor switches something off that is worth a word.
const SUNSET_NOTICE: TimeDelta = TimeDelta::days(90);

/// What the process allows its connectors.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadOptions {
    /// Whether address fields may hold `http://` besides `https://`.
    pub allow_http: bool,
}

/// What one manifest may say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Allowed<'a> {
    pub(super) allow_http: bool,
    /// Origins of the gateway's own, which may be called though they are no domain, and by http though nothing else
    /// is.
    pub(super) origins: &'a [String],
}

impl From<LoadOptions> for Allowed<'_> {
    fn from(options: LoadOptions) -> Self {
        Self { allow_http: options.allow_http, origins: &[] }
    }
}

/// All connectors of this process.
#[derive(Debug, Default)]
pub struct Library {
    by_slug: BTreeMap<String, Arc<Connector>>,
    listed: Vec<Arc<Connector>>,
}

impl Library {
    /// Reads manifests and providers. Of several with one slug, or one name, the last counts.
    ///
    /// # Errors
    /// Every fault of every manifest.
    pub fn load(sources: impl IntoIterator<Item = Source>, options: LoadOptions) -> Result<Self, Vec<Fault>> {
        let (mut by_slug, mut providers) = (BTreeMap::new(), BTreeMap::new());
        let mut faults = Vec::new();
        let (shared, own): (Vec<Source>, Vec<Source>) = sources.into_iter().partition(Source::is_provider);
        for source in shared {
            match manifest::read_provider(&source, options.into()) {
                Ok(provider) => {
                    providers.insert(provider.name.clone(), Some(provider));
                }
                Err(more) => {
                    // It is there, so that its connectors are not blamed for it.
                    let stem = Path::new(&source.file).file_stem().unwrap_or_default();
                    providers.insert(stem.to_string_lossy().into_owned(), None);
                    faults.extend(more);
                }
            }
        }
        for source in own {
            match manifest::read(&source, options.into(), &providers) {
                Ok(connector) => {
                    by_slug.insert(connector.slug.clone(), Arc::new(connector));
                }
                Err(more) => faults.extend(more),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self::of(by_slug))
    }

    /// Adds a connector of the gateway's own, whose calls go to `origins`, such as `http://127.0.0.1:8080`. One of
    /// the same slug that is there already stays.
    ///
    /// # Errors
    /// Every fault of the manifest.
    pub fn with_own(self, source: &Source, origins: &[String]) -> Result<Self, Vec<Fault>> {
        let own = manifest::read(source, Allowed { allow_http: false, origins }, &BTreeMap::new())?;
        let mut by_slug = self.by_slug;
        by_slug.entry(own.slug.clone()).or_insert_with(|| Arc::new(own));
        Ok(Self::of(by_slug))
    }

    fn of(by_slug: BTreeMap<String, Arc<Connector>>) -> Self {
        let mut listed: Vec<Arc<Connector>> = by_slug.values().cloned().collect();
        listed.sort_by_cached_key(|connector| (fold(&connector.display_name), connector.slug.clone()));
        Self { by_slug, listed }
    }

    /// What vendors will switch off within 90 days of this day, or have switched off already.
    #[must_use]
    pub fn sunsets(&self, today: NaiveDate) -> Vec<Fault> {
        let soon = today + SUNSET_NOTICE;
        let all = self.listed.iter().flat_map(|connector| &connector.sunsets);
        let mut notices: Vec<Fault> =
            all.filter(|sunset| sunset.date <= soon).map(|sunset| sunset.notice.clone()).collect();
        notices.sort();
        notices.dedup();
        notices
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
    let manifests = Shipped::iter().filter(|file| file.ends_with(".toml"));
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
    fn only_a_connector_of_the_gateways_own_calls_it_by_http() {
        let mut own = source("own", "Own");
        own.text = own.text.replace("https://example.com/", "http://127.0.0.1:8080/account");
        let origins = ["http://127.0.0.1:8080".to_owned()];
        let library = Library::load([source("a", "A")], LoadOptions::default()).unwrap();
        let library = library.with_own(&own, &origins).unwrap();
        let listed: Vec<&str> = library.list().iter().map(|connector| connector.slug.as_str()).collect();
        assert_eq!(listed, ["a", "own"]);
        let library =
            library.with_own(&Source { text: own.text.replace("\"Own\"", "\"New\""), ..own.clone() }, &origins);
        assert_eq!(library.unwrap().get("own").unwrap().display_name, "Own");

        assert!(Library::load([own.clone()], LoadOptions { allow_http: true }).is_err());
        for other in
            ["http://127.0.0.1:80801/", "http://127.0.0.1:808/", "http://127.0.0.1:8080.example.com/", "http://x/"]
        {
            let text = own.text.replace("http://127.0.0.1:8080/", other);
            let other = Source { file: own.file.clone(), text };
            assert!(Library::default().with_own(&other, &origins).is_err(), "{}", other.text);
        }
    }

    #[test]
    fn the_shipped_manifests_are_named_after_their_slugs() {
        let sources = built_in();
        assert!(!sources.is_empty());
        for source in sources {
            if source.is_provider() {
                let provider = manifest::read_provider(&source, Allowed::default()).unwrap();
                assert_eq!(source.file, format!("connectors/providers/{}.toml", provider.name));
                continue;
            }
            let providers = built_in().into_iter().filter(Source::is_provider);
            let library = Library::load(providers.chain([source.clone()]), LoadOptions::default()).unwrap();
            assert_eq!(source.file, format!("connectors/{}.toml", library.list()[0].slug));
        }
    }
}
