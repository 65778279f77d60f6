//! Tells the program which code it is: a seed means the same run only with the same build.

use std::{
    env, fs,
    hash::{DefaultHasher, Hash, Hasher},
    process::Command,
};

fn main() {
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    set("RUSTC", said(Command::new(rustc).arg("--version")));
    set("COMMIT", said(Command::new("git").args(["describe", "--always", "--dirty", "--abbrev=12"])));
    let mut hasher = DefaultHasher::new();
    fs::read("../Cargo.lock").unwrap_or_default().hash(&mut hasher);
    set("LOCK_HASH", Some(format!("{:016x}", hasher.finish())));
    for file in ["../Cargo.lock", "../.git/HEAD", "../.git/index"] {
        if fs::exists(file).unwrap_or(false) {
            println!("cargo::rerun-if-changed={file}");
        }
    }
    println!("cargo::rerun-if-changed=src");
}

fn set(name: &str, value: Option<String>) {
    println!("cargo::rustc-env=HERE_SIM_{name}={}", value.unwrap_or_else(|| "unknown".to_owned()));
}

/// The first line of what a program says, if it can be run.
fn said(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().next().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty())
}
