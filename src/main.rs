//! The commands: from a command line to an exit code, 0 for done, 1 for failed, 2 for wrong use or settings.

mod commands;

use std::process::ExitCode;

fn main() -> ExitCode {
    commands::run()
}
