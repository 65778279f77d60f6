//! Reading a report file back, whichever kind it is.

use serde::{Deserialize, de::IgnoredAny};

use super::{FORMAT, Report, Sweep};

/// Reads the JSON of a [`Sweep`], or of a single [`Report`], which counts as a sweep of one run.
///
/// # Errors
///
/// If the text is not JSON, is JSON of something else, was written in another format, or misses a field.
pub fn load(text: &str) -> Result<Sweep, ReportError> {
    let probe: Probe = serde_json::from_str(text).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => ReportError::NotAReport,
        _ => ReportError::NotJson { line: error.line(), column: error.column() },
    })?;
    let kind = match (&probe.runs, &probe.outcome) {
        (Some(_), _) => "sweep",
        (None, Some(_)) => "report",
        (None, None) => return Err(ReportError::NotAReport),
    };
    match probe.format {
        Some(found) if found != u64::from(FORMAT) => return Err(ReportError::OtherFormat { found }),
        Some(_) => {}
        None => return Err(ReportError::NotAReport),
    }
    let damaged = |error: serde_json::Error| ReportError::Damaged { kind, what: error.to_string() };
    if probe.runs.is_some() {
        let sweep: Sweep = serde_json::from_str(text).map_err(damaged)?;
        match sweep.runs.iter().find(|run| run.format != FORMAT) {
            Some(run) => Err(ReportError::OtherFormat { found: u64::from(run.format) }),
            None => Ok(sweep),
        }
    } else {
        let report: Report = serde_json::from_str(text).map_err(damaged)?;
        Ok(Sweep { format: FORMAT, scenario: report.scenario.clone(), runs: vec![report] })
    }
}

/// Why a text is not a report. Nothing was kept of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// The text is not JSON at all, or breaks off: was the whole file given?
    #[error("the file is not JSON: it stops making sense at line {line}, column {column}")]
    NotJson {
        /// Line of the first error, from 1.
        line: usize,
        /// Column of the first error, from 1.
        column: usize,
    },
    /// The text is JSON, but of something else than a run or a sweep.
    #[error("the file is JSON, but neither the report of a run nor of a sweep of here-sim")]
    NotAReport,
    /// The text was written by a simulator with another format: use that simulator, or run again.
    #[error("the file has report format {found}, and this here-sim reads only format {FORMAT}")]
    OtherFormat {
        /// The format of the file.
        found: u64,
    },
    /// The text is of the right kind and format, but a field is missing or has the wrong type.
    #[error("the {kind} cannot be read: {what}")]
    Damaged {
        /// `report` or `sweep`.
        kind: &'static str,
        /// What is wrong and where, in the words of the JSON reader.
        what: String,
    },
}

/// The few fields that tell what a file is.
#[derive(Deserialize)]
struct Probe {
    format: Option<u64>,
    runs: Option<IgnoredAny>,
    outcome: Option<IgnoredAny>,
}

#[cfg(test)]
mod tests {
    use super::{super::sample, *};

    #[test]
    fn both_kinds_are_read_back_unchanged() {
        let report = sample::report(7, 30);
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(load(&text).unwrap().runs, vec![report.clone()]);

        let sweep =
            Sweep { format: FORMAT, scenario: "split".to_owned(), runs: vec![report.without_series()] };
        let text = serde_json::to_string_pretty(&sweep).unwrap();
        assert_eq!(load(&text).unwrap(), sweep);
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let said = |text: &str| load(text).unwrap_err().to_string();
        assert!(said("{\n\"format\": 1,").contains("not JSON"));
        assert!(said("").contains("line 1"));
        assert!(said("[]").contains("neither"));
        assert!(said("3").contains("neither"));
        assert!(said("{\"format\": 1}").contains("neither"));
        assert!(said("{\"format\": 2, \"runs\": []}").contains("format 2"));
        assert!(said("{\"format\": 1, \"outcome\": \"passed\"}").contains("missing field"));
        let text = serde_json::to_string(&sample::report(7, 30)).unwrap();
        assert!(said(&text.replace("\"passed\"", "\"maybe\"")).contains("maybe"));
        let old_run = text.replace("\"format\":1", "\"format\":9");
        let sweep = format!("{{\"format\": 1, \"scenario\": \"s\", \"runs\": [{old_run}]}}");
        assert!(said(&sweep).contains("format 9"));
    }
}
