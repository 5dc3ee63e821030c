//! Programs that the machine must have: which they are, and how they get there.

pub mod apt;
pub mod programs;
pub mod pypi;
pub mod release;

use gauntlet_core::{Contract, Trouble};
use programs::Program;
use pypi::Release;

/// Makes sure that the programs for a system are there, installing what is missing unless that is forbidden.
///
/// # Errors
/// Something is missing and may not or cannot be installed; the exact command is named.
pub async fn ensure(contract: &Contract, no_install: bool) -> Result<(), Trouble> {
    ensure_programs(&programs::needed(contract), no_install).await
}

/// The same for programs that are known already.
///
/// # Errors
/// As [`ensure`].
pub async fn ensure_programs(needed: &[Program], no_install: bool) -> Result<(), Trouble> {
    if !no_install && nix::unistd::geteuid().is_root() {
        for release in programs::outdated(needed).await {
            renew(&release).await;
        }
    }
    let missing = programs::missing(needed);
    if missing.is_empty() {
        return Ok(());
    }
    if let Some(refusal) = refusal(&missing, no_install, nix::unistd::geteuid().is_root()) {
        return Err(refusal);
    }
    let packages = programs::packages(&missing);
    eprintln!("{}: installing {} (--no-install forbids it)", lack(&missing), packages.join(", "));
    apt::install(&packages).await.map_err(|trouble| trouble.hint(command(&missing)))
}

/// A machine without a network does with the release that the distribution has: the report says which one ran.
async fn renew(release: &Release) {
    let Release { program, version, project, .. } = release;
    eprintln!("this machine lacks {program} {version}: installing {project} from PyPI (--no-install forbids it)");
    if let Err(trouble) = pypi::install(release).await {
        eprintln!("{trouble}\nthe distribution's release of {program} takes its place");
    }
}

fn lack(missing: &[Program]) -> String {
    let names: Vec<&str> = missing.iter().map(|program| program.name).collect();
    format!("this machine lacks {}", names.join(", "))
}

fn command(missing: &[Program]) -> String {
    format!("apt-get install --no-install-recommends {}", programs::packages(missing).join(" "))
}

/// Why what is missing is not installed here and now; `None` when it may be.
fn refusal(missing: &[Program], no_install: bool, is_root: bool) -> Option<Trouble> {
    match (no_install, is_root) {
        (true, _) => Some(Trouble::input(lack(missing)).hint(command(missing))),
        (false, false) => Some(
            Trouble::input(format!("{}, and only root can install it", lack(missing)))
                .hint("run it as root, for example with sudo")
                .hint(command(missing)),
        ),
        (false, true) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MISSING: [Program; 2] = [Program::new("redis-cli", "redis-tools"), Program::new("runc", "runc")];

    #[test]
    fn without_leave_to_install_the_exact_command_is_named() {
        for (no_install, is_root) in [(true, true), (true, false), (false, false)] {
            let refusal = refusal(&MISSING, no_install, is_root).unwrap();
            assert_eq!(refusal.exit_code(), gauntlet_core::ExitCode::BadInput);
            assert!(refusal.message.contains("redis-cli, runc"), "{refusal}");
            let command = "apt-get install --no-install-recommends redis-tools runc";
            assert!(refusal.hints.iter().any(|hint| hint == command), "{:?}", refusal.hints);
        }
    }

    #[test]
    fn root_may_install() {
        assert_eq!(refusal(&MISSING, false, true), None);
    }
}
