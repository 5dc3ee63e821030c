//! Running the program as a person does, with a state and a report folder of the test's own.

pub mod elsewhere;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// What a command came to.
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Folders that belong to one test.
pub struct Place {
    pub folder: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program, not yet started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gauntlet"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("GAUNTLET_STATE_DIR", self.path("state"))
            .env_remove("RUST_LOG")
            .env("CI", "1");
        command
    }

    pub fn gauntlet(&self, arguments: &[&str]) -> Ended {
        ended(self.command(arguments).output().expect("the program starts"))
    }

    /// Copies the bundled system here and changes its contract.
    pub fn system(&self, change: impl Fn(String) -> String) -> PathBuf {
        let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/systems/cordum");
        let copy = self.path("system");
        copy_folder(&bundled, &copy);
        let file = copy.join("system.yaml");
        let text = std::fs::read_to_string(&file).expect("the contract is there");
        std::fs::write(&file, change(text)).expect("the contract can be written");
        copy
    }
}

/// Starts a run and returns when it announces `moment`. The id of the run, and the process.
pub fn run_until(mut command: Command, moment: &str) -> (String, Child) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let mut lines = BufReader::new(child.stderr.take().expect("standard error is piped")).lines();
    let mut run = None;
    let mut said = String::new();
    for line in lines.by_ref().map_while(Result::ok) {
        if let Some(rest) = line.strip_prefix("run ") {
            run = rest.split(':').next().map(str::to_owned);
        }
        said.push_str(&line);
        said.push('\n');
        if line.starts_with(moment) {
            // Whatever it says later must not block it.
            std::thread::spawn(move || lines.for_each(drop));
            return (run.expect("a run says its id first"), child);
        }
    }
    let ended = child.wait().expect("the run has closed its output, so it ends");
    panic!("the run ended with {ended} before it came to `{moment}`:\n{said}");
}

pub fn ended(output: Output) -> Ended {
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder can be made");
    for entry in std::fs::read_dir(from).expect("the folder is there").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a file can be copied");
        }
    }
}
