//! The plan: everything that will be done to the nodes, drawn before anything runs.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::StdRng, seq::index};

use super::{nanoseconds, purpose};
use crate::{
    report::Drawn,
    scenario::{Amount, Churn, Fault, FaultKind, JoinHow, Scenario, Skew, write_duration, write_share},
};

/// Something that the runner does.
#[derive(Debug, Clone)]
pub(crate) enum Action {
    /// Start the node, if it does not run.
    Start(usize),
    /// Kill the node's process; whether its disk stays, and for how long it stays away, in nanoseconds.
    Kill { node: usize, power: bool, keep_disk: bool, away: Option<u64> },
    /// Let the node say goodbye.
    Leave { node: usize, keep_disk: bool, away: Option<u64> },
    /// Some node changes its status.
    Change,
    /// Several nodes change theirs at once.
    Burst,
    /// This node changes its status.
    ChangeOf(usize),
    /// Some guarded node changes its status.
    ChangeGuarded,
    /// Some guarded node changes an ACCESS RULE.
    ChangeRule,
    /// Some node ends a SUBSCRIPTION to a guarded one and begins it again.
    Flip,
    /// Every node is asked how full its tables are.
    LookAtTables,
    /// Every node denies the messages of the adversaries of this section.
    Deny(usize),
    /// Some node sends a message.
    Message,
    /// A fault befalls these nodes; its number in the list of all.
    Begin { fault: usize, nodes: Vec<usize> },
    /// It is healed.
    End { fault: usize, nodes: Vec<usize> },
}

/// What a run will do, times in nanoseconds: starts from the start of the run, the rest from the begin of the
/// safety phase.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) starts: Vec<(u64, Action)>,
    pub(super) actions: Vec<(u64, Action)>,
    /// The scenario's faults and those that were drawn.
    pub(super) faults: Vec<Fault>,
    pub(super) drawn: Vec<Drawn>,
}

impl Plan {
    pub(super) fn of(scenario: &Scenario, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(purpose(seed, 5));
        let mut plan = Self {
            starts: starts(scenario, &mut random),
            actions: Vec::new(),
            faults: scenario.faults.clone(),
            drawn: Vec::new(),
        };
        plan.draw_faults(scenario, &mut random);
        for fault in 0..plan.faults.len() {
            plan.add_fault(scenario, fault, &mut random);
        }
        plan.spread(scenario, scenario.workload.changes, &Action::Change, &mut random);
        plan.spread(scenario, scenario.workload.bursts, &Action::Burst, &mut random);
        plan.spread(scenario, scenario.workload.messages, &Action::Message, &mut random);
        if let Some(access) = &scenario.access {
            plan.spread(scenario, access.changes, &Action::ChangeGuarded, &mut random);
            plan.spread(scenario, access.rule_changes, &Action::ChangeRule, &mut random);
        }
        if let Some(churn) = &scenario.churn {
            plan.add_churn(scenario, churn, &mut random);
        }
        for (section, adversaries) in scenario.adversaries.iter().enumerate() {
            let at = adversaries.denied_at.map(nanoseconds);
            plan.actions.extend(at.map(|at| (at, Action::Deny(section))));
        }
        if let Some(access) = &scenario.access {
            plan.spread(scenario, access.flips, &Action::Flip, &mut random);
            plan.spread(scenario, LOOKS, &Action::LookAtTables, &mut random);
        }
        plan
    }

    fn spread(&mut self, scenario: &Scenario, count: usize, action: &Action, random: &mut StdRng) {
        let duration = scenario.duration.as_nanos() as f64;
        for number in 0..count {
            let place = (number as f64 + random.random_range(0.05..0.95)) / count as f64;
            self.actions.push((rounded(duration * place), action.clone()));
        }
    }

    fn draw_faults(&mut self, scenario: &Scenario, random: &mut StdRng) {
        let Some(drawn) = &scenario.drawn_faults else { return };
        for number in 0..drawn.count {
            let Some(kind) = drawn.kinds.get(random.random_range(0..drawn.kinds.len().max(1))) else {
                return;
            };
            let fault = draw_fault(scenario, *kind, random);
            let value = format!(
                "{} at {} for {}, {} nodes",
                fault.kind,
                write_duration(fault.at),
                fault.lasts.map_or_else(|| "ever".to_owned(), write_duration),
                fault.amount.of(scenario.nodes),
            );
            self.drawn.push(Drawn { option: format!("fault {}", number + 1), value });
            self.faults.push(fault);
        }
    }

    fn add_fault(&mut self, scenario: &Scenario, number: usize, random: &mut StdRng) {
        let Some(fault) = self.faults.get(number).cloned() else { return };
        let nodes = index::sample(random, scenario.nodes, fault.amount.of(scenario.nodes)).into_vec();
        let groups: Vec<Vec<usize>> = match fault.every {
            Some(_) => nodes.into_iter().map(|node| vec![node]).collect(),
            None => vec![nodes],
        };
        let end_of_phase = nanoseconds(scenario.duration);
        let mut at = nanoseconds(fault.at);
        for nodes in groups {
            if at >= end_of_phase {
                return;
            }
            self.befall(number, &fault, at, nodes);
            at += fault.every.map_or(0, nanoseconds);
        }
    }

