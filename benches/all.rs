//! What the claims about performance rest on. `make bench` runs all of it; `make bench ARGS=list` one subject.
//!
//! Each line says what was measured, what it is held against, the ratio, and the aim. Times depend on the machine and
//! are only printed; where a bound is passed that does not (start, memory), the run fails.

#![expect(clippy::disallowed_methods, reason = "a bench measures real time, as a client of the gateway")]

mod bombs;
mod harness;
mod list;
mod postgres;
mod refresh;
mod sockets;
mod start;

use std::process::ExitCode;

/// Its name, and what measures it: false where a bound is broken.
type Subject = (&'static str, fn() -> bool);

fn main() -> ExitCode {
    // Cargo hands `--bench` over.
    let asked: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [serve, file] = &asked[..]
        && serve == list::SERVE_BYTES
    {
        list::serve_bytes(file);
        return ExitCode::SUCCESS;
    }
    let subjects: [Subject; 6] = [
        ("start", start::run),
        ("list", list::run),
        ("postgres", postgres::run),
        ("refresh", refresh::run),
        ("bombs", bombs::run),
        ("sockets", sockets::run),
    ];
    if let Some(unknown) = asked.iter().find(|name| subjects.iter().all(|(known, _)| known != name)) {
        eprintln!("`{unknown}` is no subject; there are: {}", subjects.map(|(name, _)| name).join(", "));
        return ExitCode::from(2);
    }
    let mut kept = true;
    for (name, run) in subjects {
        if asked.is_empty() || asked.iter().any(|asked| asked == name) {
            println!("\n== {name}");
            kept &= run();
        }
    }
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
