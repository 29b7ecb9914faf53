//! What can be asked of the binary. Each command reads its settings, does one thing and says how it ended;
//! `main` calls [`run`], and nobody else.

mod connectors;
mod healthcheck;
mod log;
mod serve;
mod token;

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use integrations_gateway::{
    app::SystemEntropy,
    config::{
        WrongSetting,
        arguments::{DatabaseArguments, ListenArguments, LogArguments, ServeArguments},
        new_master_key,
    },
    graphql,
};

/// The plane on which a platform's sites connect to other companies' systems
#[derive(Parser)]
#[command(version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the gateway: HTTP, subscriptions and delivery workers
    Serve(Box<ServeArguments>),
    /// Print a signed bearer token, and nothing else
    Token(token::TokenCommand),
    /// Print the schema in GraphQL's definition language
    Schema,
    /// Bring the database up to date and stop
    Migrate {
        #[command(flatten)]
        database: DatabaseArguments,
        #[command(flatten)]
        log: LogArguments,
    },
    /// The connector library
    #[command(subcommand)]
    Connectors(Connectors),
    /// Master keys
    #[command(subcommand)]
    Keys(Keys),
    /// Ask a running gateway on this machine whether it is ready
    Healthcheck(ListenArguments),
}

#[derive(Subcommand)]
enum Connectors {
    /// List the connectors of the library
    List {
        /// Directory of more manifests, beside or over the built-in ones
        #[arg(long, env = "GATEWAY_CONNECTORS_DIR", hide_env_values = true, value_name = "DIR")]
        connectors_dir: Option<PathBuf>,
    },
    /// Check the manifests of a directory, tell every fault with its place, and warn of calls that vendors switch off
    Check {
        /// The directory
        directory: PathBuf,
    },
    /// Print the JSON Schema of manifests, for editors
    Schema,
    /// Print the reference of manifests with its tables written anew
    #[command(hide = true)]
    Reference {
        /// The reference
        file: PathBuf,
    },
}

#[derive(Subcommand)]
enum Keys {
    /// Print a fresh master key, `id:base64`
    New,
}

/// How a command failed.
enum Failed {
    /// Wrong use or settings: exit code 2.
    Settings(String),
    /// Anything else: exit code 1.
    Otherwise(String),
}

impl From<Vec<WrongSetting>> for Failed {
    fn from(faults: Vec<WrongSetting>) -> Self {
        Self::Settings(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Otherwise(error.to_string())
    }
}

/// Reads the command line and does what it says.
pub(crate) fn run() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Serve(arguments) => serve::serve(&arguments),
        Command::Token(command) => token::print(&command),
        Command::Schema => print(&graphql::sdl()),
        Command::Migrate { database, log } => serve::migrate(&database, &log),
        Command::Connectors(Connectors::List { connectors_dir }) => connectors::list(connectors_dir.as_deref()),
        Command::Connectors(Connectors::Check { directory }) => connectors::check(&directory),
        Command::Connectors(Connectors::Schema) => connectors::schema(),
        Command::Connectors(Connectors::Reference { file }) => connectors::reference(&file),
        Command::Keys(Keys::New) => print(&format!("{}\n", new_master_key(&SystemEntropy).expose())),
        Command::Healthcheck(arguments) => healthcheck::ask(&arguments),
    };
    let (lines, code) = match outcome {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failed::Settings(lines)) => (lines, 2),
        Err(Failed::Otherwise(lines)) => (lines, 1),
    };
    // Where even this cannot be written, the exit code says it.
    let _ = writeln!(io::stderr(), "{lines}");
    ExitCode::from(code)
}

/// Writes to standard output; a reader that has gone away is a failure, not a panic.
fn print(text: &str) -> Result<(), Failed> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
