//! What the subjects share: processes that serve, their CPU time and memory, a client, rows, and the lines that are
//! printed.

mod client;
mod gateway;
mod process;
mod rows;

pub use self::{
    client::{Client, load, post, serve_for},
    gateway::{Gateway, Setup},
    process::{Process, cpu_of_this_process, peak_of_this_process, this_process},
    rows::{ROWS, fill, new_connection, site},
};

/// Prints a value beside a reference, and their ratio beside what it is to be at most.
pub fn at_most(what: &str, value: f64, reference: (&str, f64), aim: f64, unit: &str) {
    let ratio = value / reference.1;
    let verdict = if ratio <= aim { "reached" } else { "missed" };
    println!(
        "{what}: {value:.1} {unit}; {}: {:.1} {unit}; ratio {ratio:.2}, aim at most {aim}: {verdict}",
        reference.0, reference.1
    );
}

/// As [`at_most`], for a ratio that is to be large.
pub fn at_least(what: &str, value: f64, reference: (&str, f64), (bound, aim): (f64, f64), unit: &str) {
    let ratio = value / reference.1;
    let verdict = if ratio >= aim {
        "reached"
    } else if ratio >= bound {
        "bound kept, aim missed"
    } else {
        "missed"
    };
    println!(
        "{what}: {value:.0} {unit}; {}: {:.0} {unit}; ratio {ratio:.2}, at least {bound}, aim {aim}: {verdict}",
        reference.0, reference.1
    );
}

/// Prints a value beside its bound, and whether it is kept.
pub fn bound(what: &str, value: f64, bound: f64, unit: &str) -> bool {
    let kept = value <= bound;
    let verdict = if kept { "kept" } else { "broken" };
    println!("{what}: {value:.1} {unit}; bound {bound} {unit}; ratio {:.2}: {verdict}", value / bound);
    kept
}

pub fn micros(duration: std::time::Duration) -> f64 {
    duration.as_secs_f64() * 1_000_000.0
}

/// Megabytes of 1,000,000 bytes.
pub fn megabytes(kib: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let bytes = (kib * 1_024) as f64;
    bytes / 1_000_000.0
}
