import type { Browser } from "playwright-core";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as format from "../src/format.ts";
import { clean, drawn, hash, launch, open, plot, run, type Json, type Seen } from "./stage.ts";

let browser: Browser;
let job: { record: Json; page: string };
const jobFile = join(import.meta.dirname, "job.mjs");

beforeAll(async () => {
  browser = await launch();
  job = run("real", process.execPath, jobFile);
}, 120_000);
afterAll(async () => {
  await browser?.close();
  clean();
});

/** Opens the page of the real run, and sees to it that nothing went wrong. */
async function seen(start: string, look: (seen: Seen) => Promise<void>, options = {}): Promise<void> {
  const all = await open(browser, job.page, start, options);
  await look(all);
  expect(all.trouble).toEqual([]);
  await all.page.context().close();
}

describe("the page of a real run", () => {
  test("shows what the record says", () =>
    seen("", async ({ page }) => {
      const { record } = job;
      expect(await page.locator("h1").textContent()).toBe(record.command.join(" "));
      expect(await page.locator(".tile.hero .figure").textContent()).toContain(format.bytes((record.peak.memory ?? record.peak.rss).bytes));
      expect(await page.locator(".facts").textContent()).toContain("exit code 0");
      expect(await page.locator("tbody tr[data-row]").count()).toBe(record.processes.length);
      // How processes ended is not known everywhere (without exit records, and in a pid namespace).
      const failed = record.processes.flatMap(({ exit }: Json) => (exit?.code ? [`exit ${exit.code}`] : exit?.signal ? [`signal ${exit.signal}`] : []));
      expect(await page.locator("td.failed").allTextContents()).toEqual(failed);
      // The chart has many colours, and the lanes too.
      for (const canvas of [".plot canvas", ".lanes canvas"]) {
        const colours = await page.locator(canvas).evaluate((element) => {
          const { width, height } = element as HTMLCanvasElement;
          const { data } = (element as HTMLCanvasElement).getContext("2d")?.getImageData(0, 0, width, height) ?? { data: [] };
          const found = new Set<number>();
          for (let at = 0; at < data.length; at += 4) found.add(((data[at] ?? 0) << 16) | ((data[at + 1] ?? 0) << 8) | (data[at + 2] ?? 0));
          return found.size;
        });
        expect(colours).toBeGreaterThan(20);
      }
    }));

  test("drag, wheel, Shift and double click zoom and pan", () =>
    seen("", async ({ page }) => {
      const box = await plot(page);
      const [y, x] = [box.y + box.height / 2, (part: number) => box.x + box.width * part];
      await page.mouse.move(x(0.2), y);
      await page.mouse.down();
      await page.mouse.move(x(0.6), y, { steps: 5 });
      await page.mouse.up();
      await drawn(page);
      const range = async () => ((await hash(page)).get("t") ?? "").split("-").map(Number) as [number, number];
      const [from, to] = await range();
      const whole = job.record.duration_seconds;
      expect(from).toBeCloseTo(whole * 0.2, 1);
      expect(to).toBeCloseTo(whole * 0.6, 1);
      expect(await page.locator(".table .caption").textContent()).toContain(`from ${format.moment(from)}`);

      await page.keyboard.down("Shift");
      await page.mouse.move(x(0.5), y);
      await page.mouse.down();
      await page.mouse.move(x(0.75), y, { steps: 5 });
      await page.mouse.up();
      await page.keyboard.up("Shift");
      await drawn(page);
      const panned = await range();
      expect(panned[0]).toBeLessThan(from);
      expect(panned[1] - panned[0]).toBeCloseTo(to - from, 3);

      await page.mouse.wheel(0, -400);
      await drawn(page);
      const nearer = await range();
      expect(nearer[1] - nearer[0]).toBeLessThan((to - from) * 0.9);

      await page.mouse.dblclick(x(0.5), y);
      await drawn(page);
      expect((await hash(page)).get("t")).toBeNull();
    }));

  test("the mouse shows the moment and the largest processes", () =>
    seen("", async ({ page }) => {
      const box = await plot(page);
      await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
      await drawn(page);
      const tip = page.locator(".tip");
      expect(await tip.isVisible()).toBe(true);
      const { seconds, series } = job.record.timeline;
      const middle = job.record.duration_seconds / 2;
      const column = seconds.reduce((best: number, at: number, place: number) => (Math.abs(at - middle) < Math.abs(seconds[best] - middle) ? place : best), 0);
      const near = [column - 1, column, column + 1].map((place) => format.bytes(series[0].bytes[place]));
      expect(near).toContain(await tip.locator(".when b").textContent());
      expect(await tip.locator(".entry").count()).toBeGreaterThan(1);
      await page.mouse.move(box.x + box.width / 2, box.y - 200);
      await drawn(page);
      expect(await tip.isVisible()).toBe(false);
    }));

  test("grouping changes names and lanes", () =>
    seen("", async ({ page }) => {
      const names = () => page.locator(".legend button span").allTextContents();
      expect((await names()).length).toBeGreaterThanOrEqual(4);
      await page.locator("[data-value=command]").click();
      await drawn(page);
      expect(await names()).toContain("node");
      expect((await hash(page)).get("by")).toBe("command");
      await page.locator("[data-value=tree]").click();
      await drawn(page);
      expect((await hash(page)).get("by")).toBe("tree");
      expect(await page.locator("[data-value=tree]").getAttribute("aria-pressed")).toBe("true");
    }));

  test("the table sorts, filters, and isolates", () =>
    seen("", async ({ page }) => {
      const pids = async () => (await page.locator("tbody tr[data-row] td:nth-child(2)").allTextContents()).map(Number);
      await page.getByRole("button", { name: "PID" }).click();
      await drawn(page);
      const down = await pids();
      expect(down).toEqual([...down].sort((one, other) => other - one));
      await page.getByRole("button", { name: "PID" }).click();
      await drawn(page);
      expect(await pids()).toEqual([...down].reverse());
      expect(await page.locator("th[aria-sort=ascending]").textContent()).toContain("PID");

      await page.getByPlaceholder("Filter").fill("SLEEP");
      await drawn(page);
      expect(await page.locator("tbody tr[data-row] td:first-child").allTextContents()).toEqual(["sleep"]);
      expect((await hash(page)).get("q")).toBe("SLEEP");
      await page.getByPlaceholder("Filter").fill("");
      await drawn(page);

      await page.locator("tbody tr[data-row]").first().click();
      await drawn(page);
      expect(await page.locator("tr[aria-selected=true]").count()).toBe(1);
      expect((await hash(page)).get("only")).toMatch(/^p\d+$/);
      expect(await page.locator(".pill", { hasText: "only" }).isVisible()).toBe(true);
      await page.keyboard.press("Escape");
      await drawn(page);
      expect(await page.locator("tr[aria-selected=true]").count()).toBe(0);
    }));

  test("a click shows the processes of that moment", () =>
    seen("", async ({ page }) => {
      const { timeline, processes } = job.record;
      const box = await plot(page);
      await page.mouse.click(box.x + box.width * 0.4, box.y + box.height / 2);
      await drawn(page);
      const at = Number((await hash(page)).get("at"));
      const column = timeline.seconds.indexOf(at);
      expect(column).toBeGreaterThanOrEqual(0);
      expect(await page.locator(".table .caption").textContent()).toContain(`at ${format.moment(at)}`);
      const shown = new Map(
        await page.locator("tbody tr[data-row]").evaluateAll((rows) => rows.map((row) => [row.getAttribute("data-row") ?? "", row.querySelector("td:nth-child(3)")?.textContent ?? ""] as const)),
      );
      let compared = 0;
      for (const { scope, metric, id, first, bytes } of timeline.series) {
        const value = scope === "process" && metric === "rss" ? bytes[column - first] : undefined;
        if (value === undefined || value === null) continue;
        expect(shown.get(String(id))).toBe(format.bytes(value));
        compared++;
      }
      expect(compared).toBeGreaterThan(1);
      for (const [row] of shown) expect(processes[Number(row)].start_seconds).toBeLessThanOrEqual(at);
    }));

  test("a link restores the view", async () => {
    const { record } = job;
    const start = `#by=command&t=0.1-0.6&at=0.3&q=node&sort=pid&only=cnode`;
    await seen(start, async ({ page }) => {
      await drawn(page);
      expect(await page.locator("[data-value=command]").getAttribute("aria-pressed")).toBe("true");
      expect(await page.locator(".pill", { hasText: "0.100 s" }).isVisible()).toBe(true);
      expect(await page.getByPlaceholder("Filter").inputValue()).toBe("node");
      expect(await page.locator("th[aria-sort=ascending]").textContent()).toContain("PID");
      expect(await page.locator(".legend button[aria-pressed=true]").textContent()).toContain("node");
      const rows = await page.locator("tbody tr[data-row]").evaluateAll((rows) => rows.map((row) => Number(row.getAttribute("data-row"))));
      expect(rows.length).toBeGreaterThan(0);
      for (const row of rows) expect(record.processes[row].command).toBe("node");
      // A hash that changes under the page is followed, too.
      await page.evaluate(() => (location.hash = "#by=tree"));
      await drawn(page);
      expect(await page.locator("[data-value=tree]").getAttribute("aria-pressed")).toBe("true");
      expect(await page.getByPlaceholder("Filter").inputValue()).toBe("");
    });
    await seen("#t=9-1&at=x&by=moon&only=p99999&sort=nothing&metric=none", async ({ page }) => {
      expect(await page.locator("tbody tr[data-row]").count()).toBe(record.processes.length);
    });
  });

  test("dark where the system is, and as the user likes", async () => {
    const ground = (page: Seen["page"]) => page.evaluate(() => Number(/\d+/.exec(getComputedStyle(document.body).backgroundColor)?.[0]));
    await seen(
      "",
      async ({ page }) => {
        expect(await ground(page)).toBeLessThan(60);
        await page.getByRole("button", { name: "Use light colours" }).click();
        await drawn(page);
        expect(await ground(page)).toBeGreaterThan(200);
        expect((await hash(page)).get("theme")).toBe("light");
        await page.evaluate(() => (location.hash = ""));
        await drawn(page);
        expect(await ground(page)).toBeLessThan(60);
      },
      { colorScheme: "dark" },
    );
    await seen("", async ({ page }) => expect(await ground(page)).toBeGreaterThan(200), { colorScheme: "light" });
  });

  test("everything by keyboard", () =>
    seen("", async ({ page }) => {
      const { memory } = job.record.peak;
      const at = async () => Number((await hash(page)).get("at"));
      const press = async (key: string) => {
        await page.keyboard.press(key);
        await drawn(page);
      };
      await press("p");
      const peak = memory.at_seconds ?? (memory.between_seconds[0] + memory.between_seconds[1]) / 2;
      expect(await at()).toBeCloseTo(peak, 5);
      await press("ArrowLeft");
      const before = await at();
      expect(before).toBeLessThan(peak);
      expect(job.record.timeline.seconds).toContain(before);
      await press("+");
      const range = (await hash(page)).get("t");
      expect(range).not.toBeNull();
      await press("Shift+ArrowLeft");
      expect((await hash(page)).get("t")).not.toBe(range);
      await press("0");
      expect((await hash(page)).get("t")).toBeNull();
      await press("/");
      await page.keyboard.type("sleep");
      await drawn(page);
      expect((await hash(page)).get("q")).toBe("sleep");
      await press("Escape");
      await press("Escape");
      expect((await hash(page)).get("at")).toBeNull();
      // From the search onwards, Tab reaches the rows, and Enter isolates one.
      await page.locator("tbody tr[data-row]").first().focus();
      await press("Enter");
      expect(await page.locator("tr[aria-selected=true]").count()).toBe(1);
      expect(await page.locator("tr[aria-selected=true]").evaluate((row) => row === document.activeElement)).toBe(true);
    }));

  test("a click on a name isolates or opens it", () =>
    seen("", async ({ page }) => {
      const box = (await page.locator(".lanes").boundingBox()) as { x: number; y: number };
      await page.mouse.click(box.x + 60, box.y + 12);
      await drawn(page);
      expect((await hash(page)).get("only")).toMatch(/^p\d+$/);
      await page.locator("[data-value=command]").click();
      await drawn(page);
      const height = () => page.locator(".lanes .space").evaluate((space) => space.getBoundingClientRect().height);
      const open = await height();
      await page.mouse.click(box.x + 60, box.y + 12);
      await drawn(page);
      expect(await height()).toBeLessThan(open);
    }));

  test("the table is copied as CSV", () =>
    seen(
      "",
      async ({ page }) => {
        await page.getByRole("button", { name: "Copy as CSV" }).click();
        await page.getByRole("button", { name: "Copied" }).waitFor();
        const lines = (await page.evaluate(() => navigator.clipboard.readText())).trim().split("\n");
        expect(lines).toHaveLength(job.record.processes.length + 1);
        expect(lines[0]).toContain("command,pid,ppid,rss_bytes");
        for (const line of lines) expect(line.split(",")).toHaveLength(9);
      },
      { permissions: ["clipboard-read", "clipboard-write"] },
    ));

  test("it can be read without sight of the chart, and prints", () =>
    seen("", async ({ page }) => {
      expect(await page.locator(".plot").getAttribute("aria-label")).toContain(`peak memory ${format.bytes(job.record.peak.memory.bytes)}`);
      expect(await page.locator(".lanes").getAttribute("aria-label")).toContain("lanes");
      expect(await page.locator("table").getAttribute("aria-rowcount")).toBe(String(job.record.processes.length + 1));
      for (const button of await page.locator("button:visible").all()) expect((await button.textContent())?.trim()).not.toBe("");
      const paper = await page.pdf();
      expect(paper.length).toBeGreaterThan(10_000);
    }));

  test("nothing else can run in it", async () => {
    const { page } = await open(browser, job.page);
    const failures: (string | undefined)[] = [];
    page.on("requestfailed", (request) => failures.push(request.failure()?.errorText));
    const refused = await page.evaluate(() => {
      // Text can become neither markup nor a script.
      const script = document.createElement("script");
      const attempts = [
        () => (script.textContent = "window.hacked = true"),
        () => (document.body.innerHTML = "<b>text</b>"),
        () => document.body.setAttribute("onclick", "window.hacked = true"),
        () => document.body.insertAdjacentHTML("beforeend", "<b>text</b>"),
      ];
      const errors = attempts.map((attempt) => {
        try {
          attempt();
          return "";
        } catch (error) {
          return String(error);
        }
      });
      script.append("window.hacked = true");
      document.body.append(script);
      const image = document.createElement("img");
      image.src = "http://127.0.0.1:9/x.png";
      document.body.append(image);
      return errors;
    });
    await drawn(page);
    expect(await page.evaluate(() => "hacked" in window)).toBe(false);
    // All was refused by the page's own policy before anything was sent.
    for (const error of refused) expect(error).toContain("Trusted");
    expect(failures).toEqual(["csp"]);
    await page.context().close();
  });
});
