//! A process that serves, and what it has used.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// A serving process, ended when dropped.
pub struct Process {
    child: Child,
    /// `host:port`.
    pub address: String,
}

impl Drop for Process {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// Starts a command that says `listening on http://ADDRESS` once it does.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("the address");
        let address = line.trim().strip_prefix("listening on http://").expect("the address").to_owned();
        Self { child, address }
    }

    /// User and system time so far.
    pub fn cpu(&self) -> Duration {
        cpu(&self.child.id().to_string())
    }

    pub fn resident_kib(&self) -> u64 {
        memory(&self.child.id().to_string(), "VmRSS:")
    }
}

/// The most that was resident of this process, in KiB.
pub fn peak_of_this_process() -> u64 {
    memory("self", "VmHWM:")
}

fn memory(process: &str, what: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("procfs");
    let line = status.lines().find(|line| line.starts_with(what)).expect("its memory");
    line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number")
}

/// User and system time of this process so far.
pub fn cpu_of_this_process() -> Duration {
    cpu("self")
}

/// The id of this process.
pub fn this_process() -> u32 {
    std::process::id()
}

/// The unit of `/proc/PID/stat` is 10 ms on every Linux that Rust supports.
fn cpu(process: &str) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("procfs");
    let after_name = stat.rsplit(')').next().expect("fields");
    let ticks: u64 = after_name.split_whitespace().skip(11).take(2).map(|n| n.parse::<u64>().expect("a number")).sum();
    Duration::from_millis(ticks * 10)
}
