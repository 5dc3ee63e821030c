//! Running `nft`: a text of rules is loaded as one transaction, all or nothing.

use std::io::{self, Write};
use std::process::{Command, Output, Stdio};

use crate::error::{Doing, Result};
use crate::netns::NetNs;

/// Loads rules into a namespace. `what` names them in the error.
pub(crate) async fn load(namespace: &NetNs, what: &'static str, rules: String) -> Result<()> {
    run(namespace, what, ["-f", "-"].map(str::to_owned).to_vec(), rules).await.map(drop)
}

/// What `nft --json` answers to a command.
pub(crate) async fn ask(namespace: &NetNs, what: &'static str, command: Vec<String>) -> Result<serde_json::Value> {
    let arguments = std::iter::once("--json".to_owned()).chain(command).collect();
    let output = run(namespace, what, arguments, String::new()).await?;
    serde_json::from_slice(&output).map_err(io::Error::other).doing(|| what)
}

/// All rules of a namespace, with their counters, as `nft` writes them.
pub(crate) async fn rules(namespace: &NetNs) -> Result<String> {
    let what = "list the rules of the network";
    let arguments = ["list", "ruleset"].map(str::to_owned).to_vec();
    run(namespace, what, arguments, String::new()).await.map(|output| String::from_utf8_lossy(&output).into_owned())
}

async fn run(namespace: &NetNs, what: &'static str, arguments: Vec<String>, input: String) -> Result<Vec<u8>> {
    namespace.run(move || execute(&arguments, &input).doing(|| what)).await
}

/// Runs `nft` in the namespace of the calling thread.
fn execute(arguments: &[String], input: &str) -> io::Result<Vec<u8>> {
    let mut nft = Command::new("nft")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // Writing fails when nft ends early: then its last words, below, say why. It reads everything before it answers.
    let written = nft.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(input.as_bytes()));
    let Output { status, stdout, stderr } = nft.wait_with_output()?;
    if status.success() {
        return written.map(|()| stdout);
    }
    Err(io::Error::other(format!("{status}: {}", String::from_utf8_lossy(&stderr).trim())))
}

/// The beginning of a text that replaces a table, whether it is there or not.
pub(crate) fn replace_table(name: &str) -> String {
    format!("table ip {name} {{\n}}\ndelete table ip {name}\ntable ip {name} {{\n")
}

/// A named set or map of a table.
pub(crate) fn set(text: &mut String, name: &str, kind: &str, elements: impl IntoIterator<Item = String>) {
    use std::fmt::Write;
    let _ = writeln!(text, "\t{name} {{\n\t\ttype {kind}");
    let elements: std::collections::BTreeSet<String> = elements.into_iter().collect();
    if !elements.is_empty() {
        let elements: Vec<String> = elements.into_iter().collect();
        let _ = writeln!(text, "\t\telements = {{ {} }}", elements.join(",\n\t\t\t"));
    }
    text.push_str("\t}\n");
}
