//! What an app has stored, read and changed past it.

use integrations_gateway::{
    domain::{
        activity::{ActivityAction, ActivityOutcome},
        capability::{Capabilities, Capability},
        id::SiteId,
        settings::Settings,
    },
    store::{self, Db, NewActivity},
    vault::{Keyring, MasterKeys, Vault, WrappedKey},
};

use super::{
    app::{MASTER_KEYS, TestApp},
    clock::SeededEntropy,
    rows,
};

impl TestApp {
    /// How many rows a table has, read past the gateway.
    pub async fn count_rows(&self, table: &str) -> i64 {
        rows::count(self.database_url(), table).await
    }

    /// Changes rows past the gateway.
    pub async fn execute(&self, statements: &str) {
        rows::execute(self.database_url(), statements).await;
    }

    /// Gives the site a role of its own.
    pub async fn save_role(&self, name: &str, capabilities: &[&str]) {
        let db = self.database().await;
        let capabilities: Vec<Capability> =
            capabilities.iter().map(|name| Capability::parse(name).expect("a capability")).collect();
        let site = SiteId::from_claimed_row(1);
        let now = integrations_gateway::domain::clock::Clock::now(&*self.clock);
        let activity = activity(ActivityAction::RoleSaved);
        let saved = store::role::save(&db, site, now, name, Capabilities::of(&capabilities), activity).await;
        assert_eq!(saved.expect("saved"), store::role::RoleChange::Changed);
    }

    /// Gives the site settings of its own.
    pub async fn save_settings(&self, change: impl FnOnce(&mut Settings)) {
        let mut settings = Settings::default();
        change(&mut settings);
        let site = SiteId::from_claimed_row(1);
        let now = integrations_gateway::domain::clock::Clock::now(&*self.clock);
        let decide = move |_: &Settings| {
            let activity = activity(ActivityAction::SettingsChanged);
            Some(store::settings::Changed { settings: settings.clone(), switched_off: Vec::new(), activity })
        };
        store::settings::change(&self.database().await, site, now, decide).await.expect("saved");
    }

    /// The opened keys of the first site.
    pub async fn keyring(&self) -> Keyring {
        let site = SiteId::from_claimed_row(1);
        let rows = store::site::keys(&self.database().await, site).await.expect("the site's keys");
        let wrapped: Vec<WrappedKey> = rows
            .into_iter()
            .map(|row| WrappedKey { version: row.version, master_key_id: row.master_key_id, wrapped: row.wrapped })
            .collect();
        let vault = Vault::new(MasterKeys::parse(MASTER_KEYS).expect("keys"), SeededEntropy::new(98));
        vault.open_keys(site, &wrapped).expect("keys that open")
    }

    async fn database(&self) -> Db {
        let settings = store::DatabaseSettings { url: self.database_url().to_owned(), pool: 2, ca_pem: None };
        Db::open(&settings, SeededEntropy::new(99)).await.expect("the database")
    }
}

fn activity(action: ActivityAction) -> NewActivity {
    NewActivity { action, actor: None, connection: None, outcome: ActivityOutcome::Succeeded, detail: None }
}
