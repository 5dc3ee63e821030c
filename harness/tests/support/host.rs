//! What of a run is left on the machine.
#![allow(dead_code)] // not every test uses all of it

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Everything that belongs to the state directory or to a run and should be gone.
pub fn leftovers(state: &Path, run: &str) -> Vec<String> {
    let mut left = processes(state);
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("mounts can be read");
    let here = state.to_str().expect("a temporary path is text");
    left.extend(mounts.lines().filter(|line| line.contains(here)).map(|line| format!("mount: {line}")));
    left.extend(cgroups(Path::new("/sys/fs/cgroup"), run, 5));
    for folder in ["clusters", "runs"] {
        let entries = std::fs::read_dir(state.join(folder)).into_iter().flatten().flatten();
        left.extend(entries.map(|entry| format!("state: {}", entry.path().display())));
    }
    left
}

/// What is left once nothing changes for the better any more, or the deadline has passed.
pub fn leftovers_after(state: &Path, run: &str, deadline: Duration) -> Vec<String> {
    let until = Instant::now() + deadline;
    loop {
        let left = leftovers(state, run);
        if left.is_empty() || Instant::now() >= until {
            return left;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Processes that were started with this state directory, by their environment.
fn processes(state: &Path) -> Vec<String> {
    let variable = format!("GAUNTLET_STATE_DIR={}", state.display());
    let belongs = |process: &Path| {
        let environment = std::fs::read(process.join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == variable.as_bytes())
    };
    let processes = std::fs::read_dir("/proc").expect("processes can be listed").flatten().map(|entry| entry.path());
    let left = processes.filter(|process| belongs(process));
    left.map(|process| {
        let command = std::fs::read_to_string(process.join("cmdline")).unwrap_or_default().replace('\0', " ");
        format!("process: {} {command}", process.display())
    })
    .collect()
}

fn cgroups(folder: &Path, run: &str, depth: u32) -> Vec<String> {
    let mut left = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_symlink() || !path.is_dir() {
            continue;
        }
        if entry.file_name().to_string_lossy().contains(run) {
            left.push(format!("cgroup: {}", path.display()));
        } else if depth > 0 {
            left.extend(cgroups(&path, run, depth - 1));
        }
    }
    left
}

/// The machine's own network: nothing of ours may ever show in it.
pub fn network() -> String {
    let output = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
    };
    let links = std::fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    let mut links: Vec<String> = links.map(|link| link.file_name().to_string_lossy().into_owned()).collect();
    links.sort();
    let routes = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    format!("{}\n{routes}\n{}", links.join("\n"), output("nft", &["--stateless", "list", "ruleset"]))
}
