//! What of RFC 2778 and RFC 2779 works, held to the tests that show it.
//!
//! `requirements.toml` names for each of the 38 terms of RFC 2778 (the three S's of its section 4 among
//! them) and for each of the 93 requirements of RFC 2779 whether it is met and which tests show that. Every
//! term and requirement must be there, every named test must exist, and what is not wholly met must say what
//! is missing. The README's tables are made from it:
//!
//!     UPDATE_README=1 cargo test -p hereabouts --test requirements

#![allow(clippy::unwrap_used, reason = "a failure is what a test is for")]

use std::{
    collections::BTreeSet,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;

#[test]
fn every_term_and_requirement_is_there_once() {
    let rows = rows();
    let terms: Vec<_> = rows.terms.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(terms, TERMS);
    let numbers: Vec<_> = rows.requirements.iter().map(|row| row.id.clone()).collect();
    let expected = SECTIONS
        .iter()
        .flat_map(|(section, count)| (1..=*count).map(move |number| format!("{section}.{number}")));
    assert_eq!(numbers, expected.collect::<Vec<_>>());
}

#[test]
fn every_row_has_tests_that_exist_or_says_what_is_missing() {
    let rows = rows();
    let mut complaints = Vec::new();
    for (id, status, tests, remark, fit) in rows.all() {
        if status == Status::Yes && tests.is_empty() {
            complaints.push(format!("{id} works, and no test shows it"));
        }
        // A term, and what a mesh can meet by ordinary means or by design, has a test, however much of it
        // is met.
        if matches!(fit, None | Some(Fit::M | Fit::D)) && tests.is_empty() {
            complaints.push(format!("{id} has no test"));
        }
        if (status != Status::Yes || fit == Some(Fit::P)) && remark.is_empty() {
            complaints.push(format!("{id} does not say what is missing"));
        }
        complaints.extend(tests.iter().filter(|test| !exists(test)).map(|test| format!("{id}: no {test}")));
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn only_a_test_that_is_run_is_taken_for_one() {
    assert!(exists("node/tests/requirements.rs::only_a_test_that_is_run_is_taken_for_one"));
    assert!(exists("node/tests/mesh.rs::nodes_of_two_realms_never_mix"), "one of tokio's");
    assert!(exists("protocol/tests/formats.rs::presence_documents_validate"), "one of proptest's");
    for none in [
        "node/tests/requirements.rs::exists",
        "node/tests/requirements.rs::only_a_test",
        "node/tests/lab/telephone.rs::role_telephone",
        "node/tests/nowhere.rs::only_a_test_that_is_run_is_taken_for_one",
        "only_a_test_that_is_run_is_taken_for_one",
    ] {
        assert!(!exists(none), "{none}");
    }
}

#[test]
fn the_tables_of_the_readme_are_those_of_this_list() {
    let path = workspace().join("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once(BEGIN).unwrap();
    let (found, after) = rest.split_once(END).unwrap();
    let tables = tables(&rows());
    if std::env::var_os("UPDATE_README").is_some() {
        fs::write(path, format!("{before}{BEGIN}{tables}{END}{after}")).unwrap();
    } else {
        assert!(found == tables, "write them: UPDATE_README=1 cargo test -p hereabouts --test requirements");
    }
}

fn tables(rows: &Rows) -> String {
    let mut text = "\n\n| term | where | works | tests |\n|---|---|---|---|\n".to_owned();
    for Term { id, place, status, tests, remark } in &rows.terms {
        let words = said(*status, remark);
        writeln!(text, "| {id} | {place} | {words} | {} |", links(tests)).unwrap();
    }
    text.push_str("\n<details><summary>RFC 2779's 93 requirements</summary>\n\n");
    text.push_str("| no. | requirement | met | tests |\n|---|---|---|---|\n");
    for Requirement { id, what, status, tests, remark, .. } in &rows.requirements {
        let words = said(*status, remark);
        writeln!(text, "| {id} | {what} | {words} | {} |", links(tests)).unwrap();
    }
    text.push_str("\n</details>\n\n");
    text
}

fn said(status: Status, remark: &str) -> String {
    let status = match status {
        Status::Yes => "yes",
        Status::Part => "part",
        Status::No => "no",
    };
    if remark.is_empty() { status.to_owned() } else { format!("{status}: {remark}") }
}

/// A link to each test, by number, with its name where the pointer rests.
fn links(tests: &[String]) -> String {
    let link = |(number, test): (usize, &String)| {
        let (file, name) = test.split_once("::").unwrap();
        format!("[{}]({file} \"{name}\")", number + 1)
    };
    tests.iter().enumerate().map(link).collect::<Vec<_>>().join(" ")
}

/// Whether the file has a function of this name that is a test, and one that is run.
fn exists(test: &str) -> bool {
    let Some((file, name)) = test.split_once("::") else { return false };
    let Ok(text) = fs::read_to_string(workspace().join(file)) else { return false };
    let declaration = format!("fn {name}(");
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if line == "#[test]" || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if line.starts_with("#[ignore") {
            is_test = false;
        } else if is_test && (line.contains("fn ") || line.is_empty()) {
            if line.contains(&declaration) {
                return true;
            }
            is_test = false;
        }
    }
    false
}

fn rows() -> Rows {
    let text = fs::read_to_string(workspace().join("node/tests/requirements.toml")).unwrap();
    let rows: Rows = toml::from_str(&text).unwrap();
    let ids: BTreeSet<_> = rows.all().map(|(id, ..)| id.to_owned()).collect();
    assert_eq!(ids.len(), rows.all().count(), "a row is there twice");
    rows
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rows {
    terms: Vec<Term>,
    requirements: Vec<Requirement>,
}

impl Rows {
    /// Id, status, tests, remark, and the fit of a requirement.
    fn all(&self) -> impl Iterator<Item = (&str, Status, &[String], &str, Option<Fit>)> {
        let terms = self.terms.iter();
        let terms =
            terms.map(|row| (row.id.as_str(), row.status, row.tests.as_slice(), row.remark.as_str(), None));
        let requirements = self.requirements.iter();
        terms.chain(requirements.map(|row| {
            (row.id.as_str(), row.status, row.tests.as_slice(), row.remark.as_str(), Some(row.fit))
        }))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Term {
    id: String,
    status: Status,
    #[serde(rename = "where")]
    place: String,
    tests: Vec<String>,
    remark: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Requirement {
    id: String,
    fit: Fit,
    what: String,
    status: Status,
    tests: Vec<String>,
    remark: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Yes,
    Part,
    No,
}

/// How a mesh without a server can meet a requirement.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
enum Fit {
    /// By ordinary means.
    M,
    /// By design.
    D,
    /// In part.
    P,
    /// By documentation: it is laid on whoever writes the standard.
    W,
}

/// RFC 2778, section 3, in the order of the alphabet.
const TERMS: [&str; 38] = [
    "ACCESS RULES",
    "CLOSED",
    "COMMUNICATION ADDRESS",
    "COMMUNICATION MEANS",
    "CONTACT ADDRESS",
    "DELIVERY RULES",
    "FETCHER",
    "INBOX USER AGENT",
    "INSTANT INBOX",
    "INSTANT INBOX ADDRESS",
    "INSTANT MESSAGE",
    "INSTANT MESSAGE PROTOCOL",
    "INSTANT MESSAGE SERVICE",
    "NOTIFICATION",
    "OPEN",
    "OTHER PRESENCE MARKUP",
    "POLLER",
    "PRESENCE INFORMATION",
    "PRESENCE PROTOCOL",
    "PRESENCE SERVICE",
    "PRESENCE TUPLE",
    "PRESENCE USER AGENT",
    "PRESENTITY",
    "PRINCIPAL",
    "PROXY",
    "SENDER",
    "SENDER USER AGENT",
    "SERVER",
    "SPAM",
    "SPOOFING",
    "STALKING",
    "STATUS",
    "SUBSCRIBER",
    "SUBSCRIPTION",
    "VISIBILITY RULES",
    "WATCHER",
    "WATCHER INFORMATION",
    "WATCHER USER AGENT",
];

/// RFC 2779's numbered requirements: sections, and how many each has.
const SECTIONS: [(&str, u32); 17] = [
    ("2.1", 5),
    ("2.2", 6),
    ("2.3", 7),
    ("2.4", 4),
    ("2.5", 4),
    ("3.1", 6),
    ("3.2", 5),
    ("3.3", 3),
    ("3.4", 1),
    ("4.1", 10),
    ("4.2", 1),
    ("4.3", 1),
    ("4.4", 3),
    ("5.1", 18),
    ("5.2", 6),
    ("5.3", 3),
    ("5.4", 10),
];

const BEGIN: &str = "<!-- requirements: begin -->";
const END: &str = "<!-- requirements: end -->";
