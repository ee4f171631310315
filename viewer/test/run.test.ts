import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { layersOf, members, GROUPINGS, type Layer } from "../src/layers.ts";
import { marksOf, withMemory } from "../src/marks.ts";
import { paint, pieces } from "../src/picture.ts";
import { Run, valueAt } from "../src/run.ts";
import { made, type Made } from "./record.ts";

const rows = fc.array(
  fc.record({
    pid: fc.integer({ min: 1, max: 12 }),
    ppid: fc.integer({ min: 1, max: 12 }),
    command: fc.constantFrom("cc", "ld", "<script>alert(1)</script>", "__proto__"),
    start: fc.integer({ min: 0, max: 9 }),
    line: fc.option(fc.tuple(fc.integer({ min: 0, max: 9 }), fc.array(fc.nat(1e9), { minLength: 1, maxLength: 6 })), { nil: undefined }),
  }),
  { maxLength: 25 },
);

describe("tree", () => {
  test("every process stands below an earlier parent, once", () => {
    fc.assert(
      fc.property(rows, (rows) => {
        const { tree } = new Run(made(rows as Made[], 20));
        expect([...tree.order].sort((one, other) => one - other)).toEqual(rows.map((_, row) => row));
        const place = new Map(tree.order.map((row, at) => [row, at]));
        rows.forEach((_, row) => {
          const parent = tree.parent[row] as number;
          if (parent < 0) return;
          expect(place.get(parent)).toBeLessThan(place.get(row) as number);
          expect(tree.depth[row]).toBe((tree.depth[parent] as number) + 1);
        });
      }),
    );
  });

  test("a pid that comes again is another parent", () => {
    const { tree } = new Run(
      made([
        { pid: 1, ppid: 0 },
        { pid: 7, ppid: 1, start: 1, end: 3 },
        { pid: 8, ppid: 7, start: 2, end: 3 },
        { pid: 7, ppid: 1, start: 5, end: 9 },
        { pid: 9, ppid: 7, start: 6, end: 8 },
      ]),
    );
    expect(Array.from(tree.parent)).toEqual([-1, 0, 1, 0, 3]);
  });

  test("branches hang on the trunk", () => {
    const run = new Run(
      made([
        { pid: 1, ppid: 0, command: "sh" },
        { pid: 2, ppid: 1, command: "make" },
        { pid: 3, ppid: 2, command: "cc" },
        { pid: 4, ppid: 3, command: "as" },
        { pid: 5, ppid: 2, command: "ld" },
      ]),
    );
    expect(Array.from(run.tree.branches())).toEqual([0, 1, 2, 2, 4]);
  });

  test("ten thousand generations do not overflow", () => {
    const run = new Run(made(Array.from({ length: 10_000 }, (_, at) => ({ pid: at + 1, ppid: at, start: at / 1000 })), 20));
    expect(run.tree.depth[9_999]).toBe(9_999);
  });
});

describe("layers", () => {
  test("groups and their pieces sum up to the same", () => {
    fc.assert(
      fc.property(rows, (rows) => {
        const run = new Run(made(rows as Made[], 20));
        for (let column = 0; column < 20; column++) {
          const truth = rows.reduce((sum, { line }) => sum + (line?.[1][column - line[0]] ?? 0), 0);
          for (const by of GROUPINGS) {
            const layers = layersOf(run, "rss", by);
            const total = layers.reduce((sum, layer) => sum + (valueAt(layer, column) || 0), 0);
            expect(total).toBe(truth);
            const picture = paint(run, "rss", by);
            const all = pieces(run, picture, [...picture.shown, ...picture.small]);
            expect(all.reduce((sum, piece) => sum + (valueAt(piece.line, column) || 0), 0)).toBe(truth);
          }
        }
      }),
    );
  });

  test("every process is in one group", () => {
    fc.assert(
      fc.property(rows, (rows) => {
        const run = new Run(made(rows as Made[], 20));
        for (const by of ["name", "command", "exe", "tree"] as const) {
          const all = [...members(run, by).values()].flat();
          expect(all.sort((one, other) => one - other)).toEqual(rows.map((_, row) => row));
        }
      }),
    );
  });

  test("a counter becomes a rate", () => {
    const unpacked = made([{ pid: 1, ppid: 0, line: [2, [1_000_000, 1_500_000, NaN, 3_500_000]] }]);
    const series = unpacked.series[0];
    if (!series) throw new Error("made one");
    series.head.metric = "cpu_time";
    series.head.counted = "microseconds";
    const line = new Run(unpacked).rows("cpu_time").get(0);
    expect(Array.from(line?.values ?? [])).toEqual([NaN, 0.5, 1, 1]);
  });
});

