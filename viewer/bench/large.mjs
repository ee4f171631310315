// How large pages of large records are, and how long they take in a browser. Records of hwm run are bounded; these are made up.
// Usage: npm run bench   (HWM names the hwm to use, CHROMIUM the browser)
import { execFileSync } from "node:child_process";
import { createWriteStream, mkdtempSync, rmSync, statSync } from "node:fs";
import { once } from "node:events";
import { cpus, loadavg, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { chromium } from "playwright-core";

const HWM = process.env.HWM ?? resolve(import.meta.dirname, "../../target/release/hwm");
const ARGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const CASES = [
  { processes: 50, samples: 20_000, megabytes: 1, ready: 1000 },
  { processes: 200, samples: 36_000, megabytes: 12, ready: 2000 },
];
const ZOOM = 100;

let seed = 7;
/** The same numbers each time (xorshift). */
function random() {
  seed ^= seed << 13;
  seed ^= seed >>> 17;
  seed ^= seed << 5;
  return (seed >>> 0) / 2 ** 32;
}

/**
 * Returns memory as programs use it. In half of the samples it moves by up to 64 pages, mostly upwards. Now and then
 * much of it is freed.
 */
function walk(samples) {
  let pages = 2_000 + Math.floor(random() * 20_000);
  return Array.from({ length: samples }, () => {
    if (random() < 0.5) pages += Math.floor((random() - 0.45) * 128);
    if (random() < 0.0005) pages = Math.floor(pages * random());
    pages = Math.max(100, pages);
    return pages * 4096;
  });
}

async function record(file, { processes, samples }) {
  const out = createWriteStream(file);
  const write = async (text) => out.write(text) || once(out, "drain");
  const lines = Array.from({ length: processes }, () => walk(samples));
  const total = Array.from({ length: samples }, (_, at) => lines.reduce((sum, line) => sum + line[at], 0));
  const peak = Math.max(...total);
  const at = total.indexOf(peak) / 10;
  const seconds = Array.from({ length: samples }, (_, at) => Math.round(at * 1e5 + random() * 2e3) / 1e6);
  const time = "2026-01-01T00:00:00Z";
  const figure = { bytes: peak, lower_bytes: peak, upper_bytes: peak, lower_rigorous: true, upper_rigorous: true, certainty: "bounded", at_seconds: at, between_seconds: null };
  const rows = lines.map((line, row) => {
    const most = Math.max(...line);
    return {
      pid: row + 100, ppid: row === 0 ? 1 : 100, command: `worker-${row % 9}`, comm: "worker", exe: `/usr/bin/worker-${row % 9}`, args: null, max_rss_kib: most / 1024,
      first_seen: time, last_seen: time, start_seconds: 0, end_seconds: samples / 10, still_running: false,
      peak: { rss: { bytes: most, source: "sampled", certainty: "sampled" }, swap: null }, images: [], exit: { code: 0, signal: null },
    };
  });
  const head = {
    schema: { name: "highwater.record", major: 1, minor: 2 }, complete: true, tool: { version: "0", target: "x" },
    host: { name: "bench", os: "linux", kernel: null, cpus: 2, memory_bytes: null, container_limit_bytes: null, rank: null },
    command: ["bench"], start_time: time, end_time: time, duration_seconds: samples / 10, interval_ms: 100, interval_mode: "fixed", samples,
    exit: { code: 0, signal: null, signal_name: null, cause: "exited" }, primary_metric: "rss", max_total_rss_kib: peak / 1024,
    peak: { rss: figure, pss: null, cgroup: null, gpu: [] },
    capture: { lineage: "perf", peaks: "samples", lost_events: 0, processes_seen: processes, processes_seen_is: "exact", processes_without_exact_peak: processes, processes_left_out: 0, processes_still_running: 0, downgrades: [], overhead: null },
    processes: rows, groups: [], limits: [], findings: [],
  };
  await write(`${JSON.stringify(head).slice(0, -1)},"timeline":{"seconds":${JSON.stringify(seconds)},"series":[`);
  for (const [place, values] of [total, ...lines].entries()) {
    const text = JSON.stringify(values);
    const who = place === 0 ? '"scope":"total","id":null' : `"scope":"process","id":${place - 1}`;
    await write(`${place ? "," : ""}{"metric":"rss",${who},"first":0,"bytes":${text},"min":${text},"max":${text}}`);
  }
  await write("]}}");
  out.end();
  await once(out, "finish");
}

/** From the event to the painted frame. */
const zoom = (page, events) =>
  page.evaluate(async (events) => {
    const over = document.querySelector(".u-over");
    const box = over.getBoundingClientRect();
    const times = [];
    for (let event = 0; event < events; event++) {
      const begun = performance.now();
      over.dispatchEvent(new WheelEvent("wheel", { bubbles: true, cancelable: true, clientX: box.left + box.width * (0.3 + (event % 5) / 10), clientY: box.top + 50, deltaY: event % 12 < 9 ? -80 : 90 }));
      await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
      times.push(performance.now() - begun);
    }
    return times.sort((one, other) => one - other);
  }, events);

console.log(`load average ${loadavg()[0].toFixed(1)} on ${cpus().length} processors`);
const dir = mkdtempSync(join(tmpdir(), "hwm-bench-"));
let failed = false;
const judge = (value, limit) => {
  if (value > limit) failed = true;
  return value > limit ? `(more than ${limit})` : "";
};
try {
  for (const one of CASES) {
    const json = join(dir, "large.json");
    const html = join(dir, "large.html");
    await record(json, one);
    const begun = performance.now();
    execFileSync(HWM, ["view", json, "--html", html]);
    const written = performance.now() - begun;
    const megabytes = statSync(html).size / 1e6;
    const ready = [];
    let zooms = [];
    let busy = { load: 0, zoom: 0 };
    const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ARGS });
    for (let time = 0; time < 5; time++) {
      const page = await browser.newPage({ viewport: { width: 1600, height: 1000 } });
      // Beside the clock on the wall: what the page's main thread really took, which other work on the machine does not change much.
      const devtools = await page.context().newCDPSession(page);
      await devtools.send("Performance.enable", { timeDomain: "threadTicks" });
      const cpu = async () => (await devtools.send("Performance.getMetrics")).metrics.find(({ name }) => name === "TaskDuration").value * 1000;
      await page.goto(`file://${html}`);
      await page.waitForFunction(() => document.documentElement.dataset.ready !== undefined, null, { timeout: 60_000 });
      ready.push(Number(await page.evaluate(() => document.documentElement.dataset.ready)));
      if (time === 0) {
        busy.load = await cpu();
        for (const by of ["command", "process"]) {
          await page.locator(`[data-value=${by}]`).click();
          await page.waitForTimeout(500);
          const before = await cpu();
          const all = await zoom(page, 60);
          busy.zoom = Math.max(busy.zoom, ((await cpu()) - before) / all.length);
          zooms = zooms.concat(all);
        }
      }
      await page.close();
    }
    await browser.close();
    ready.sort((a, b) => a - b);
    zooms.sort((a, b) => a - b);
    const [median, slow] = [zooms[zooms.length >> 1], zooms[Math.floor(zooms.length * 0.95)]];
    console.log(`${one.processes} processes x ${one.samples} samples:`);
    console.log(`  page         ${megabytes.toFixed(2)} MB ${judge(megabytes, one.megabytes)}, written by hwm in ${written.toFixed(0)} ms`);
    console.log(`  interactive  ${ready[2]} ms after navigation (median of 5, ${ready[0]} to ${ready[4]}) ${judge(ready[2], one.ready)}`);
    console.log(`               CPU of the page's main thread: ${busy.load.toFixed(0)} ms`);
    console.log(`  zoom         ${median.toFixed(0)} ms to the painted frame (median of ${zooms.length}; 95 of 100 below ${slow.toFixed(0)}) ${judge(median, ZOOM)}`);
    console.log(`               CPU of the page's main thread: ${busy.zoom.toFixed(0)} ms each, in the dearer of two groupings`);
  }
} finally {
  rmSync(dir, { recursive: true, force: true });
}
process.exitCode = failed ? 1 : 0;
