import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as format from "../src/format.ts";
import { clean, dir, drawn, hash, launch, open, plot, run, view, type Json } from "./stage.ts";

let browser: Browser;
let real: Json;

beforeAll(async () => {
  browser = await launch();
  real = run("real", process.execPath, join(import.meta.dirname, "job.mjs")).record;
}, 120_000);
afterAll(async () => {
  await browser?.close();
  clean();
});

const changed = (change: (record: Json) => void): Json => {
  const record = structuredClone(real);
  change(record);
  return record;
};

async function look(page: string, start: string, see: (page: Json) => Promise<void>): Promise<void> {
  const seen = await open(browser, page, start);
  await see(seen.page);
  await drawn(seen.page);
  expect(seen.trouble).toEqual([]);
  await seen.page.context().close();
}

describe("records that are not as usual", () => {
  const evil = "<script>alert(1)</script>";
  const worse = `"'></script><script>alert(2)</script><img src=x onerror=alert(3)>`;

  test("names that look like markup are text", async () => {
    const record = changed((record) => {
      record.command = ["sh", "-c", worse];
      record.host.name = evil;
      record.processes.forEach((process: Json, place: number) => {
        process.command = process.name = place % 2 ? evil : worse;
        process.exe = `/tmp/${evil}`;
        process.args = [evil, worse];
      });
      record.capture.downgrades = [{ wanted: evil, reason: worse }];
      record.limits = [{ of: "total_rss", limit_bytes: 1e6, action: "warn", exceeded: { bytes: 2e6, highest_bytes: 2e6, at_seconds: 0.2, pid: 1, command: evil, ended_by: null } }];
    });
    const file = view("evil", record);
    expect(readFileSync(file, "utf8")).not.toContain("alert(");
    for (const by of ["process", "name", "command", "exe", "tree"]) {
      await look(file, `#by=${by}`, async (page) => {
        const box = await plot(page);
        await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
        await drawn(page);
        expect(await page.locator("h1").textContent()).toContain(worse);
        expect(await page.locator("tbody").textContent()).toContain(evil);
        expect(await page.locator("#app script, #app img").count()).toBe(0);
      });
    }
    await look(file, `#only=${encodeURIComponent(`c${evil}`)}&by=command&q=${encodeURIComponent(evil)}`, async (page) => {
      expect(await page.locator(".pills").textContent()).toContain(evil);
    });
    await look(view("evil-two", record, record), "", async (page) => {
      expect(await page.locator("tbody").textContent()).toContain(evil);
      expect(await page.locator("#app script, #app img").count()).toBe(0);
    });
  });

  test("names of right-to-left and hidden characters", async () => {
    const record = changed((record) => {
      record.command = ["sh", "a\u202eb"];
      record.processes.forEach((process: Json, place: number) => (process.command = process.name = place % 2 ? "שלום" : "x\u200by"));
    });
    await look(view("turning", record), "", async (page) => {
      expect(await page.locator("h1").textContent()).toBe("sh a\\u{202e}b");
      const names = await page.locator("tbody tr[data-row] td:first-child").allTextContents();
      expect(new Set(names)).toEqual(new Set(["x\\u{200b}y", "\u2068שלום\u2069"]));
    });
  });

  test("no process at all", () =>
    look(
      view("none", changed((record) => {
        record.processes = [];
        record.timeline = { seconds: [], series: [] };
        record.peak.rss = null;
        record.peak.memory = null;
        record.max_total_rss_kib = null;
      })),
      "",
      async (page) => {
        expect(await page.locator(".note").allTextContents()).toEqual(expect.arrayContaining([expect.stringContaining("No process was seen")]));
        expect(await page.locator(".tile.hero, .tile").first().textContent()).toContain("?");
      },
    ));

  test("one process", () =>
    look(
      view("one", changed((record) => {
        record.processes = record.processes.slice(0, 1);
        record.peak.memory.holders = null;
        record.timeline.series = record.timeline.series.filter((series: Json) => series.scope !== "process" || series.id === 0);
      })),
      "",
      async (page) => expect(await page.locator("tbody tr[data-row]").count()).toBe(1),
    ));

  test("no duration, and a single column", () =>
    look(
      view("short", changed((record) => {
        record.duration_seconds = 0;
        for (const peak of [record.peak.rss, record.peak.memory]) Object.assign(peak, { at_seconds: 0, between_seconds: null });
        record.timeline.seconds = [0];
        for (const series of record.timeline.series) for (const name of ["bytes", "min", "max"]) series[name] = series.first === 0 ? series[name].slice(0, 1) : [];
        record.timeline.series = record.timeline.series.filter((series: Json) => series.first === 0);
        record.timeline.counters = [];
        for (const process of record.processes) [process.start_seconds, process.end_seconds] = [0, 0];
      })),
      "",
      async (page) => {
        await page.keyboard.press("p");
        await page.keyboard.press("+");
        await drawn(page);
        expect(await page.locator("tbody tr[data-row]").count()).toBe(real.processes.length);
      },
    ));

  test("a checkpoint", () =>
    look(
      view("checkpoint", changed((record) => {
        record.complete = false;
        record.exit = null;
        record.timeline = null;
        record.groups = [];
        for (const process of record.processes) [process.end_seconds, process.still_running] = [null, true];
      })),
      "",
      async (page) => {
        expect(await page.locator(".note").first().textContent()).toContain("checkpoint");
        expect(await page.locator("tbody tr[data-row]").count()).toBe(real.processes.length);
        expect(await page.locator(".plot").isVisible()).toBe(false);
        expect(await page.locator(".lanes").isVisible()).toBe(true);
      },
    ));

  test("ten thousand processes make few rows", () =>
    look(
      view("many", changed((record) => {
        const [process] = record.processes;
        record.processes = Array.from({ length: 10_000 }, (_, place) => ({ ...process, pid: place + 2, ppid: place % 3 ? place + 1 : 2, start_seconds: place / 20_000, command: `job-${place % 700}` }));
      })),
      "",
      async (page) => {
        const scroller = page.locator(".scroller");
        await scroller.evaluate((element: HTMLElement) => (element.scrollTop = element.scrollHeight / 2));
        await drawn(page);
        expect(await page.locator("tbody tr[data-row]").count()).toBeLessThan(60);
        expect(await page.locator("tbody tr[data-row]").count()).toBeGreaterThan(15);
        await page.locator(".lanes").evaluate((element: HTMLElement) => (element.scrollTop = element.scrollHeight));
        for (const by of ["process", "name", "exe", "tree", "command"]) await page.locator(`[data-value=${by}]`).click();
        await page.getByPlaceholder("Filter").fill("job-699");
        await drawn(page);
        expect(await page.locator(".table .caption").textContent()).toContain("14 processes");
      },
    ));

  test("what was attached to says what is missing", () =>
    look(
      view("attached", changed((record) => {
        record.capture.attached = { pid: 77, ran_for_seconds: 90, processes: 2, marks_bytes: null };
        record.peak.swap = { bytes: 3 * 1024 * 1024, certainty: "sampled", at_seconds: 0.1 };
      })),
      "",
      async (page) => {
        expect(await page.locator(".note").first().textContent()).toContain("Attached to process 77, which had already run for 1 min 30 s");
        expect(await page.locator(".tile", { hasText: "Peak swap" }).textContent()).toContain("≥ 3.00 MiB");
      },
    ));

  test("a newer minor version is mentioned", () =>
    look(
      view("newer", changed((record) => {
        record.schema.minor = 99;
        record.timeline.series.push({ ...record.timeline.series[0], metric: "charm" });
      })),
      "",
      async (page) => {
        const notes = (await page.locator(".note").allTextContents()).join(" ");
        expect(notes).toContain("1.99");
        expect(notes).toContain("1 series");
      },
    ));

  test("a peak between two samples is a span", () =>
    look(
      view("mark", changed((record) => {
        record.peak.memory = null;
        const at = record.peak.rss.at_seconds ?? 0.3;
        Object.assign(record.peak.rss, { at_seconds: null, between_seconds: [at - 0.05, at + 0.05], bytes: record.peak.rss.bytes * 2, upper_bytes: record.peak.rss.bytes * 3 });
        record.max_total_rss_kib = Math.floor(record.peak.rss.bytes / 1024);
      })),
      "",
      async (page) => expect(await page.locator(".tile.hero .words").textContent()).toContain("between"),
    ));

  test("the first card goes to the peak with each page counted once", () =>
    look(view("memory", real), "", async (page) => {
      const { memory } = real.peak;
      if (!memory) return;
      await page.locator(".tile.hero").click();
      await drawn(page);
      expect(await page.locator(".plot").getAttribute("aria-label")).toContain(`Memory over`);
      expect(await page.locator(".plot").getAttribute("aria-label")).toContain(format.bytes(memory.bytes));
    }));

  test("limits, findings and devices", () =>
    look(
      view("rich", changed((record) => {
        record.limits = [{ of: "total_rss", limit_bytes: Math.floor(record.peak.rss.bytes * 0.8), action: "kill", exceeded: { bytes: record.peak.rss.bytes, highest_bytes: null, at_seconds: 0.4, pid: 7, command: "node", ended_by: "term" } }];
        record.findings = [
          { kind: "leak", scope: "process", metric: "rss", id: 0, pid: real.processes[0].pid, command: "node", bytes_per_minute: 6e8, began_seconds: 0.1, until_seconds: 0.8, from_bytes: 3e7, to_bytes: 4e7, sureness: "clear" },
          { kind: "something new", figure: 1 },
        ];
        const { length } = record.timeline.seconds;
        const bytes = Array.from({ length }, (_, column) => column * 4096);
        record.timeline.series.push({ metric: "vram", scope: "device", id: 0, first: 0, bytes, min: bytes, max: bytes });
      })),
      "",
      async (page) => {
        expect(await page.locator(".tile.bad").textContent()).toContain("exceeded at 0.400 s");
        expect(await page.locator(".tile.warn").textContent()).toContain("1 leak");
        await page.locator(".findings button").click();
        await drawn(page);
        expect((await hash(page)).get("only")).toBe("p0");
        await page.getByRole("button", { name: "VRAM" }).click();
        await drawn(page);
        expect(await page.locator(".legend").textContent()).toContain("device 0");
      },
    ));

  test("a page that was cut short says so", async () => {
    const whole = readFileSync(view("whole", real), "utf8");
    const file = join(dir, "cut.html");
    writeFileSync(file, whole.replace(/(text\/plain">[A-Za-z0-9+/]{400})[A-Za-z0-9+/=]+/, "$1"));
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(`file://${file}`);
    expect(await page.getByRole("alert").textContent({ timeout: 10_000 })).toContain("cannot be read");
    await context.close();
  });
});

describe("two runs", () => {
  test("stand in one picture, with what differs", () =>
    look(
      view("two", real, changed((record) => {
        record.command = ["another"];
        record.peak.memory = null;
        record.peak.rss.bytes += 50 * 1024 * 1024;
        record.peak.rss.upper_bytes += 50 * 1024 * 1024;
        record.max_total_rss_kib = Math.floor(record.peak.rss.bytes / 1024);
      })),
      "",
      async (page) => {
        expect(await page.locator("h1").allTextContents()).toEqual([expect.stringContaining("job.mjs"), expect.stringContaining("another")]);
        expect(await page.locator(".tile.hero").textContent()).toContain("+50.0 MiB");
        const box = await plot(page);
        await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
        await drawn(page);
        expect(await page.locator(".tip .entry").count()).toBe(2);
        await page.locator("tbody tr", { hasText: "node" }).click();
        await drawn(page);
        expect((await hash(page)).get("only")).toBe("cnode");
        await page.mouse.click(box.x + box.width / 3, box.y + box.height / 2);
        await drawn(page);
        expect(await page.locator(".table .caption").textContent()).toContain("at ");
        await page.mouse.move(box.x + box.width * 0.2, box.y + 50);
        await page.mouse.down();
        await page.mouse.move(box.x + box.width * 0.5, box.y + 50, { steps: 4 });
        await page.mouse.up();
        await drawn(page);
        expect((await hash(page)).get("t")).not.toBeNull();
      },
    ));

  test("begin with the peak memory, and compare groups by RSS", () =>
    look(
      view("two-memory", real, changed((record) => {
        record.peak.memory.bytes += 50 * 1024 * 1024;
        record.peak.memory.upper_bytes += 50 * 1024 * 1024;
      })),
      "",
      async (page) => {
        const chart = page.locator(".plot");
        expect(await page.locator("button[aria-pressed=true][data-value=memory]").count()).toBe(1);
        expect(await chart.getAttribute("aria-label")).toMatch(/^Memory of both runs/);
        expect(await page.locator(".table .caption").textContent()).toContain("highest RSS of each");
        expect(await page.locator("tbody tr", { hasText: "the whole job" }).count()).toBe(0);
        await page.locator("tbody tr", { hasText: "node" }).click();
        await drawn(page);
        expect(await chart.getAttribute("aria-label")).toMatch(/^RSS of both runs/);
      },
    ));
});
