//! Checks that every output accepts any record; used by the fuzzer and the tests.

use std::{io, path::PathBuf};

use highwater::{
    analysis::{LeakRules, Rules, find_leaks},
    record::{ReadError, Record},
};

use crate::{
    filter::RowFilter,
    judgement::{Judgement, JudgementRules},
    output::{
        ci::{self, BaselineState, CheckReport},
        formats::{
            export::{chrome_trace, firefox_profiler, samples},
            group_csv,
            html::payload::{self, Packed},
            json, markdown, process_csv,
        },
        terminal::{
            comparison, explain,
            summary::{self, NextStep, SummaryDetail, SummaryLayout, Tally},
            view,
        },
    },
    text::{cell::CellStyle, leaks, visible::is_hidden},
};

/// Returns rules that judge every part of a record.
fn rules() -> JudgementRules {
    let (mut growth, mut leaks) = (Rules::default(), LeakRules::default());
    growth.groups_decide = true;
    leaks.min_duration_seconds = 1.0;
    JudgementRules { growth, leaks: Some(leaks) }
}

/// Reads `text` as a record and hands it to every output, none of which may panic or fail.
pub(crate) fn write_everywhere(text: &[u8]) -> Result<(), ReadError> {
    let record = Record::from_json(text)?;
    EveryOutput { record: &record, bytes: Vec::new() }.write().expect("memory takes everything");
    Ok(())
}

struct EveryOutput<'a> {
    record: &'a Record,
    /// The bytes that the present output wrote.
    bytes: Vec<u8>,
}

impl EveryOutput<'_> {
    fn write(&mut self) -> io::Result<()> {
        self.for_people()?;
        self.for_programs()?;
        self.judged()
    }

    fn for_people(&mut self) -> io::Result<()> {
        let record = self.record;
        let filter = RowFilter::default();
        let tally = Tally::of(record.processes.iter().map(Ok), 5, &filter, record.peak.memory.as_ref())?;
        for detail in [SummaryDetail::Answer(NextStep::NoRecord), SummaryDetail::All] {
            let layout =
                SummaryLayout { width: 80, top: 5, filter: &filter, with_cpu: true, csv: None, detail };
            summary::write(record, &tally, &layout, self.next())?;
            self.is_visible();
        }
        explain::write(record, 40, self.next())?;
        self.is_visible();
        for is_utf8 in [true, false] {
            view::write(record, view::ViewLayout { width: 40, top: 3, is_utf8 }, self.next())?;
            self.is_visible();
        }
        Ok(())
    }

    fn for_programs(&mut self) -> io::Result<()> {
        let record = self.record;
        json::write(record, self.next())?;
        self.is_visible();
        let rows = || record.processes.iter().cloned().map(Ok);
        for escapes_formulas in [false, true] {
            let cells = CellStyle { escapes_formulas };
            process_csv::write(rows(), &RowFilter::default(), cells, self.next())?;
            self.is_visible();
            group_csv::write(&record.groups, &RowFilter::default(), cells, self.next())?;
            self.is_visible();
            samples::write(record, cells, self.next())?;
            self.is_visible();
        }
        let page = [Packed::new(record, rows())?, Packed::new(record, rows())?];
        payload::write(&page, self.next())?;
        chrome_trace::write(record, self.next())?;
        self.is_visible();
        firefox_profiler::write(record, self.next())?;
        self.is_visible();
        #[cfg(feature = "parquet")]
        {
            use crate::output::formats::export::tables;
            for table in [tables::samples(record), tables::processes(record), tables::run(record)] {
                table.to_bytes().map_err(io::Error::other)?;
            }
        }
        Ok(())
    }

    /// Judges the record beside itself and alone, as `compare`, `ci-check` and `leaks` do.
    fn judged(&mut self) -> io::Result<()> {
        let found = find_leaks(self.record, LeakRules::default());
        leaks::lines(&found.search, &found.leaks);
        let records = std::slice::from_ref(self.record);
        let files = || vec![PathBuf::from("a.json")];
        for base in [records, &[]] {
            let judgement = Judgement::of((files(), base), (files(), records), rules());
            comparison::write(&judgement, 5, self.next())?;
            self.is_visible();
            markdown::write(&judgement, 5, self.next())?;
            self.is_visible();
            json::write_pretty(&judgement, self.next())?;
            self.is_visible();
            let report = CheckReport {
                name: "job".to_owned(),
                record: self.record,
                judgement: &judgement,
                failed: None,
                baseline: BaselineState::NotGiven,
                top: 5,
            };
            for write in [
                ci::github::annotations,
                ci::github::outputs,
                ci::junit::write,
                ci::markdown::write,
                ci::text::write,
                ci::benchmark::github,
                ci::benchmark::bencher,
            ] {
                write(&report, self.next())?;
                self.is_visible();
            }
        }
        Ok(())
    }

    fn next(&mut self) -> &mut Vec<u8> {
        self.bytes.clear();
        &mut self.bytes
    }

    /// Checks that nothing in the output acts on a terminal or a CI system, beside the output's own styles and annotations.
    fn is_visible(&self) {
        let text = str::from_utf8(&self.bytes).expect("UTF-8");
        let plain = anstream::adapter::strip_str(text).to_string();
        let acting = plain.chars().find(|&c| c != '\n' && is_hidden(c));
        assert_eq!(acting, None, "{plain:?}");
        let lower = plain.to_ascii_lowercase();
        for command in ["##[", "##vso[", "##teamcity["] {
            assert!(!lower.contains(command), "{plain}");
        }
        for line in plain.lines().filter(|line| line.trim_start().starts_with("::")) {
            let own = ["::error title=", "::warning title=", "::notice title="];
            assert!(own.iter().any(|own| line.starts_with(own)), "{plain}");
        }
    }
}

#[cfg(test)]
mod tests;
