//! The language as a whole: what is read, what is refused and with which words, and that it is documented.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;

const REFERENCE: &str = include_str!("../../SCENARIOS.md");

const LEAST: &str = "name = \"pair\"\nsummary = \"Two nodes\"\nnodes = 30\n";

/// The example of the reference.
fn example() -> &'static str {
    let code = REFERENCE.split("```toml\n").nth(1).expect("the reference has an example");
    code.split("```").next().expect("the example ends")
}

/// One of every kind of fault and adversary, and every bound.
fn everything() -> String {
    let mut text = format!("{LEAST}{}", "duration = \"5m\"\n[small]\nnodes = 10\nduration = \"20s\"\n");
    text += "[join]\nhow = \"flash-crowd\"\ndiscovery = \"given\"\n";
    text += "[gossip]\nmesh_peers = 6\nmesh_peers_max = 8\nflood_publish = true\nlazy_share = \"12.5%\"\n";
    text += "heartbeat_interval = \"700ms\"\nidontwant_above_bytes = 0\n";
    text += "[network]\nprofile = \"wan\"\nsegments = 3\nlatency = \"0.25ms\"\njitter = \"30us\"\n";
    text += "loss = \"0.1%\"\nbandwidth_mbit = 10\n[workload]\nchanges = 9\nmessages = 9\ncontacts = true\n";
    text += "bursts = 2\nburst_changes = 7\nburst_within = \"5ms\"\n";
    text += "[access]\nguarded = 4\nchanges = 5\nrule_changes = 9\n";
    text += "[churn]\namount = \"12.5%\"\ngraceful = \"33%\"\nkeep_disk = \"7%\"\n";
    text += "session = { distribution = \"lognormal\", median = \"90s\" }\n";
    text += "away = { distribution = \"weibull\", median = \"1.5s\", shape = 0.7 }\n";
    for kind in FaultKind::ALL {
        text += &format!("[[faults]]\nkind = \"{kind}\"\nat = \"10s\"\namount = \"10%\"\n");
        text += match kind {
            FaultKind::SlowCpu => "factor = 20\nlasts = \"5s\"\n",
            FaultKind::Loss => "loss = \"20%\"\nlasts = \"5s\"\n",
            FaultKind::ClockSkew => "skew = \"-5m\"\n",
            FaultKind::Crash => "keep_disk = false\n",
            FaultKind::Restart => "every = \"1s\"\n",
            FaultKind::AddressChange => "",
            _ => "lasts = \"20s\"\n",
        };
    }
    text += "[drawn_faults]\ncount = 6\n";
    for kind in AdversaryKind::ALL {
        text += &format!("[[adversaries]]\nkind = \"{kind}\"\n");
        text += if *kind == AdversaryKind::Spammer { "contact = true\ndenied_at = \"9s\"\n" } else { "" };
    }
    text += "[expect]\njoined_within = \"5s\"\nchange_p50 = \"10ms\"\nchange_p99 = \"20ms\"\n";
    text += "change_all = \"2s\"\nleave_seen = \"1s\"\nloss_seen = \"2s\"\nconverged_within = \"5s\"\n";
    text += "heal_cost = 4.0\nguarded_change_p99 = \"1s\"\n";
    text += "false_lost = 0\nmessage_p99 = \"50ms\"\ncopies = 4\nidle_bytes_per_second = 400.0\n";
    text += "join_announcements = 80.0\nidle_announcements_per_second = 1.0\ndials_per_second = 64\n";
    text += "departures = false\nfails = \"safety\"\n";
    let names: Vec<_> = Sometimes::ALL.iter().map(|name| format!("\"{name}\"")).collect();
    text + &format!("sometimes = [{}]\n", names.join(", "))
}

fn parsed(text: &str) -> Scenario {
    Scenario::parse("test.toml", text).unwrap_or_else(|error| panic!("{error}"))
}

