//! `serve` and `migrate`: the commands that need the database, and so a runtime.

use std::future::Future;

use integrations_gateway::{
    app::{self, StartError, SystemEntropy},
    config::{
        self,
        arguments::{DatabaseArguments, LogArguments, ServeArguments},
    },
};

use super::{Failed, log};

/// The stack of a thread, in bytes, of which only what is used costs memory. Resolvers nest as deeply as documents
/// do, and unoptimized ones have large frames: the deepest document that is run needs a quarter of this.
const THREAD_STACK: usize = 16 * 1024 * 1024;

impl From<StartError> for Failed {
    fn from(error: StartError) -> Self {
        let lines = error.to_string();
        match error {
            StartError::Setting(_) => Self::Settings(lines),
            StartError::Failed(_) => Self::Otherwise(lines),
        }
    }
}

pub(super) fn serve(arguments: &ServeArguments) -> Result<(), Failed> {
    let (log, config) = (config::check_log(&arguments.log), config::check(arguments, &SystemEntropy));
    let (log, config) = match (log, config) {
        (Ok(log), Ok(config)) => (log, config),
        (log, config) => {
            let faults = [config.err().unwrap_or_default(), log.err().unwrap_or_default()];
            return Err(faults.concat().into());
        }
    };
    log::begin(&log);
    block_on(app::serve(config))
}

pub(super) fn migrate(database: &DatabaseArguments, log: &LogArguments) -> Result<(), Failed> {
    let database = config::check_database(database)?;
    log::begin(&config::check_log(log)?);
    block_on(app::migrate(&database))
}

fn block_on(future: impl Future<Output = Result<(), StartError>>) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread().thread_stack_size(THREAD_STACK).enable_all().build()?;
    Ok(runtime.block_on(future)?)
}