describe("the highest in a range", () => {
  test("is the same as by looking at each value", () => {
    const values = fc.array(fc.option(fc.nat(1000), { nil: NaN, freq: 3 }), { minLength: 1, maxLength: 400 });
    fc.assert(
      fc.property(values, fc.nat(50), fc.nat(450), fc.nat(450), (values, first, begin, end) => {
        const run = new Run(made([{ pid: 1, ppid: 0, line: [first, values] }], 450));
        const line = run.rows("rss").get(0);
        const known = values.filter((value, at) => !Number.isNaN(value) && first + at >= begin && first + at < end);
        expect(line && run.highestIn(line, begin, end)).toBe(known.length > 0 ? Math.max(...known) : NaN);
      }),
    );
  });
});

describe("moments", () => {
  test("the nearest column, none without a timeline", () => {
    const run = new Run(made([], 10));
    expect([-5, 0.4, 0.6, 3.5, 99].map((seconds) => run.columnAt(seconds))).toEqual([0, 0, 1, 3, 9]);
    expect(new Run(made([], 0)).columnAt(1)).toBe(-1);
  });
});

describe("limits", () => {
  test("on the total in the whole picture, on a process alone", () => {
    const limits = ["total_rss", "process_rss", "total_pss"].map((of) => ({ of, limit_bytes: 7, action: "warn", exceeded: null }));
    const run = new Run(made([{ pid: 1, ppid: 0, line: [0, [5]] }], 10, { limits }));
    const [layer] = layersOf(run, "rss", "process");
    const words = (only: Layer | null) => marksOf(run, "rss", only).map((mark) => mark.words);
    expect(words(null)).toEqual(["limit on the total RSS: 7 B"]);
    expect(words(layer ?? null)).toEqual(["limit on each process: 7 B"]);
  });
});

describe("peaks over a stack of RSS", () => {
  const interval = (bytes: number) => ({
    bytes,
    lower_bytes: bytes,
    upper_bytes: bytes,
    lower_rigorous: false,
    upper_rigorous: false,
    certainty: "estimate",
    at_seconds: 1,
    between_seconds: null,
  });
  const words = (rss: number, memory: number | null) => {
    const peak = { rss: interval(rss), memory: memory === null ? null : interval(memory), pss: null, cgroup: null, gpu: [] };
    const run = new Run(made([{ pid: 1, ppid: 0, line: [0, [5]] }], 10, { peak }));
    return withMemory(run, marksOf(run, "rss", null)).map(({ kind, words }) => `${kind}: ${words}`);
  };

  test("peak memory is named first, and the sum as what it is", () => {
    expect(words(900 << 20, 500 << 20)).toEqual(["sum: sum of RSS ≈ 900 MiB", "peak: peak memory ≈ 500 MiB, each page counted once"]);
  });

  test("a sum that is no more than the memory needs no mark", () => {
    expect(words(510 << 20, 500 << 20)).toEqual(["peak: peak memory ≈ 500 MiB, each page counted once"]);
  });

  test("without memory the sum is the peak", () => {
    expect(words(510 << 20, null)).toEqual(["peak: peak ≈ 510 MiB"]);
  });
});
