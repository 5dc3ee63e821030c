//! The image whose libraries the agent's image is built with: of the distribution that this program runs on, since there
//! it starts for sure. An older C library than the one that a program was linked with does not start it.

/// Where a distribution says what it is.
const OS_RELEASE: &str = "/etc/os-release";

/// For distributions whose own images the Dockerfile, which installs by `apt-get`, cannot use.
const OTHERWISE: &str = "debian:12-slim";

/// The base for this machine.
pub fn of_this_machine() -> String {
    base(&std::fs::read_to_string(OS_RELEASE).unwrap_or_default())
}

/// The base for a distribution, by its `os-release`.
fn base(os_release: &str) -> String {
    let value = |key: &str| {
        let line = os_release.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='))?;
        Some(line.trim_matches(['"', '\''])).filter(|value| !value.is_empty())
    };
    // Debian in the making has no number yet.
    match (value("ID"), value("VERSION_ID").or(value("VERSION_CODENAME"))) {
        (Some("debian"), Some(version)) => format!("debian:{version}-slim"),
        (Some("ubuntu"), Some(version)) => format!("ubuntu:{version}"),
        _ => OTHERWISE.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_is_of_the_distribution_that_this_program_runs_on() {
        for (os_release, expected) in [
            ("PRETTY_NAME=\"Debian GNU/Linux 12\"\nVERSION_ID=\"12\"\nID=debian\n", "debian:12-slim"),
            ("VERSION_CODENAME=bookworm\nID=debian\nVERSION_ID=\"13\"", "debian:13-slim"),
            ("ID=debian\nVERSION_CODENAME=forky\n", "debian:forky-slim"),
            ("NAME=\"Ubuntu\"\nVERSION_ID=\"24.04\"\nID=ubuntu\nID_LIKE=debian\n", "ubuntu:24.04"),
            ("ID='ubuntu'\nVERSION_ID='22.04'\n", "ubuntu:22.04"),
            // Neither has what the Dockerfile needs.
            ("ID=fedora\nVERSION_ID=42\n", OTHERWISE),
            ("ID=debian\n", OTHERWISE),
            ("ID=debian\nVERSION_ID=\n", OTHERWISE),
            ("", OTHERWISE),
        ] {
            assert_eq!(base(os_release), expected, "{os_release}");
        }
    }
}
