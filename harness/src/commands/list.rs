//! `gauntlet list`: scenarios, whether they apply to a system, and the bundled systems.

use crate::cli::ListArgs;
use crate::console::say;
use gauntlet_core::{ExitCode, Trouble};
use scenarios::{registry, systems};

/// # Errors
/// The system or the overlay does not exist.
pub fn list(arguments: &ListArgs) -> Result<ExitCode, Trouble> {
    let found = systems::load(&arguments.system.system)?;
    let deployment = super::deployment(&found.contract, arguments.overlay.as_deref())?;
    say(format!("scenarios for {} {}:", found.contract.name.value, deployment.overlay_name));
    for scenario in registry::all() {
        let info = scenario.info();
        say(format!("  {:20} {}", info.name, info.summary));
        if let Err(reason) = scenario.applies(deployment) {
            say(format!("  {:20} skipped: {reason}", ""));
        }
    }
    let guesses: Vec<&str> = found.contract.guesses().collect();
    if !guesses.is_empty() {
        say(format!("\nunconfirmed promises, which count for nothing: {}", guesses.join(", ")));
    }
    say("\nsystems:");
    for name in systems::names() {
        let overlays = match systems::load(&name) {
            Ok(found) => found.contract.overlays.keys().cloned().collect::<Vec<_>>().join(", "),
            Err(trouble) => trouble.message,
        };
        say(format!("  {name:20} overlays: {overlays}"));
    }
    Ok(ExitCode::Passed)
}