/// The error for the least scenario with `more` after it.
fn refused(more: &str) -> ScenarioError {
    match Scenario::parse("test.toml", &format!("{LEAST}{more}")) {
        Ok(scenario) => panic!("not refused: {more}\n{scenario:?}"),
        Err(error) => error,
    }
}

/// Asserts on which line the least scenario with `more` is refused, and that the words contain these.
fn assert_refused(more: &str, line: usize, words: &[&str]) {
    let error = refused(more);
    let shown = error.to_string();
    assert_eq!(error.line, line, "{shown}");
    for word in words {
        assert!(shown.contains(word), "no {word:?} in:\n{shown}");
    }
}

#[test]
fn the_least_scenario_has_all_defaults() {
    let scenario = parsed(LEAST);
    assert_eq!(scenario.duration, Duration::from_secs(60));
    assert_eq!(scenario.settle, Duration::from_secs(30));
    assert_eq!(scenario.join_limit, Duration::from_secs(60));
    assert_eq!(scenario.join, Join::default());
    assert_eq!(scenario.node, NodeSettings::default());
    assert_eq!(scenario.gossip, Gossip::default());
    assert_eq!(scenario.network, NetworkSettings::default());
    assert_eq!(scenario.disk, DiskSettings::default());
    assert_eq!(scenario.workload, Workload::default());
    assert_eq!(scenario.expect, Expect::default());
    assert!(scenario.churn.is_none() && scenario.drawn_faults.is_none());
    assert!(scenario.faults.is_empty() && scenario.adversaries.is_empty());
    assert!(scenario.small.is_empty() && !scenario.shuffle);
}

#[test]
fn an_empty_section_is_an_absent_one() {
    let empty = "[small]\n[join]\n[node]\n[gossip]\n[network]\n[disk]\n[workload]\n[expect]\n";
    assert_eq!(parsed(&format!("{LEAST}{empty}")), parsed(LEAST));
}

#[test]
fn defaults_follow_the_settings_they_depend_on() {
    let scenario = parsed(&format!("{LEAST}[join]\nhow = \"ramp\"\n[network]\nprofile = \"wifi\"\n"));
    assert_eq!(scenario.join.within, Duration::from_secs(10));
    assert!(scenario.network.stalls);
    let scenario = parsed(&everything());
    assert_eq!(scenario.join.crowd, Amount::Share(0.5));
    assert_eq!(scenario.join.crowd_at, Duration::from_secs(20));
    assert_eq!(scenario.join.given, 3);
    let restart = scenario.faults.iter().find(|fault| fault.kind == FaultKind::Restart);
    assert_eq!(restart.and_then(|fault| fault.lasts), Some(Duration::from_secs(1)));
    assert_eq!(scenario.drawn_faults.map(|drawn| drawn.kinds), Some(FaultKind::ALL.to_vec()));
    assert_eq!(scenario.adversaries[0].amount, Amount::Share(0.1));
}

#[test]
fn of_the_settings_of_gossip_those_are_shown_that_are_set() {
    assert_eq!(parsed(LEAST).gossip.set(), []);
    assert_eq!(parsed(&format!("{LEAST}[gossip]\nmesh_peers = 3\n")).gossip.set(), []);
    let set = parsed(&everything()).gossip.set();
    let wanted = [
        ("mesh_peers", "6"),
        ("mesh_peers_max", "8"),
        ("flood_publish", "true"),
        ("lazy_share", "12.5%"),
        ("heartbeat_interval", "700ms"),
        ("idontwant_above_bytes", "0"),
    ];
    assert_eq!(set, wanted.map(|(field, value)| (field, value.to_owned())));
}

#[test]
fn what_is_written_parses_back_to_the_same() {
    for text in [LEAST, example(), &everything()] {
        let scenario = parsed(text);
        let versions = [
            scenario.clone(),
            scenario.clone().small(),
            scenario.clone().with_nodes(2),
            scenario.clone().with_nodes(3),
            scenario.clone().with_nodes(50_000),
            scenario.with_nodes(7).small(),
        ];
        for version in versions {
            let written = version.to_toml().expect("every scenario can be written");
            assert_eq!(parsed(&written), version, "{written}");
        }
    }
}

