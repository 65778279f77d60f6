//! The traffic picture: what a node sends per second, stacked by protocol, over virtual time.

use std::collections::BTreeSet;

use super::{
    TrafficPoint, format,
    markup::{Canvas, escape, nothing},
    scale::{Scale, greatest, least},
};

/// The picture and its legend, or a sentence if the run counted no bytes.
pub(super) fn chart(traffic: &[TrafficPoint]) -> String {
    let protocols = protocols(traffic);
    let points: Vec<_> = traffic.iter().filter(|point| point.at_seconds.is_finite()).collect();
    let averaged = averaged(&points, &protocols);
    if protocols.is_empty() || averaged.is_empty() {
        return nothing("This run counted no traffic.");
    }
    let start = least(averaged.iter().map(|(at, _)| *at), 0.0);
    let end = greatest(averaged.iter().map(|(at, _)| *at), 1.0);
    let most = greatest(averaged.iter().map(|(_, layers)| layers.iter().sum()), 1.0);
    let time = Scale::linear((start, end), (LEFT, WIDTH - RIGHT));
    let rate = Scale::linear((0.0, if most > 0.0 { most * 1.05 } else { 1.0 }), (BOTTOM, TOP));

    let mut canvas = Canvas::new(WIDTH, BOTTOM + 22.0);
    canvas.rows(&time, &rate, &rate.ticks(5), |value| format::bytes(value, "/s"));
    let mut lower: Vec<_> = averaged.iter().map(|(at, _)| (*at, 0.0)).collect();
    for (index, protocol) in protocols.iter().enumerate() {
        let upper: Vec<_> = lower
            .iter()
            .zip(&averaged)
            .map(|((at, base), (_, layers))| (*at, base + layers.get(index).copied().unwrap_or(0.0)))
            .collect();
        canvas.area(&format!("c{}", colour(protocol)), &time, &rate, &upper, &lower);
        lower = upper;
    }
    canvas.columns(&time, BOTTOM, &time.time_ticks(6), format::tick_seconds);
    readouts(&mut canvas, &time, &protocols, &averaged);
    canvas.finish("Bytes per second that a node sends, by protocol, over virtual time")
        + &legend(&protocols, &averaged)
}

/// The protocols that sent anything, in a fixed order, unknown ones last.
fn protocols(traffic: &[TrafficPoint]) -> Vec<&str> {
    let sent = traffic.iter().flat_map(|point| &point.bytes_per_node_second).filter(|(_, rate)| **rate > 0.0);
    let mut protocols: Vec<_> =
        sent.map(|(name, _)| name.as_str()).collect::<BTreeSet<_>>().into_iter().collect();
    protocols.sort_by_key(|name| PROTOCOLS.iter().position(|known| known == name).unwrap_or(PROTOCOLS.len()));
    protocols
}

/// The series with at most [`MOMENTS_MAX`] moments, each the mean of its neighbours, a layer per protocol.
fn averaged(points: &[&TrafficPoint], protocols: &[&str]) -> Vec<(f64, Vec<f64>)> {
    let stretch = points.len().div_ceil(MOMENTS_MAX).max(1);
    let mean = |part: &[&TrafficPoint], of: &dyn Fn(&TrafficPoint) -> f64| {
        part.iter().map(|point| of(point)).filter(|value| value.is_finite()).sum::<f64>() / part.len() as f64
    };
    let rate = |point: &TrafficPoint, name: &str| {
        point.bytes_per_node_second.get(name).copied().filter(|rate| *rate > 0.0).unwrap_or(0.0)
    };
    points
        .chunks(stretch)
        .map(|part| {
            let layers = protocols.iter().map(|name| mean(part, &|point| rate(point, name))).collect();
            (mean(part, &|point| point.at_seconds), layers)
        })
        .collect()
}

/// Bands that cannot be seen and say under the pointer what each protocol sends there.
fn readouts(canvas: &mut Canvas, time: &Scale, protocols: &[&str], averaged: &[(f64, Vec<f64>)]) {
    let shown: Vec<_> = super::scale::sampled(averaged, READOUTS_MAX).collect();
    for (point, next) in shown.iter().zip(shown.iter().skip(1)) {
        let rates: Vec<_> = protocols
            .iter()
            .zip(&point.1)
            .map(|(name, rate)| format!("{name} {}", format::bytes(*rate, "/s")))
            .collect();
        let total = format::bytes(point.1.iter().sum(), "/s");
        let hint = format!("at {}: {total} ({})", format::seconds(point.0), rates.join(", "));
        canvas.rectangle("hover", (time.at(point.0), TOP), (time.at(next.0), BOTTOM), &hint);
    }
}

/// The protocols with their colours and their mean rates, topmost layer first.
fn legend(protocols: &[&str], averaged: &[(f64, Vec<f64>)]) -> String {
    let mut legend = String::new();
    for (index, name) in protocols.iter().enumerate().rev() {
        let sum: f64 = averaged.iter().filter_map(|(_, layers)| layers.get(index)).sum();
        let mean = format::bytes(sum / averaged.len() as f64, "/s");
        legend += &format!("<span><i class=\"c{}\"></i>{} <b>{mean}</b></span>", colour(name), escape(name));
    }
    format!("<div class=\"legend\">{legend}</div>")
}

/// The colour class of a protocol: the same in every report.
fn colour(protocol: &str) -> usize {
    PROTOCOLS.iter().position(|known| *known == protocol).unwrap_or(PROTOCOLS.len())
}

/// The protocols with a colour of their own, lowest layer first.
const PROTOCOLS: [&str; 7] =
    ["gossip", "presence", "message", "identify", "liveness", "discovery", "transport"];
const WIDTH: f64 = 540.0;
const LEFT: f64 = 68.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 280.0;
/// How many moments are drawn: more than the picture has pixels across.
const MOMENTS_MAX: usize = 700;
/// How many read-outs lie over the areas.
const READOUTS_MAX: usize = 90;

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(at: u32, rates: &[(&str, f64)]) -> TrafficPoint {
        TrafficPoint {
            at_seconds: f64::from(at),
            bytes_per_node_second: rates.iter().map(|(name, rate)| ((*name).to_owned(), *rate)).collect(),
        }
    }

    #[test]
    fn no_traffic_is_a_sentence() {
        assert!(chart(&[]).contains("counted no traffic"));
        assert!(chart(&[moment(0, &[("gossip", 0.0)])]).contains("counted no traffic"));
    }

    #[test]
    fn layers_have_a_fixed_order_and_unknown_protocols_come_last() {
        let traffic = [moment(0, &[("zeta", 1.0), ("liveness", 1.0), ("gossip", 1.0), ("idle", 0.0)])];
        assert_eq!(protocols(&traffic), ["gossip", "liveness", "zeta"]);
    }

    #[test]
    fn long_series_are_averaged() {
        let traffic: Vec<_> = (0..7000).map(|at| moment(at, &[("gossip", f64::from(at % 2))])).collect();
        let series = averaged(&traffic.iter().collect::<Vec<_>>(), &["gossip"]);
        assert_eq!(series.len(), MOMENTS_MAX);
        assert!(series.iter().all(|(_, layers)| (layers[0] - 0.5).abs() < 1e-9));
    }

    #[test]
    fn rates_that_are_not_finite_are_left_out() {
        let picture = chart(&[
            moment(0, &[("gossip", f64::INFINITY), ("liveness", 5.0)]),
            moment(1, &[("liveness", 5.0)]),
        ]);
        assert!(!picture.contains("NaN") && !picture.contains("inf"), "{picture}");
    }
}
