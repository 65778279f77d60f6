//! Every scenario that ships, at its small size, and the command line as its users see it.
//!
//! Each scenario is run twice in two processes that must do the same to the last event. Scenario and seed
//! pairs that once broke something are in `tests/seeds`, one file each, which says what it was.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use tempfile::TempDir;

macro_rules! small {
    ($($test:ident: $scenario:literal),* $(,)?) => {
        /// Those that are tested below.
        const TESTED: &[&str] = &[$($scenario),*];

        $(
            #[test]
            fn $test() {
                let output = here_sim(&["run", "--small", "--twice", $scenario]);
                assert_ended(&output, 0, "two runs, one trace");
            }
        )*
    };
}

small![
    a_lan_party: "lan-party",
    an_office: "office",
    a_flash_crowd: "flash-crowd",
    a_campus: "campus",
    a_join_storm: "join-storm",
    a_crowded_segment: "crowded-segment",
    a_city: "city",
    a_rolling_restart: "rolling-restart",
    idle_nodes: "idle",
    a_sudden_death: "sudden-death",
    a_loss_of_power: "power-loss",
    a_massacre_of_half: "half-massacre",
    a_massacre: "massacre",
    a_crash_of_everything: "crash-everything",
    a_partition_that_heals: "partition-heal",
    two_halves_that_meet_again: "half-and-half",
    a_cut_of_one_way: "one-way",
    a_split_of_six_hours: "long-split",
    a_lossy_wifi: "lossy-wifi",
    lids_of_laptops: "laptop-lids",
    one_starved_node: "one-starved-node",
    ten_starved_nodes: "starved-nodes",
    two_hours_of_churn: "churn",
    a_mix_of_faults: "fault-mix",
    watchers_with_mixed_rules: "watchers",
    grants_taken_back: "revocation",
    hostile_recorders: "recorders",
    a_message_storm: "message-storm",
    a_flood_of_spam: "spam-flood",
    a_storm_of_fetches: "fetch-storm",
    a_storm_of_subscriptions: "subscription-storm",
    forgers: "forgers",
    false_accusers: "false-accusers",
];

macro_rules! seeds {
    ($($test:ident: $scenario:literal with $seed:literal),* $(,)?) => {
        const SEEDS: &[&str] = &[$($scenario),*];

        $(
            #[test]
            fn $test() {
                let file = format!("{}/{}.toml", SEEDS_FOLDER, $scenario);
                assert_ended(&here_sim(&["run", &file, "--seed", $seed]), 0, "PASSED");
            }
        )*
    };
}

seeds![
    old_changes_of_a_lost_disk_are_no_news: "renumbered-changes" with "1",
    what_a_leaving_node_sees_counts_no_more: "seen-while-leaving" with "2",
    a_power_cut_takes_lazily_stored_records: "unsynced-records" with "1",
    nobody_waits_for_a_lost_outbox: "lost-outbox" with "1",
    the_last_of_many_changes_on_waking_stands: "changes-on-waking" with "1",
    a_stopped_node_that_is_to_restart_does: "leaving-while-stopped" with "1",
    what_a_full_disk_refused_is_stored_later: "disk-full" with "4",
    an_address_may_change: "address-change" with "1",
    messages_that_waited_out_a_silent_cut_arrive: "queued-waits" with "1",
    silence_is_noticed: "silence" with "1",
    halves_of_many_find_each_other: "split-of-many" with "1",
    what_was_on_its_way_between_sleepers_arrives: "waking-stuck" with "17",
];

#[test]
fn the_canary_fails_and_is_glad_of_it() {
    let output = here_sim(&["run", "--small", "--twice", "canary"]);
    assert_ended(&output, 0, "this scenario is to fail (safety), and did");
}

#[test]
fn the_canary_sings_when_its_disks_do_not_lie() {
    let text = canary().replace("lies = true", "lies = false").replace("fails = \"safety\"", "");
    assert_ended(&run_text(&text), 0, "PASSED");
}

#[test]
fn what_leaks_past_a_rule_is_found_in_what_hosts_received() {
    let output = here_sim(&["run", "--small", "--twice", "access-canary"]);
    assert_ended(&output, 0, "this scenario is to fail (safety), and did");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/access-canary.toml");
    let honest = fs::read_to_string(folder).unwrap().replace("lies = true", "lies = false");
    assert_ended(&run_text(&honest.replace("fails = \"safety\"", "")), 0, "PASSED");
}

#[test]
fn a_hundred_mixes_of_faults() {
    let output = here_sim(&["sweep", "fault-mix", "--small", "--seeds", "100"]);
    assert_ended(&output, 0, "fault-mix");
}

