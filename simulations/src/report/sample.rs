//! Small made-up reports for the tests of this module.

use super::{
    AgreementPoint, Better, Build, DeliveryPoint, DisseminationTree, Drawn, FORMAT, Failure, FaultSpan,
    Metric, OracleCount, Outcome, Phase, Report, SometimesCount, TrafficPoint, TreeEdge,
};

/// A report with a little of everything.
pub(super) fn report(seed: u64, nodes: u64) -> Report {
    let moments = [0.0, 10.0, 20.0, 30.0];
    Report {
        agreement: moments
            .map(|at_seconds| AgreementPoint {
                at_seconds,
                live_nodes: nodes,
                agreeing_share: at_seconds / 30.0,
                disagreeing_pairs: nodes,
            })
            .to_vec(),
        faults: vec![fault("partition", 10.0, Some(20.0)), fault("loss", 12.0, None)],
        delivery: vec![
            DeliveryPoint { milliseconds: 1.0, share: 0.5 },
            DeliveryPoint { milliseconds: 500.0, share: 1.0 },
        ],
        traffic: moments
            .map(|at_seconds| TrafficPoint {
                at_seconds,
                bytes_per_node_second: [("gossip".to_owned(), 900.0), ("odd <one>".to_owned(), 4.0)].into(),
            })
            .to_vec(),
        tree: Some(DisseminationTree {
            record: "presence of node 0".to_owned(),
            edges: (0..nodes.min(50))
                .map(|node| TreeEdge {
                    node: u32::try_from(node).expect("at most 50"),
                    parent: node.checked_sub(1).map(|parent| u32::try_from(parent / 2).expect("at most 25")),
                    at_milliseconds: node as f64,
                    hop: (node + 1).ilog2(),
                })
                .collect(),
        }),
        ..bare(seed, nodes)
    }
}

/// A report with every list empty except the metrics and oracles.
pub(super) fn bare(seed: u64, nodes: u64) -> Report {
    Report {
        format: FORMAT,
        scenario: "split".to_owned(),
        summary: "The mesh splits in two and heals.".to_owned(),
        seed,
        nodes,
        build: Build {
            version: "0.1.0".to_owned(),
            commit: "abc123".to_owned(),
            lock_hash: "def456".to_owned(),
            rustc: "1.95.0".to_owned(),
        },
        outcome: Outcome::Passed,
        failures: Vec::new(),
        trace_hash: "00ff".to_owned(),
        trace_events: 12_345,
        drawn: vec![Drawn { option: "loss".to_owned(), value: "2 %".to_owned() }],
        virtual_seconds: 30.0,
        wall_seconds: 1.5,
        peak_memory_bytes: 42_000_000,
        metrics: vec![metric("converged in", 4.0, Better::Lower)],
        oracles: vec![OracleCount { name: "no ghost".to_owned(), checked: 1000, violations: 0 }],
        sometimes: vec![SometimesCount { name: "a link was cut".to_owned(), times: 3, wanted: true }],
        agreement: Vec::new(),
        phases: vec![Phase { name: "join".to_owned(), from_seconds: 0.0, until_seconds: 10.0 }],
        faults: Vec::new(),
        delivery: Vec::new(),
        traffic: Vec::new(),
        tree: None,
    }
}

/// The bare report of a run that failed.
pub(super) fn failed(seed: u64, nodes: u64, outcome: Outcome) -> Report {
    let failure =
        Failure { oracle: "no ghost".to_owned(), at_seconds: 21.0, what: "node 3 <b>&</b> \"4\"".to_owned() };
    Report { outcome, failures: vec![failure], ..bare(seed, nodes) }
}

/// A metric in seconds with a bound of 10 s.
pub(super) fn metric(name: &str, value: f64, better: Better) -> Metric {
    Metric {
        name: name.to_owned(),
        unit: "s".to_owned(),
        value,
        bound: Some(10.0),
        theory: Some("2 s: two gossip rounds".to_owned()),
        better,
    }
}

fn fault(kind: &str, from_seconds: f64, until_seconds: Option<f64>) -> FaultSpan {
    FaultSpan { kind: kind.to_owned(), what: "half <from> half".to_owned(), from_seconds, until_seconds }
}
