/** A browser, hwm, and records to look at. */

import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { chromium, type Browser, type BrowserContextOptions, type Page } from "playwright-core";

const HWM = process.env["HWM"] ?? resolve(import.meta.dirname, "../../target/debug/hwm");
const CHROMIUM = process.env["CHROMIUM"] ?? "/usr/bin/chromium";

/** No sandbox: tests may run as root. The rest keeps it from looking for anything on a network. */
const OPTIONS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--disable-dev-shm-usage",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export const launch = (): Promise<Browser> => chromium.launch({ executablePath: CHROMIUM, args: OPTIONS, timeout: 30_000 });

export const dir = mkdtempSync(join(tmpdir(), "hwm-view-"));
export const clean = (): void => rmSync(dir, { recursive: true, force: true });

// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type Json = any;

/** Runs a job for real; its record and its page. */
export function run(name: string, ...command: string[]): { record: Json; page: string; json: string } {
  const json = join(dir, `${name}.json`);
  const page = join(dir, `${name}.html`);
  const { status, stderr } = spawnSync(HWM, ["run", "-q", `--json=${json}`, "--html", page, "--", ...command], { encoding: "utf8", timeout: 60_000 });
  if (status !== 0) throw new Error(`hwm run: ${status} ${stderr}`);
  return { record: JSON.parse(readFileSync(json, "utf8")), page, json };
}

/** The page of a record, or of two, as hwm view writes it. */
export function view(name: string, ...records: Json[]): string {
  const page = join(dir, `${name}.html`);
  const files = records.map((record, place) => {
    const file = join(dir, `${name}-${place}.json`);
    writeFileSync(file, JSON.stringify(record));
    return file;
  });
  execFileSync(HWM, ["view", ...files, "--html", page], { timeout: 60_000, stdio: "pipe" });
  return page;
}

export interface Seen {
  page: Page;
  /** Console errors, uncaught errors, dialogs, and requests for anything but the page. */
  trouble: string[];
}

export async function open(browser: Browser, file: string, hash = "", options: BrowserContextOptions = {}): Promise<Seen> {
  const context = await browser.newContext({ viewport: { width: 1400, height: 1000 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  const trouble: string[] = [];
  const url = `file://${file}`;
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && trouble.push(`console: ${message.text()}`));
  page.on("pageerror", (error) => trouble.push(`error: ${error.message}`));
  page.on("dialog", (dialog) => {
    trouble.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on("request", (request) => {
    const to = request.url().split("#")[0] ?? "";
    if (to !== url && to !== "data:,") trouble.push(`request: ${to}`);
  });
  await page.goto(url + hash);
  await page.waitForFunction(() => document.documentElement.dataset["ready"] !== undefined, null, { timeout: 20_000 });
  return { page, trouble };
}

/** Two frames: what was asked for has been drawn. */
export const drawn = (page: Page): Promise<void> =>
  page.evaluate(() => new Promise<void>((done) => requestAnimationFrame(() => requestAnimationFrame(() => done()))));

/** The chart's inner box. */
export async function plot(page: Page): Promise<{ x: number; y: number; width: number; height: number }> {
  const box = await page.locator(".u-over").boundingBox();
  if (!box) throw new Error("there is no chart");
  return box;
}

/** What the address says once the view rests. */
export async function hash(page: Page): Promise<URLSearchParams> {
  await page.waitForTimeout(250);
  return new URLSearchParams(await page.evaluate(() => location.hash.slice(1)));
}
