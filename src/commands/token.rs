//! `token`: signs a bearer token with the secret of a gateway on this machine.

use std::time::Duration;

use clap::{ArgGroup, Args};
use integrations_gateway::{
    app::SystemClock,
    config::{
        self,
        arguments::{DatabaseUrlArgument, TokenArguments},
    },
    domain::{id::OperatorId, principal::Actor},
    web::{self, Holder},
};

use super::{Failed, print as write};

/// The role that modules have unless another is named.
const MODULE_ROLE: &str = "Module";

#[derive(Args)]
#[command(group(ArgGroup::new("holder").required(true).args(["operator", "module"])))]
pub(super) struct TokenCommand {
    /// The platform's number of the site
    #[arg(long, value_name = "NUMBER")]
    site: i64,
    /// The platform's user id of an operator
    #[arg(long, value_name = "NUMBER", requires = "role")]
    operator: Option<i64>,
    /// The operator's role, such as Administrator, Editor or Viewer
    #[arg(long, value_name = "NAME", conflicts_with = "module")]
    role: Option<String>,
    /// The operator's name, as the activity log shows it
    #[arg(long, value_name = "TEXT", conflicts_with = "module")]
    name: Option<String>,
    /// The name of a module, such as forms
    #[arg(long, value_name = "NAME")]
    module: Option<String>,
    /// How long the token is good
    #[arg(long, value_name = "DURATION", default_value = "12h", value_parser = config::duration)]
    ttl: Duration,
    #[command(flatten)]
    secret: TokenArguments,
    #[command(flatten)]
    database: DatabaseUrlArgument,
}

pub(super) fn print(command: &TokenCommand) -> Result<(), Failed> {
    let settings = config::check_tokens(&command.secret, Some(&command.database))?;
    let (actor, role) = match (command.operator, &command.module) {
        (Some(id), _) => {
            let actor = Actor::Operator { id: OperatorId(id), name: command.name.clone() };
            (actor, command.role.clone().unwrap_or_default())
        }
        (None, Some(name)) => (Actor::Module { name: name.clone() }, MODULE_ROLE.to_owned()),
        (None, None) => return Err(Failed::Settings("token: give --operator or --module".to_owned())),
    };
    let holder = Holder { site: command.site, actor, role };
    let token = web::mint(&settings, &SystemClock, &holder, command.ttl);
    write(&format!("{}\n", token.map_err(|problem| Failed::Settings(format!("token: {problem}")))?))
}