#[test]
fn a_study_says_the_same_again_whether_its_runs_are_made_or_kept() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let study = |more: &[&str]| {
        let output = here_sim_in(folder.path(), &[&["study", "gossip", "--small"], more].concat());
        assert_ended(&output, 0, "## links of the mesh");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let made = study(&["--keep", "runs", "--report", "study.html"]);
    let page = fs::read_to_string(folder.path().join("study.html")).expect("a page was written");
    assert!(page.contains("<svg") && page.contains("20 nodes"));
    let kept = fs::read_dir(folder.path().join("runs")).expect("the runs were kept");
    let newest = kept.map(|file| file.unwrap().path()).max().expect("a file for each run");
    assert_eq!(study(&["--keep", "runs"]), made);
    fs::remove_file(newest).expect("a run can be lost");
    assert_eq!(study(&["--keep", "runs"]), made);
}

#[test]
fn a_study_that_cannot_be_is_told_before_anything_runs() {
    assert_ended(&here_sim(&["study", "gosip"]), 2, "no study `gosip` ships");
    assert_ended(&here_sim(&["study", "gossip", "--nodes", "31"]), 2, "no size of 31 nodes");
}

#[test]
fn every_scenario_that_ships_and_every_seed_is_tested() {
    let output = here_sim(&["list"]);
    assert_ended(&output, 0, "");
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut shipped: Vec<_> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let mut tested = [TESTED, &["canary", "access-canary"]].concat();
    shipped.sort_unstable();
    tested.sort_unstable();
    assert_eq!(shipped, tested);
    for file in fs::read_dir(SEEDS_FOLDER).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap();
        assert!(SEEDS.contains(&name), "{name} is not run");
        assert!(fs::read_to_string(&path).unwrap().contains("# "), "{name} does not say what it is");
    }
}

#[test]
fn a_misspelt_field_is_told_with_its_line_and_what_was_meant() {
    let output = run_text("name = \"x\"\nsummary = \"x\"\nnodes = 3\nduraton = \"5s\"\n");
    assert_ended(&output, 2, "duration");
    assert_ended(&output, 2, "scenario.toml:4");
}

#[test]
fn an_unknown_scenario_is_told_with_one_that_is_alike() {
    assert_ended(&here_sim(&["run", "ofice"]), 2, "did you mean `office`?");
    assert_ended(&here_sim(&["run", "nowhere.toml"]), 2, "cannot read nowhere.toml");
    assert_ended(&here_sim(&["run", "lan-party", "--nodes", "1"]), 2, "from 2 to 100000");
}

#[test]
fn a_run_that_fails_leaves_a_capsule_that_fails_again_in_the_same_way() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("scenario.toml"), canary().replace("fails = \"safety\"", "")).unwrap();
    let failed = here_sim_in(folder.path(), &["run", "scenario.toml", "--seed", "7"]);
    assert_ended(&failed, 3, "SAFETY VIOLATION");
    assert_ended(&failed, 3, "capsule: canary-7.capsule.json");
    let replayed = here_sim_in(folder.path(), &["replay", "canary-7.capsule.json"]);
    assert_ended(&replayed, 0, "the same run as in the capsule");
    let hash = |output: &Output| {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().find(|line| line.trim_start().starts_with("trace")).map(str::to_owned)
    };
    assert!(hash(&failed).is_some());
    assert_eq!(hash(&failed), hash(&replayed));
}

#[test]
fn a_bound_that_does_not_hold_is_a_liveness_failure() {
    let text =
        "name = \"x\"\nsummary = \"x\"\nnodes = 3\nduration = \"1s\"\n[expect]\njoined_within = \"1us\"\n";
    assert_ended(&run_text(text), 4, "LIVENESS FAILURE");
}

#[test]
fn what_shall_happen_and_does_not_is_a_failure() {
    let text =
        "name = \"x\"\nsummary = \"x\"\nnodes = 3\nduration = \"1s\"\n[expect]\nsometimes = [\"lost\"]\n";
    assert_ended(&run_text(text), 4, "lost never happened");
}

fn canary() -> String {
    fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/canary.toml"))
        .expect("the canary ships")
}

/// Runs a scenario that is in no file yet.
fn run_text(text: &str) -> Output {
    let folder = tempfile::tempdir().expect("a folder can be made");
    fs::write(folder.path().join("scenario.toml"), text).expect("a file can be written");
    here_sim_in(folder.path(), &["run", "scenario.toml"])
}

/// Runs the program where its capsules are in nobody's way.
fn here_sim(arguments: &[&str]) -> Output {
    let folder: TempDir = tempfile::tempdir().expect("a folder can be made");
    here_sim_in(folder.path(), arguments)
}

fn here_sim_in(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_here-sim"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("the program was built")
}

/// Asserts how a run ended, and that it said these words.
#[track_caller]
fn assert_ended(output: &Output, code: i32, words: &str) {
    let said =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned()).join("\n");
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(words), "no {words:?} in:\n{said}");
}

const SEEDS_FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/seeds");