#[test]
fn small_replaces_what_it_names() {
    let small = parsed(&everything()).small();
    assert_eq!((small.nodes, small.duration), (10, Duration::from_secs(20)));
    assert!(small.small.is_empty());
    let only_nodes = parsed(&format!("{LEAST}[small]\nnodes = 4\n")).small();
    assert_eq!((only_nodes.nodes, only_nodes.duration), (4, Duration::from_secs(60)));
}

#[test]
fn fewer_nodes_cut_down_what_counts_them() {
    let more = "[network]\nsegments = 20\n[join]\ndiscovery = \"given\"\n[node]\npublishers = 25\n\
                [[faults]]\nkind = \"partition\"\nat = \"1s\"\nlasts = \"1s\"\namount = \"90%\"\n";
    let scenario = parsed(&format!("{LEAST}{more}")).with_nodes(5);
    assert_eq!(scenario.network.segments, 5);
    assert_eq!(scenario.node.publishers, Amount::Count(5));
    assert_eq!(scenario.faults[0].amount, Amount::Count(4));
    assert_eq!(parsed(&everything()).with_nodes(4).workload.burst_changes, 4);
    assert_eq!(parsed(LEAST).with_nodes(1).nodes, NODES_MIN);
    assert_eq!(parsed(LEAST).with_nodes(10_000).node.records_max, 10_000);
}

#[test]
fn a_wrong_name_is_refused_with_the_right_one() {
    assert_refused("setle = \"3s\"", 4, &["no field `setle`", "did you mean `settle`?", "test.toml:4"]);
    assert_refused("[network]\nlatncy = \"1ms\"", 5, &["[network]", "did you mean `latency`?"]);
    assert_refused("[node]\nlatency = \"1ms\"", 5, &["`latency` is a field of [network]"]);
    assert_refused("[fault]\n", 4, &["no field `fault`", "did you mean `faults`?"]);
    assert_refused("[faults]\nkind = \"crash\"", 4, &["a table", "[[faults]]"]);
    assert_refused("[join]\nhow = \"flashcrowd\"", 5, &["did you mean \"flash-crowd\"?", "at-once, ramp"]);
    assert_refused("[join]\nhow = 3", 5, &["the bare number 3", "at-once, ramp, flash-crowd"]);
    assert_refused("[[adversary]]\nkind = \"forger\"", 4, &["did you mean `adversaries`?"]);
    assert_refused("[node]\nneighbors = 4", 5, &["did you mean `neighbours`?"]);
    let unlike = refused("[join]\nzzz = 3").to_string();
    assert!(!unlike.contains("did you mean"), "{unlike}");
}

#[test]
fn a_bad_quantity_is_refused_with_what_is_allowed() {
    assert_refused("settle = 30", 4, &["the bare number 30", "did you mean `settle = \"30s\"`?"]);
    assert_refused("settle = \"30\"", 4, &["no unit", "did you mean `settle = \"30s\"`?"]);
    assert_refused("settle = \"30 parsecs\"", 4, &["unit \"parsecs\" is unknown", "units: ns, us"]);
    assert_refused("settle = \"-3s\"", 4, &["no number"]);
    assert_refused("settle = \"1.s\"", 4, &["no number"]);
    assert_refused("settle = \"1.0000000001s\"", 4, &["finer than a nanosecond"]);
    assert_refused("settle = \"99999999999999999999d\"", 4, &["longer than any clock"]);
    assert_refused("duration = \"31d\"", 4, &["out of range", "\"1s\" to \"30d\""]);
    assert_refused("shuffle = \"true\"", 4, &["did you mean `true`?"]);
    assert_refused("[network]\nloss = 5", 5, &["did you mean `loss = \"5%\"`?"]);
    assert_refused("[network]\nloss = \"95%\"", 5, &["95%, which is out of range"]);
    assert_refused("[network]\nsegments = 1.5", 5, &["bare number 1.5", "an integer"]);
    assert_refused("[network]\nbandwidth_mbit = nan", 5, &["nan, which is out of range"]);
    assert_refused("[node]\npublishers = \"101%\"", 5, &["101%, which is out of range"]);
    assert_refused("[gossip]\nmesh_peers = 65", 5, &["65, which is out of range", "1 to 64"]);
    assert_refused("[gossip]\nlazy_share = 0.1", 5, &["the bare number 0.1", "\"0%\" to \"100%\""]);
    assert_refused("[gossip]\nheartbeat_interval = \"1ms\"", 5, &["out of range", "\"100ms\" to \"1m\""]);
    assert_refused("[node]\npublishers = -1", 5, &["-1, which is out of range"]);
    assert_refused("[node]\nneighbours = 0x7f", 5, &["127, which is out of range", "2 to 100"]);
    assert_refused("[expect]\nsometimes = \"lost\"", 5, &["did you mean `sometimes = [\"lost\"]`?"]);
    assert_refused("[expect]\nsometimes = [\"lost\", \"lost\"]", 5, &["twice"]);
}

