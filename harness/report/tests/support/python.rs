//! Parsers from PyPI that others read our files with, in a virtual environment of the tests.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

const PACKAGES: [&str; 3] = ["junitparser==5.0.3", "xmlschema==4.3.2", "jsonschema==4.26.0"];

/// What `read.py` says with these arguments. `None`, said aloud, where the parsers cannot be had.
pub fn read(arguments: &[&Path]) -> Option<Value> {
    static PYTHON: OnceLock<Option<PathBuf>> = OnceLock::new();
    let python = PYTHON.get_or_init(environment).as_ref()?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers/read.py");
    let output = Command::new(python).arg(script).args(arguments).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn environment() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readers");
    let python = folder.join("bin/python3");
    let has_them = || run(Command::new(&python).args(["-c", "import junitparser, xmlschema, jsonschema"]));
    if has_them() {
        return Some(python);
    }
    let made = run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))
        && run(Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(PACKAGES));
    if made && has_them() {
        return Some(python);
    }
    super::skipped(&format!("{} cannot be installed: no python3-venv, or no network", PACKAGES.join(", ")));
    None
}

fn run(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
