//! Parquet, read back by the library that wrote it; `.ci/parquet` has `DuckDB` read it.

use std::fs::File;

use parquet::{
    basic::{LogicalType, TimeUnit, Type as Physical},
    file::reader::{FileReader, SerializedFileReader},
    record::{Field, Row},
};
use serde_json::Value;

use crate::made::{
    HOSTILE_COMMAND, PEAK_BYTES, Place, SAMPLED_PEAK_BYTES, checkpoint, crowd, nothing, record,
};

const TABLES: [&str; 3] = ["samples", "processes", "run"];

fn exported(record: &Value) -> Place {
    let place = Place::with("mem.json", record);
    let output = place.command(&["export", "mem.json", "--format", "parquet", "-o", "mem"]).output();
    let output = output.expect("runs");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    place
}

fn open(place: &Place, table: &str) -> SerializedFileReader<File> {
    let file = File::open(place.path().join("mem").join(table).with_extension("parquet")).expect("written");
    SerializedFileReader::new(file).expect("Parquet")
}

fn rows(place: &Place, table: &str) -> Vec<Row> {
    open(place, table).get_row_iter(None).expect("rows").collect::<Result<_, _>>().expect("rows")
}

fn value<'a>(row: &'a Row, name: &str) -> &'a Field {
    row.get_column_iter().find(|(column, _)| *column == name).map(|(_, field)| field).expect(name)
}

#[test]
fn types_that_every_reader_knows() {
    let place = exported(&record());
    for table in TABLES {
        let reader = open(&place, table);
        let schema = reader.metadata().file_metadata().schema_descr();
        assert!(schema.num_columns() > 10, "{table}");
        for column in schema.columns() {
            let known = match (column.physical_type(), column.logical_type_ref()) {
                (Physical::INT64 | Physical::DOUBLE | Physical::BOOLEAN, None)
                | (Physical::BYTE_ARRAY, Some(LogicalType::String)) => true,
                (Physical::INT64, Some(logical)) => {
                    *logical == LogicalType::timestamp(true, TimeUnit::MICROS)
                }
                _ => false,
            };
            assert!(known, "{table}: {column:?}");
        }
    }
}

#[test]
fn the_peak_comes_back_and_unknown_is_null() {
    let place = exported(&record());
    let [run] = &rows(&place, "run")[..] else { panic!("one row") };
    assert_eq!(*value(run, "peak_rss_bytes"), Field::Long(i64::try_from(PEAK_BYTES).expect("small")));
    assert_eq!(*value(run, "peak_rss_certainty"), Field::Str("bounded".to_owned()));
    assert_eq!(*value(run, "peak_pss_bytes"), Field::Null);
    assert_eq!(*value(run, "start_time"), Field::TimestampMicros(1_763_661_754_000_000));
    let samples = rows(&place, "samples");
    let totals: Vec<&Field> = samples
        .iter()
        .filter(|row| *value(row, "scope") == Field::Str("total".to_owned()))
        .filter(|row| *value(row, "metric") == Field::Str("rss".to_owned()))
        .map(|row| value(row, "value"))
        .collect();
    assert_eq!(totals[1..3], [&Field::Long(i64::try_from(SAMPLED_PEAK_BYTES).expect("small")), &Field::Null]);
    let processes = rows(&place, "processes");
    assert_eq!(processes.len(), 4);
    assert_eq!(*value(&processes[1], "command"), Field::Str(HOSTILE_COMMAND.to_owned()));
    assert_eq!(*value(&processes[2], "peak_rss_bytes"), Field::Null);
    assert_eq!(*value(&processes[3], "end_seconds"), Field::Null);
}

#[test]
fn odd_records_give_tables_too() {
    for (record, [samples, processes]) in
        [(nothing(), [0, 0]), (checkpoint(), [0, 4]), (crowd(), [10_000, 10_000])]
    {
        let place = exported(&record);
        assert_eq!(TABLES.map(|table| rows(&place, table).len()), [samples, processes, 1]);
    }
}

#[test]
fn a_directory_is_made_and_only_its_tables_replaced() {
    let place = exported(&record());
    place.put("mem/notes.txt", "keep");
    place.put("mem/run.parquet", "old");
    let again = place.command(&["export", "mem.json", "--format", "parquet", "-o", "mem"]).output();
    assert_eq!(again.expect("runs").status.code(), Some(0));
    assert_eq!(rows(&place, "run").len(), 1);
    assert_eq!(std::fs::read_dir(place.path().join("mem")).expect("listed").count(), 4);
}

#[test]
fn a_place_that_is_no_directory_is_refused() {
    let place = Place::with("mem.json", &record());
    for (directory, why) in
        [("no/such", "--output no/such: No such"), ("mem.json", "this is the record itself")]
    {
        let output = place.command(&["export", "mem.json", "--format", "parquet", "-o", directory]).output();
        let output = output.expect("runs");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(why), "{error}");
    }
}