#[test]
fn what_is_missing_is_named() {
    let error = Scenario::parse("test.toml", "nodes = 3\n").expect_err("there is no name").to_string();
    assert!(error.contains("a scenario needs the field `name`"), "{error}");
    assert_refused("[[faults]]\nkind = \"crash\"", 4, &["[[faults]] needs the field `at`"]);
    assert_refused("[churn]\namount = 3", 4, &["[churn] needs the field `session`"]);
    assert_refused("[drawn_faults]", 4, &["needs the field `count`"]);
    let bad = Scenario::parse("t", "name = \"LAN Party\"\n").expect_err("no kebab-case").to_string();
    assert!(bad.contains("did you mean `name = \"lan-party\"`?"), "{bad}");
}

#[test]
fn text_that_is_no_toml_is_refused_on_its_line() {
    assert_refused("settle = \n", 4, &["not TOML"]);
    assert_refused("nodes = 3\n", 4, &["not TOML", "duplicate key"]);
    let error = Scenario::parse("empty.toml", "").expect_err("there is no name");
    assert_eq!((error.line, error.column, error.width), (1, 1, 1));
}

#[test]
fn settings_for_another_kind_are_refused() {
    assert_refused("[join]\ncrowd = 3", 5, &["flash crowd only"]);
    assert_refused("[join]\ngiven = 3", 5, &["given addresses only"]);
    let fault = |rest: &str| format!("[[faults]]\nkind = {rest}");
    assert_refused(&fault("\"pause\"\nat = \"1s\""), 5, &["pause needs `lasts`"]);
    assert_refused(&fault("\"crash\"\nat = \"1s\"\nfactor = 3"), 7, &["slow-cpu only"]);
    assert_refused(&fault("\"crash\"\nat = \"1s\"\nloss = \"3%\""), 7, &["kind loss only"]);
    assert_refused(&fault("\"crash\"\nat = \"1s\"\nskew = \"3s\""), 7, &["clock-skew only"]);
    assert_refused(&fault("\"loss\"\nat = \"1s\"\nlasts = \"1s\""), 5, &["needs `loss`"]);
    assert_refused(&fault("\"clock-skew\"\nat = \"1s\"\nskew = \"0s\""), 7, &["out of range"]);
    assert_refused(
        &fault("\"pause\"\nat = \"1s\"\nlasts = \"1s\"\nkeep_disk = true"),
        8,
        &["crash, power-cut and restart"],
    );
    assert_refused(&fault("\"partition\"\nat = \"1s\"\nlasts = \"1s\"\nevery = \"1s\""), 8, &["at once"]);
    assert_refused(&fault("\"address-change\"\nat = \"1s\"\nlasts = \"1s\""), 7, &["in an instant"]);
    let adversaries = |rest: &str| format!("[[adversaries]]\nkind = {rest}");
    assert_refused(&adversaries("\"forger\"\ncontact = true"), 6, &["kind spammer only"]);
    assert_refused(&adversaries("\"spammer\"\ndenied_at = \"1s\""), 6, &["contacts only"]);
    let late = adversaries("\"spammer\"\ncontact = true\ndenied_at = \"1h\"");
    assert_refused(&late, 7, &["the safety phase ends at 1m"]);
    assert_refused(&adversaries("\"spammer\"\namount = 1001"), 6, &["at most 1000"]);
    assert_refused(&adversaries("\"fetcher\""), 5, &["a fetcher watches those that are guarded"]);
    let session = "[churn]\namount = 3\nsession = { distribution = \"fixed\", median = \"1s\", shape = 2 }";
    assert_refused(session, 6, &["weibull and lognormal only"]);
}

