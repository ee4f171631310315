import { expect, test } from "vitest";
import { deflateSync } from "node:zlib";
import { decode, inflate } from "../src/payload.ts";
import { visible } from "../src/visible.ts";

/** A payload with this head and these bytes behind it. */
function payload(timeline: unknown, bytes: number[], texts: string[] = [], command = ["make"]): Uint8Array {
  const run = { command, processes: { texts }, timeline };
  const head = new TextEncoder().encode(JSON.stringify({ format: 1, runs: [run] }));
  const all = new Uint8Array(4 + head.length + bytes.length);
  new DataView(all.buffer).setUint32(0, head.length, true);
  all.set(head, 4);
  all.set(bytes, 4 + head.length);
  return all;
}

test("a number in the head takes no memory beyond the data", () => {
  const series = (change: object) => ({ metric: "rss", scope: "total", id: null, first: 0, length: 1, unit: 1, merged: false, ...change });
  const one = (change: object) => decode(payload({ columns: 1, series: [series(change)] }, [0, 3]));
  expect(one({})[0]?.series[0]?.values).toEqual(Float64Array.of(1));
  for (const length of [2 ** 40, 2, -1]) expect(() => one({ length })).toThrow();
  expect(() => one({ length: 2 ** 40, rest: true })).toThrow("cut short");
  expect(() => one({ merged: true })).toThrow("cut short");
  expect(() => decode(payload({ columns: 2 ** 40, series: [] }, []))).toThrow("cut short");
});

test("unpacking has a bound", async () => {
  const bytes = new Uint8Array(deflateSync(new Uint8Array(1 << 20)));
  expect((await inflate(bytes)).length).toBe(1 << 20);
  await expect(inflate(bytes, 1 << 19)).rejects.toThrow("more than 0.5 MiB");
});

test("names show what they hold, and turn nothing beside them", () => {
  expect(visible("größe 漢字\u00a0👩")).toBe("größe 漢字\u00a0👩");
  expect(visible("a\u202eb\u200b\n\u001b[2J\u009b\u00ad\u{e0041}\ufe0f")).toBe("a\\u{202e}b\\u{200b}\\n\\x1b[2J\\x9b\\u{ad}\\u{e0041}\\u{fe0f}");
  expect(visible("עברית")).toBe("\u2068עברית\u2069");
  const [run] = decode(payload(null, [], ["x\u202ey"], ["sh", "\u2066"]));
  expect([run?.head.processes.texts, run?.head.command]).toEqual([["x\\u{202e}y"], ["sh", "\\u{2066}"]]);
});
