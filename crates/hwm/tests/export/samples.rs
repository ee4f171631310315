//! CSV, read back.

use crate::made::{HOSTILE_COMMAND, SAMPLED_PEAK_BYTES, checkpoint, export, nothing, record};

const HEADER: &str = "elapsed_seconds,metric,unit,scope,process,device,pid,command,value,min,max";

#[test]
fn the_peak_comes_back_and_unknown_is_empty() {
    let text = export(&record(), "csv");
    let mut csv = csv::Reader::from_reader(text.as_bytes());
    let rows: Vec<_> = csv.records().collect::<Result<_, _>>().expect("CSV");
    assert_eq!(rows.len(), 4 + 4 + 1 + 2 + 2 + 1 + 2 + 4);
    let totals = rows.iter().filter(|row| &row[1] == "rss" && &row[3] == "total");
    let values: Vec<&str> = totals.map(|row| &row[8]).collect();
    assert_eq!(values, ["10485760", &SAMPLED_PEAK_BYTES.to_string(), "", "22020096"]);
    let foreign = rows.iter().find(|row| &row[4] == "1").expect("the second process");
    // No `cat` of the file obeys a name.
    let shown = HOSTILE_COMMAND.replace('\u{1b}', "\\x1b").replace('\u{202e}', "\\u{202e}");
    assert_eq!((&foreign[6], &foreign[7]), ("101", &*shown));
    let device = rows.iter().find(|row| &row[3] == "device").expect("the device");
    assert_eq!((&device[1], &device[4], &device[5]), ("vram", "", "0"));
    let cpu = rows.last().expect("the counter");
    assert_eq!((&cpu[1], &cpu[2], &cpu[8], &cpu[10]), ("cpu_time", "microseconds", "1500000", ""));
}

#[test]
fn without_a_timeline_there_is_the_header_alone() {
    for record in [nothing(), checkpoint()] {
        assert_eq!(export(&record, "csv").trim_end(), HEADER);
    }
}