#[test]
fn contradictions_are_refused_in_words() {
    let fault = |rest: &str| format!("[[faults]]\nkind = \"crash\"\nat = \"1s\"\n[[faults]]\nkind = {rest}");
    assert_refused(&fault("\"crash\"\nat = \"60s\""), 9, &["begins at 1m", "ends at 1m"]);
    assert_refused(&fault("\"crash\"\nat = \"2s\"\namount = 31"), 10, &["31 of only 30 nodes"]);
    assert_refused(&fault("\"crash\"\nat = \"2s\"\namount = 0"), 10, &["befalls nobody"]);
    let all = "\"partition\"\nat = \"1s\"\nlasts = \"1s\"\namount = \"100%\"";
    assert_refused(&fault(all), 11, &["partition of everybody"]);
    assert_refused("[join]\nwithin = \"2m\"", 5, &["start 2m after", "`join_limit`, 1m"]);
    assert_refused("[join]\nhow = \"flash-crowd\"\ncrowd = \"100%\"", 6, &["all nodes are in the crowd"]);
    assert_refused("[network]\nsegments = 2", 5, &["never meet", "discovery = \"given\""]);
    assert_refused("[node]\npublishers = 0\n[workload]\nchanges = 2", 7, &["no node publishes"]);
    assert_refused("[gossip]\nmesh_peers = 7", 5, &["7, above mesh_peers_max, which is 5"]);
    assert_refused("[gossip]\nmesh_peers_max = 2", 4, &["`mesh_peers` of gossip is 3, above mesh_peers_max"]);
    assert_refused("[gossip]\nhistory_told_heartbeats = 5", 5, &["above history_heartbeats, which is 4"]);
    assert_refused("[workload]\nbursts = 1\nburst_changes = 31", 6, &["31 of only 30 publishers"]);
    assert_refused("[workload]\nburst_within = \"5ms\"", 5, &["no bursts"]);
    assert_refused("[node]\nrecords_max = 16", 5, &["none could show them all"]);
    assert_refused("[drawn_faults]\ncount = 1\nkinds = []", 6, &["no kind of fault"]);
    assert_refused("[small]\nnodes = 31", 5, &["more than the scenario's 30"]);
    assert_refused("[small]\nduration = \"2m\"", 5, &["longer than the scenario's 1m"]);
    let late = "[small]\nduration = \"5s\"\n[[faults]]\nkind = \"crash\"\nat = \"9s\"";
    assert_refused(late, 5, &["with [small], the crash begins at 9s"]);
}

#[test]
fn demands_that_cannot_be_met_are_refused() {
    assert_refused("[expect]\nchange_p99 = \"1s\"", 5, &["no changes to measure"]);
    assert_refused("[expect]\nmessage_p99 = \"1s\"", 5, &["no messages to measure"]);
    assert_refused("[expect]\njoined_within = \"2m\"", 5, &["fails after `join_limit`, 1m"]);
    assert_refused("[expect]\nconverged_within = \"31s\"", 5, &["fails after `settle`, 30s"]);
    assert_refused("[expect]\nleave_seen = \"1s\"", 5, &["no node ever says goodbye"]);
    assert_refused("[expect]\nloss_seen = \"1s\"", 5, &["no node ever dies"]);
    assert_refused("[expect]\nheal_cost = 4", 5, &["nobody is ever cut off"]);
    let percentiles = "[workload]\nchanges = 1\n[expect]\nchange_p50 = \"2s\"\nchange_p99 = \"1s\"";
    assert_refused(percentiles, 7, &["median"]);
    for name in ["partition", "crash", "restart", "pause", "suspend", "disk-loss", "forgery-refused"] {
        assert_refused(&format!("[expect]\nsometimes = [\"{name}\"]"), 5, &["cannot happen", name]);
    }
}

