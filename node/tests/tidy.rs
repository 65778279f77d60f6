//! What no compiler checks: the length of files and lines, leftovers, and which crate may depend on what.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a failure is what a test is for")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

#[test]
fn files_and_lines_are_of_readable_length_and_nothing_is_left_behind() {
    let mut complaints = Vec::new();
    for path in sources(workspace()) {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.strip_prefix(workspace()).unwrap().display();
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX {
            complaints.push(format!("{name} has {lines} lines: cut it along a seam"));
        }
        for (number, line) in (1..).zip(text.lines()) {
            if line.chars().count() > LINE_CHARACTERS_MAX {
                complaints.push(format!("{name}:{number} is longer than {LINE_CHARACTERS_MAX} characters"));
            }
            if LEFTOVERS.iter().any(|leftover| line.contains(leftover))
                && !name.to_string().ends_with("tidy.rs")
            {
                complaints.push(format!("{name}:{number} was left behind"));
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn the_protocol_depends_on_pure_crates_only() {
    let packages = packages();
    let direct = dependencies(&packages, "hereabouts-protocol");
    assert_eq!(direct, BTreeSet::from(PROTOCOL_DEPENDENCIES.map(str::to_owned)), "see DESIGN: the rooms");
    let mut all = direct.clone();
    let mut open: Vec<String> = direct.into_iter().collect();
    while let Some(next) = open.pop() {
        for name in dependencies(&packages, &next) {
            if all.insert(name.clone()) {
                open.push(name);
            }
        }
    }
    for banned in ["tokio", "async-std", "libp2p-core", "libp2p-swarm", "rusqlite", "mio", "socket2"] {
        assert!(!all.contains(banned), "the protocol reaches {banned}");
    }
}

#[test]
fn crates_depend_on_each_other_one_way() {
    let packages = packages();
    let ours = |name: &str| -> Vec<String> {
        dependencies(&packages, name).into_iter().filter(|name| name.starts_with("hereabouts")).collect()
    };
    assert_eq!(ours("hereabouts-protocol"), [""; 0]);
    assert_eq!(ours("hereabouts"), ["hereabouts-protocol"]);
    assert_eq!(ours("hereabouts-simulations"), ["hereabouts", "hereabouts-protocol"]);
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(workspace())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// The names of what a package needs to run, as its manifest says; none for one that is not built.
fn dependencies(packages: &[Value], name: &str) -> BTreeSet<String> {
    let package = packages.iter().find(|package| package["name"] == name);
    let listed = package.and_then(|package| package["dependencies"].as_array()).into_iter().flatten();
    let needed = listed.filter(|dependency| dependency["kind"].is_null() && dependency["optional"] == false);
    needed.filter_map(|dependency| dependency["name"].as_str()).map(str::to_owned).collect()
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

const FILE_LINES_MAX: usize = 800;
const LINE_CHARACTERS_MAX: usize = 110;
const LEFTOVERS: [&str; 5] = ["todo!(", "unimplemented!(", "dbg!(", "FIXME", "TODO"];
/// Keys, ciphers, serialisation, XML, hashing, errors, and a generator of random numbers that is seeded by
/// its caller.
const PROTOCOL_DEPENDENCIES: [&str; 10] = [
    "bincode",
    "chacha20poly1305",
    "data-encoding",
    "libp2p-identity",
    "quick-xml",
    "rand",
    "serde",
    "serde_bytes",
    "sha2",
    "thiserror",
];
