//! Whether this machine can hold a [`Lab`](super::Lab), and what to do if it cannot.
//!
//! Decides once per process, by building the smallest possible laboratory with the tools themselves; leaves
//! everything larger to `network`. A machine that forbids it is not an error, unless `HERE_REQUIRE_LAB=1`
//! is set.

use std::{
    io::Write,
    process::{Command, Stdio},
    sync::OnceLock,
};

/// Whether a laboratory can be built here. If not, says so on standard error, past the capture of the test
/// harness, with the reason and the remedy.
///
/// # Panics
///
/// If it cannot and the environment has `HERE_REQUIRE_LAB=1`.
pub fn lab_is_possible() -> bool {
    static ANSWER: OnceLock<Result<(), String>> = OnceLock::new();
    let Err(reason) = ANSWER.get_or_init(attempt) else { return true };
    assert!(
        std::env::var_os("HERE_REQUIRE_LAB").is_none_or(|value| value != "1"),
        "HERE_REQUIRE_LAB=1 is set, but there can be no LAN laboratory here: {reason}"
    );
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test on the LAN laboratory");
    // A failure to write a note to standard error leaves nobody to tell.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: {reason}");
    false
}

fn attempt() -> Result<(), String> {
    for (tool, package) in
        [("unshare", "util-linux"), ("nsenter", "util-linux"), ("setpriv", "util-linux"), ("ip", "iproute2")]
    {
        let found = Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        // `ip` knows `-V` only and complains about `--version`; that it runs is all that matters here.
        if found.is_err() {
            return Err(format!("the program `{tool}` is missing; install the package {package}"));
        }
    }
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", "sh", "-c", SMALLEST_LAB])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("`unshare` does not run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "this machine does not let an ordinary program make network namespaces ({}); run as root, or allow \
         it (`sysctl kernel.apparmor_restrict_unprivileged_userns=0` on Ubuntu, \
         `sysctl user.max_user_namespaces=1000`, `docker run --privileged` in a container), and make sure \
         the kernel modules `bridge` and `veth` are there",
        String::from_utf8_lossy(&output.stderr).trim()
    ))
}

const SMALLEST_LAB: &str = "ip link add br0 type bridge && ip link add v0 type veth peer name v1 \
    && ip link set v0 master br0 && ip link set br0 up && ip link set v0 up";
