import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { GROUPINGS } from "../src/layers.ts";
import { fromHash, toHash, type View } from "../src/state.ts";
import * as format from "../src/format.ts";

const initial: View = {
  metric: "rss",
  by: "process",
  range: null,
  at: null,
  only: null,
  filter: "",
  sort: "value",
  descending: true,
  theme: null,
};
const seconds = fc.nat(1e9).map((micros) => micros / 1e6);

describe("hash", () => {
  test("restores every view", () => {
    const view = fc.record<View>({
      metric: fc.constantFrom("rss", "pss", "vram"),
      by: fc.constantFrom(...GROUPINGS),
      range: fc.option(fc.tuple(seconds, seconds).filter(([from, to]) => from < to)),
      at: fc.option(seconds),
      only: fc.option(fc.string({ minLength: 1, unit: "grapheme" })),
      filter: fc.string({ unit: "grapheme" }),
      sort: fc.constantFrom("value", "pid", "start"),
      descending: fc.boolean(),
      theme: fc.constantFrom("light", "dark", null),
    });
    fc.assert(fc.property(view, (view) => {
        expect(fromHash(toHash(view, initial), initial)).toEqual(view);
      }),
    );
  });

  test("whatever stands in it is no error", () => {
    fc.assert(fc.property(fc.string(), (text) => void fromHash(`#${text}`, initial)));
    expect(fromHash("#t=9-1&at=x&by=moon&theme=pink", initial)).toEqual(initial);
  });
});

describe("figures", () => {
  test("three digits and a unit", () => {
    expect([0, 1023, 1024, 10_230_000, 1048575, 2 ** 40, null, NaN].map((value) => format.bytes(value))).toEqual([
      "0 B",
      "1023 B",
      "1.00 KiB",
      "9.76 MiB",
      "1024 KiB",
      "1.00 TiB",
      "?",
      "?",
    ]);
  });
  test("lengths of time", () => {
    expect([0, 2e-6, 0.0031, 0.25, 59.99, 61, 7322].map((value) => format.seconds(value))).toEqual([
      "0 s",
      "2 µs",
      "3.10 ms",
      "250 ms",
      "59.99 s",
      "1 min 1 s",
      "2 h 2 min 2 s",
    ]);
  });
});
