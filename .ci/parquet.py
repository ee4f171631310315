"""Compares a record with its Parquet tables, by SQL. Arguments: the record, the directory of the tables."""

import json
import sys

import duckdb

record = json.load(open(sys.argv[1]))
tables = {name: f"'{sys.argv[2]}/{name}.parquet'" for name in ("samples", "processes", "run")}


def ask(question):
    """The only row of the answer."""
    [row] = duckdb.sql(question.format(**tables)).fetchall()
    return row


def known(values):
    return [value for value in values if value is not None]


total = next(s for s in record["timeline"]["series"] if s["scope"] == "total" and s["metric"] == "rss")
figures = sum(max(len(s["bytes"]), len(s["min"]), len(s["max"])) for s in record["timeline"]["series"])
rss = record["peak"]["rss"]
pss = record["peak"]["pss"]
peaks = [p["peak"]["rss"] and p["peak"]["rss"]["bytes"] for p in record["processes"]]

expected = {
    "select max(value), count(*) - count(value) from {samples} where scope = 'total' and metric = 'rss'":
        (max(known(total["bytes"])), total["bytes"].count(None)),
    "select count(*) from {samples} where unit = 'bytes'": (figures,),
    "select peak_rss_bytes, peak_rss_lower_bytes, peak_rss_upper_bytes, peak_rss_certainty, peak_pss_bytes from {run}":
        (rss["bytes"], rss["lower_bytes"], rss["upper_bytes"], rss["certainty"], pss and pss["bytes"]),
    "select count(*), max(peak_rss_bytes), count(peak_rss_bytes), count(args) from {processes}":
        (len(peaks), max(known(peaks)), len(known(peaks)), 0),
    # A moment is the run's start and the seconds since then.
    "select count(*) from {samples} s, {run} r where abs(epoch_us(s.time) - epoch_us(r.start_time) - s.elapsed_seconds * 1e6) > 1":
        (0,),
    # Each process's samples are distinguished as in the table of processes.
    "select count(*) from {samples} s join {processes} p on s.process = p.process where s.pid <> p.pid or s.command <> p.command":
        (0,),
}
for question, answer in expected.items():
    got = ask(question)
    assert got == answer, f"{question}: {got}, and in the record {answer}"

for name, table in tables.items():
    types = {row[1] for row in duckdb.sql(f"describe select * from {table}").fetchall()}
    assert types <= {"BIGINT", "DOUBLE", "BOOLEAN", "VARCHAR", "TIMESTAMP WITH TIME ZONE"}, f"{name}: {types}"
print(f"DuckDB {duckdb.__version__} reads {figures} figures of {len(peaks)} processes; the peak is {rss['bytes']} bytes")