#[test]
fn an_error_shows_the_line_and_the_place() {
    let shown = refused("\n[join]\n  hwo = \"ramp\"").to_string();
    let wanted = "[join] has no field `hwo`\n --> test.toml:6\n  |\n6 |   hwo = \"ramp\"\n  |   ^^^\n  \
                  = allowed: how, within, crowd, crowd_at, discovery, given\n  = did you mean `how`?";
    assert_eq!(shown, wanted);
}

#[test]
fn damaged_text_is_refused_or_read_but_never_a_panic() {
    let text = everything();
    let mut refused = 0;
    for at in 0..text.len() {
        let (before, after) = (&text[..at], &text[at + 1..]);
        let damaged = [before.to_owned(), format!("{before}{after}"), format!("{before}\u{fc}{after}")];
        for damaged in damaged {
            refused += usize::from(Scenario::parse("t", &damaged).is_err_and(|e| !e.to_string().is_empty()));
        }
    }
    assert!(refused > text.len(), "only {refused} of {} damaged texts were refused", 3 * text.len());
}

#[test]
fn lines_are_right_behind_wide_characters_and_carriage_returns() {
    let text = "name = \"pair\"\r\nsummary = \"Zw\u{f6}lf \u{1f600}\"\r\nnodes = 1\r\n";
    let error = Scenario::parse("t", text).expect_err("one node is too few");
    assert_eq!((error.line, error.column, error.width), (3, 9, 1));
    assert_eq!(error.line_text, "nodes = 1");
}

#[test]
fn durations_are_read_and_written_exactly() {
    let cases = [
        ("250us", 250_000, "250us"),
        ("1.5ms", 1_500_000, "1.5ms"),
        ("0.2ms", 200_000, "200us"),
        ("90s", 90_000_000_000, "90s"),
        ("60s", 60_000_000_000, "1m"),
        ("0.5m", 30_000_000_000, "30s"),
        ("61.25s", 61_250_000_000, "61.25s"),
        ("1_000ns", 1_000, "1us"),
        ("1.05s", 1_050_000_000, "1.05s"),
        ("2 d", 172_800_000_000_000, "2d"),
        ("0s", 0, "0s"),
    ];
    for (text, nanoseconds, written) in cases {
        let read = parse_duration(text).expect("a duration");
        assert_eq!(read.as_nanos(), nanoseconds, "{text}");
        assert_eq!(write_duration(read), written);
        assert_eq!(parse_duration(written), Ok(read));
    }
    for nanoseconds in (0..60).map(|power| 1_u64 << power).flat_map(|n| [n, n + 1, n * 3]) {
        let duration = Duration::from_nanos(nanoseconds);
        assert_eq!(parse_duration(&write_duration(duration)), Ok(duration));
    }
    assert_eq!(parse_duration(&write_duration(Duration::MAX)), Ok(Duration::MAX));
}

#[test]
fn shares_are_read_and_written_exactly() {
    for tenth in 0..=1000 {
        let text = format!("{}%", f64::from(tenth) / 10.0);
        let share = parse_share(&text).expect("a share");
        assert_eq!(write_share(share), text);
    }
    for text in ["50", "%", "-1%", "1e2%", "a%", "1..2%"] {
        assert!(parse_share(text).is_err(), "{text}");
    }
}