    fn befall(&mut self, number: usize, fault: &Fault, at: u64, nodes: Vec<usize>) {
        let away = fault.lasts.map(nanoseconds);
        let keep_disk = fault.keep_disk;
        match fault.kind {
            FaultKind::Crash | FaultKind::PowerCut => {
                let power = fault.kind == FaultKind::PowerCut;
                let kills = nodes.into_iter().map(|node| Action::Kill { node, power, keep_disk, away });
                self.actions.extend(kills.map(|kill| (at, kill)));
            }
            FaultKind::Restart => {
                let leaves = nodes.into_iter().map(|node| Action::Leave { node, keep_disk, away });
                self.actions.extend(leaves.map(|leave| (at, leave)));
            }
            _ => {
                self.actions.push((at, Action::Begin { fault: number, nodes: nodes.clone() }));
                if let Some(lasts) = away {
                    self.actions.push((at + lasts, Action::End { fault: number, nodes }));
                }
            }
        }
    }

    fn add_churn(&mut self, scenario: &Scenario, churn: &Churn, random: &mut StdRng) {
        let end = nanoseconds(scenario.duration);
        let nodes = index::sample(random, scenario.nodes, churn.amount.of(scenario.nodes)).into_vec();
        for node in nodes {
            // Sessions are under way when the phase begins.
            let mut at = rounded(nanoseconds(churn.session.sample(random)) as f64 * random.random::<f64>());
            while at < end {
                let away = nanoseconds(churn.away.sample(random));
                let keep_disk = random.random_bool(churn.keep_disk);
                let action = if random.random_bool(churn.graceful) {
                    Action::Leave { node, keep_disk, away: Some(away) }
                } else {
                    Action::Kill { node, power: false, keep_disk, away: Some(away) }
                };
                self.actions.push((at, action));
                at = at.saturating_add(away).saturating_add(nanoseconds(churn.session.sample(random)));
            }
        }
    }
}

fn starts(scenario: &Scenario, random: &mut StdRng) -> Vec<(u64, Action)> {
    let join = &scenario.join;
    let within = nanoseconds(join.within);
    let crowd = if join.how == JoinHow::FlashCrowd { join.crowd.of(scenario.nodes) } else { 0 };
    let at = |number: usize, random: &mut StdRng| match join.how {
        JoinHow::Ramp => {
            let share = number as f64 / scenario.nodes.saturating_sub(1).max(1) as f64;
            rounded(within as f64 * share)
        }
        JoinHow::AtOnce | JoinHow::FlashCrowd => {
            let drawn = random.random_range(0..=within);
            // The crowd are those with the highest numbers, so that the others are there before them.
            if number >= scenario.nodes - crowd { nanoseconds(join.crowd_at) + drawn } else { drawn }
        }
    };
    (0..scenario.nodes).map(|number| (at(number, random), Action::Start(number))).collect()
}

fn draw_fault(scenario: &Scenario, kind: FaultKind, random: &mut StdRng) -> Fault {
    let duration = scenario.duration.as_secs_f64();
    let longest = (duration / 3.0).min(LASTS_MAX);
    let most = (scenario.nodes / 5).max(1);
    let divided = (scenario.nodes / 2).max(1);
    let amount = random.random_range(1..=if kind.divides() { divided } else { most });
    let ahead = random.random_bool(0.5);
    let by = Duration::from_secs(random.random_range(1..SKEW_MAX));
    Fault {
        kind,
        at: Duration::from_secs_f64(duration * random.random_range(0.0..0.7)),
        lasts: (kind != FaultKind::ClockSkew && kind != FaultKind::AddressChange)
            .then(|| Duration::from_secs_f64(random.random_range(0.2..1.0) * longest)),
        every: None,
        amount: Amount::Count(amount),
        keep_disk: random.random_bool(0.8),
        factor: if kind == FaultKind::SlowCpu { random.random_range(10.0..200.0) } else { 1.0 },
        loss: if kind == FaultKind::Loss { random.random_range(0.05..0.4) } else { 0.0 },
        skew: if kind == FaultKind::ClockSkew {
            Skew { ahead, by }
        } else {
            Skew { ahead, by: Duration::ZERO }
        },
    }
}

/// What a fault is, for people.
pub(crate) fn describe(fault: &Fault, nodes: &[usize]) -> String {
    let who = match nodes {
        [] => "nobody".to_owned(),
        [one] => format!("node {one}"),
        many => format!("{} nodes", many.len()),
    };
    match fault.kind {
        FaultKind::Loss => format!("{who}, {} lost", write_share(fault.loss)),
        FaultKind::SlowCpu => format!("{who}, {} times slower", fault.factor.round()),
        FaultKind::ClockSkew => {
            let sign = if fault.skew.ahead { "" } else { "-" };
            format!("{who}, by {sign}{}", write_duration(fault.skew.by))
        }
        _ => who,
    }
}

fn rounded(nanoseconds: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "a month of nanoseconds is below 2^53")]
    #[expect(clippy::cast_sign_loss, reason = "durations are not negative")]
    let whole = nanoseconds as u64;
    whole
}

/// How often tables are looked at.
const LOOKS: usize = 20;
/// Seconds.
const LASTS_MAX: f64 = 30.0;
/// Seconds.
const SKEW_MAX: u64 = 24 * 60 * 60;
