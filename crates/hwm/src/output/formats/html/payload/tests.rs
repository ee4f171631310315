use std::io::Read;

use base64::read::DecoderReader;
use highwater::record::Record;

use super::*;

const GOLDEN: &[u8] = include_bytes!("../../../../../tests/fixtures/record.json");

/// Returns the contents of the page, unpacked.
fn unpacked(runs: &[Packed]) -> (Value, Vec<u8>) {
    let mut text = Vec::new();
    write(runs, &mut text).unwrap();
    assert!(text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte)));
    let mut compressed = Vec::new();
    DecoderReader::new(&text[..], &STANDARD).read_to_end(&mut compressed).unwrap();
    let bytes = miniz_oxide::inflate::decompress_to_vec_zlib(&compressed).unwrap();
    let (length, rest) = bytes.split_at(4);
    let length = u32::from_le_bytes(length.try_into().unwrap()) as usize;
    (serde_json::from_slice(&rest[..length]).unwrap(), rest[length..].to_vec())
}

fn packed(record: &Record) -> Packed {
    Packed::new(record, record.processes.iter().cloned().map(Ok)).unwrap()
}

struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn take(&mut self) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let (first, rest) = self.0.split_first().unwrap();
            self.0 = rest;
            value |= u64::from(first & 0x7f) << shift;
            shift += 7;
            if first & 0x80 == 0 {
                return value;
            }
        }
    }
}

#[test]
fn every_value_of_the_timeline_comes_back() {
    let mut record: Value = serde_json::from_slice(GOLDEN).unwrap();
    let line = |scope: &str, id: Option<u32>, first: usize, bytes: Value, min: Value, max: Value| json!({"metric": "rss", "scope": scope, "id": id, "first": first, "bytes": bytes, "min": min, "max": max});
    let (all, lows) = (json!([12288, 24576, 8192, 4096]), json!([4096, 24576, 8192, 0]));
    let (own, highs) = (json!([8192, null, 8192]), json!([8192, 16384, 12288]));
    record["timeline"] = json!({"seconds": [0.0, 0.000_007, 1.5, 86_400.25], "series": [
        line("total", None, 0, all.clone(), lows, all),
        line("process", Some(0), 0, own.clone(), own, highs),
        line("other", None, 1, json!([20480, null, 4096]), json!([null, null, null]), json!([null, null, null])),
    ]});
    let record = Record::from_json(record.to_string().as_bytes()).unwrap();
    let (head, columns) = unpacked(&[packed(&record)]);
    let timeline = record.timeline.as_ref().unwrap();
    let mut numbers = Numbers(&columns);
    let mut micros = 0;
    for &seconds in &timeline.seconds {
        micros += numbers.take();
        assert!((micros as f64 / 1e6 - seconds).abs() < 1e-6);
    }
    let heads = head["runs"][0]["timeline"]["series"].as_array().unwrap();
    assert_eq!(heads.len(), timeline.series.len());
    let mut in_order: Vec<&Series> = timeline.series.iter().collect();
    in_order.sort_by_key(|series| series.scope == Scope::Total);
    let mut sums = vec![0; timeline.seconds.len()];
    assert!(heads.iter().any(|head| head["rest"] == true));
    for (head, series) in heads.iter().zip(in_order) {
        let unit = head["unit"].as_u64().unwrap();
        let mut before = 0_i64;
        for (place, &bytes) in series.bytes.iter().enumerate() {
            let sum = &mut sums[series.first + place];
            let read = numbers.take().checked_sub(1).map(|code| {
                before += (code >> 1).cast_signed() ^ -(code & 1).cast_signed();
                let rest = if head["rest"] == true { *sum } else { 0 };
                (before * unit.cast_signed()).wrapping_add_unsigned(rest).cast_unsigned()
            });
            assert_eq!(read, bytes);
            *sum += bytes.unwrap_or(0);
        }
        if head["merged"] == true {
            for place in 0..series.bytes.len() {
                let min = series.min.get(place).copied().flatten();
                let below = numbers.take().checked_sub(1).map(|steps| steps * unit);
                let read = below.map(|below| series.bytes[place].map_or(below, |bytes| bytes - below));
                assert_eq!(read, min);
            }
            for place in 0..series.bytes.len() {
                let max = series.max.get(place).copied().flatten();
                let above = numbers.take().checked_sub(1).map(|steps| steps * unit);
                assert_eq!(above.map(|above| series.bytes[place].map_or(above, |bytes| bytes + above)), max);
            }
        }
    }
    assert!(numbers.0.is_empty());
}

#[test]
fn rows_become_columns_and_unknown_stays_null() {
    let record = Record::from_json(GOLDEN).unwrap();
    let (head, _) = unpacked(&[packed(&record), packed(&record)]);
    assert_eq!(head["runs"].as_array().unwrap().len(), 2);
    let columns = &head["runs"][1]["processes"];
    for (place, row) in record.processes.iter().enumerate() {
        assert_eq!(columns["pid"][place], row.pid);
        let command = columns["command"][place].as_u64().unwrap();
        assert_eq!(columns["texts"][usize::try_from(command).unwrap()], row.command);
        assert_eq!(columns["peak"][place].as_u64(), row.peak.rss.map(|peak| peak.bytes));
    }
}

#[test]
fn large_values_and_gaps() {
    for value in [0, 1, -1, 63, -64, i64::from(i32::MAX), 1 << 60, -(1 << 60)] {
        let code = zigzag(value);
        assert_eq!((code >> 1).cast_signed() ^ -(code & 1).cast_signed(), value);
        let mut bytes = Vec::new();
        varint(code, &mut bytes);
        assert_eq!(Numbers(&bytes).take(), code);
    }
}