#[test]
fn amounts_round_up_and_stay_within_the_total() {
    let of = |percent: f64, total| Amount::Share(percent / 100.0).of(total);
    assert_eq!((of(10.0, 30), of(10.0, 31), of(50.0, 3), of(1.0, 2)), (3, 4, 2, 1));
    assert_eq!((of(0.0, 30), of(100.0, 30), of(100.0, NODES_MAX)), (0, 30, NODES_MAX));
    for percent in 0..=100 {
        assert_eq!(of(f64::from(percent), 100_000), percent as usize * 1000);
    }
    assert_eq!((Amount::Count(5).of(3), Amount::Count(2).of(3)), (3, 2));
}

#[test]
fn skews_point_both_ways() {
    let behind = parse_skew("-5m").expect("a skew");
    assert_eq!(behind, Skew { ahead: false, by: Duration::from_secs(300) });
    assert_eq!(behind.to_string(), "-5m");
    assert_eq!(behind.shown(Duration::from_secs(301)), Duration::from_secs(1));
    assert_eq!(behind.shown(Duration::from_secs(1)), Duration::ZERO);
    assert_eq!(parse_skew("+1s").expect("a skew").shown(Duration::ZERO), Duration::from_secs(1));
}

/// Every section with its fields.
fn sections() -> [(&'static str, &'static [&'static str]); 13] {
    [
        ("small", Small::FIELDS),
        ("join", Join::FIELDS),
        ("node", NodeSettings::FIELDS),
        ("gossip", Gossip::FIELDS),
        ("network", NetworkSettings::FIELDS),
        ("disk", DiskSettings::FIELDS),
        ("workload", Workload::FIELDS),
        ("access", Access::FIELDS),
        ("churn", Churn::FIELDS),
        ("faults", Fault::FIELDS),
        ("drawn_faults", DrawnFaults::FIELDS),
        ("adversaries", Adversaries::FIELDS),
        ("expect", Expect::FIELDS),
    ]
}

#[test]
fn the_fields_that_are_read_are_those_of_the_types() {
    let written = parsed(&everything()).to_toml().expect("every scenario can be written");
    let document: toml::Table = toml::from_str(&written).expect("it is TOML");
    let keys: BTreeSet<_> = document.keys().map(String::as_str).collect();
    assert_eq!(keys, Scenario::FIELDS.iter().copied().collect());
    for (name, fields) in sections() {
        let tables = match &document[name] {
            toml::Value::Array(tables) => tables.iter().filter_map(toml::Value::as_table).collect(),
            table => vec![table.as_table().expect("a section is a table")],
        };
        let keys: BTreeSet<_> =
            tables.into_iter().flat_map(|table| table.keys().map(String::as_str)).collect();
        assert_eq!(keys, fields.iter().copied().collect(), "[{name}]");
    }
}

#[test]
fn every_field_and_name_is_in_the_reference() {
    let part = |heading: &str| {
        let after = REFERENCE.split(heading).nth(1).unwrap_or_else(|| panic!("no part {heading}"));
        after.split("\n## ").next().unwrap_or_default()
    };
    let assert_in = |heading: &str, names: &[&str]| {
        for name in names {
            let is_there = part(heading).contains(&format!("\n| `{name}` |"));
            assert!(is_there, "`{name}` has no row under {heading:?} of SCENARIOS.md");
        }
    };
    let settings: Vec<_> =
        Scenario::FIELDS.iter().copied().filter(|f| !sections().iter().any(|s| s.0 == *f)).collect();
    assert_in("\n## The scenario itself", &settings);
    for (name, fields) in sections() {
        let heading = if ["faults", "adversaries"].contains(&name) {
            format!("## `[[{name}]]`")
        } else {
            format!("## `[{name}]`")
        };
        assert_in(&heading, fields);
    }
    assert_in("## `[churn]`", Draw::FIELDS);
    let named = |names: &[&'static str], heading: &str| assert_in(heading, names);
    named(&FaultKind::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>(), "## `[[faults]]`");
    named(&AdversaryKind::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>(), "## `[[adversaries]]`");
    named(&Sometimes::ALL.iter().map(|name| name.name()).collect::<Vec<_>>(), "## `[expect]`");
}
