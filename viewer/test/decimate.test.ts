import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { addTo, gather, pick, stack } from "../src/decimate.ts";

/** Moments that rise, with a total for each; some totals were not read. */
const timeline = fc.array(fc.tuple(fc.double({ min: 1e-6, max: 10, noNaN: true }), fc.option(fc.nat(1e12), { nil: NaN, freq: 8 })), {
  minLength: 1,
  maxLength: 400,
}).map((steps) => {
  let now = 0;
  return {
    moments: Float64Array.from(steps, ([step]) => (now += step)),
    total: Float64Array.from(steps, ([, value]) => value),
  };
});
const part = fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true }));

describe("picked columns", () => {
  test("the extremes in sight are kept", () => {
    fc.assert(
      fc.property(timeline, part, fc.integer({ min: 1, max: 60 }), ({ moments, total }, [one, other], buckets) => {
        const end = moments.at(-1) as number;
        const [from, to] = [Math.min(one, other) * end, Math.max(one, other) * end];
        const picked = pick(moments, total, from, to, buckets);
        const inside = Array.from(moments.keys()).filter((column) => (moments[column] as number) >= from && (moments[column] as number) <= to);
        const known = inside.map((column) => total[column] as number).filter((value) => !Number.isNaN(value));
        if (known.length === 0) return;
        const shown = picked.filter((column) => inside.includes(column)).map((column) => total[column] as number);
        expect(shown).toContain(Math.max(...known));
        expect(shown).toContain(Math.min(...known));
      }),
      { numRuns: 500 },
    );
  });

  test("they rise, at most two a bucket and one beyond each end", () => {
    fc.assert(
      fc.property(timeline, part, fc.integer({ min: 1, max: 60 }), ({ moments, total }, [one, other], buckets) => {
        const end = moments.at(-1) as number;
        const [from, to] = [Math.min(one, other) * end, Math.max(one, other) * end];
        const picked = pick(moments, total, from, to, buckets);
        for (let at = 1; at < picked.length; at++) expect(picked[at]).toBeGreaterThan(picked[at - 1] as number);
        // A moment on the very end falls into a bucket of its own.
        expect(picked.length).toBeLessThanOrEqual(2 * buckets + 4);
        if ((moments[0] as number) < from) expect(moments[picked[0] as number]).toBeLessThan(from);
        if (end > to) expect(moments[picked.at(-1) as number]).toBeGreaterThan(to);
      }),
      { numRuns: 500 },
    );
  });

  test("what fits is not thinned out", () => {
    const moments = Float64Array.from({ length: 50 }, (_, at) => at);
    expect(pick(moments, moments, 0, 49, 25)).toHaveLength(50);
  });
});

describe("stacked layers", () => {
  /** Processes that live for a while each, and the total as the sum of who is there. */
  const job = fc.array(fc.record({ first: fc.nat(80), values: fc.array(fc.option(fc.nat(1e9), { nil: NaN, freq: 6 }), { maxLength: 80 }) }), { maxLength: 12 })
    .map((lines) => lines.map(({ first, values }) => ({ first, values: Float64Array.from(values) })));

  test("they sum up to the total in each column that is drawn", () => {
    fc.assert(
      fc.property(job, fc.integer({ min: 1, max: 40 }), (lines, buckets) => {
        const moments = Float64Array.from({ length: 160 }, (_, at) => at / 7);
        const total = new Float64Array(160);
        for (const { first, values } of lines) values.forEach((value, at) => (total[first + at] = (total[first + at] as number) + (value || 0)));
        const columns = pick(moments, total, 0, 23, buckets);
        const edges = stack(lines.map((line) => gather(line, columns)));
        const top = edges.at(-1) ?? new Float64Array(columns.length);
        columns.forEach((column, at) => expect(top[at]).toBe(total[column]));
        edges.forEach((edge, place) => edge.forEach((value, at) => expect(value).toBeGreaterThanOrEqual(edges[place - 1]?.[at] ?? 0)));
        // The same when all are thrown together.
        const sums = new Float64Array(columns.length);
        for (const line of lines) addTo(sums, line, columns);
        expect(Array.from(sums)).toEqual(Array.from(top));
      }),
      { numRuns: 500 },
    );
  });
});
