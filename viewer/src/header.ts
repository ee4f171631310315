/** The head of a run, with its main figures. */

import { h } from "./dom.ts";
import * as format from "./format.ts";
import type { Finding, Head, PeakInterval } from "./payload.ts";
import type { Run } from "./run.ts";

export function header(run: Run, ...tools: HTMLElement[]): HTMLElement {
  const { head } = run;
  const command = head.command.join(" ");
  return h(
    "header",
    {},
    h("div", { class: "title" }, h("h1", { title: command }, command || "no command"), h("div", { class: "tools" }, ...tools)),
    h("p", { class: "facts" }, facts(head)),
    ...notes(run).map((note) => h("p", { class: "note", role: "note" }, note)),
  );
}

export function facts(head: Head): string {
  const { host } = head;
  const where = [host.name, host.os, host.cpus ? `${host.cpus} CPUs` : null, host.memory_bytes ? format.bytes(host.memory_bytes) : null];
  return [
    `${format.seconds(head.duration_seconds)}`,
    exit(head),
    where.filter(Boolean).join(", "),
    head.start_time.replace("T", " ").replace("Z", " UTC"),
    `${format.count(head.samples)} samples, ${head.interval_mode === "fixed" ? "every" : "adaptive, every"} ${head.interval_ms} ms${head.interval_mode === "fixed" ? "" : " on average"}`,
  ].join("  ·  ");
}

export function exit(head: Head): string {
  if (!head.complete) return "still running when this was written";
  if (!head.exit) return "how it ended is not known";
  const { code, signal, signal_name, cause } = head.exit;
  const why = cause === "limit" ? ", ended for a limit" : cause === "killed" ? ", ended by hwm" : "";
  if (signal !== null) return `ended by ${signal_name ?? `signal ${signal}`}${why}`;
  return code === null ? "how it ended is not known" : `exit code ${code}${why}`;
}

/** Notes that a reader must know before any figure. */
function notes(run: Run): string[] {
  const { head } = run;
  const found: string[] = [];
  if (!head.complete) found.push("This is a checkpoint: the job had not ended when it was written, so there is no timeline, and the figures are those so far.");
  else if (!head.timeline || head.timeline.columns === 0) found.push("The record has no timeline: nothing was sampled while the job ran.");
  const { attached } = head.capture;
  if (attached) {
    const before = attached.ran_for_seconds === null ? "" : ` for ${format.seconds(attached.ran_for_seconds)}`;
    found.push(`Attached to process ${attached.pid}, which had already run${before}: nothing of that time is in this record.`);
  }
  if (head.newer_minor) found.push(`The record comes from a newer highwater (${head.schema.major}.${head.schema.minor}): what this page does not know is left out.`);
  if (head.timeline && head.timeline.unknown_series > 0) found.push(`${head.timeline.unknown_series} series of the record are of a kind that this page does not know.`);
  if (run.count === 0) found.push("No process was seen: the record has no rows.");
  return found;
}

export function tiles(run: Run, actions: { peak: () => void; isolate: (row: number) => void }): HTMLElement {
  const { head } = run;
  const all: HTMLElement[] = [];
  const { memory, rss, pss, cgroup, gpu } = head.peak;
  all.push(peakTile(memory ?? rss, memory ? COUNTED_ONCE : COUNTED_IN_EACH, actions.peak));
  if (memory && rss) all.push(tile("Peak of the RSS sum", format.sign(rss.certainty) + format.bytes(rss.bytes), "shared pages counted in each process", format.certainty(rss.certainty)));
  const whenGpu = (at: number | null) => (at === null ? "" : `, at ${format.moment(at)}`);
  if (pss) all.push(tile("Peak PSS", format.sign(pss.certainty) + format.bytes(pss.bytes), "shared pages counted once", format.certainty(pss.certainty)));
  for (const { name, id, vram } of gpu) {
    const scope = vram?.scope === "device" ? "rise of the whole device" : "of this job";
    if (vram) all.push(tile(`GPU: ${name ?? id}`, format.sign(vram.certainty) + format.bytes(vram.bytes), scope + whenGpu(vram.at_seconds), format.certainty(vram.certainty)));
  }
  if (cgroup) all.push(tile("Cgroup peak", format.sign(cgroup.certainty) + format.bytes(cgroup.bytes), "with page cache and kernel memory", format.certainty(cgroup.certainty)));
  const { swap } = head.peak;
  if (swap && swap.bytes > 0) all.push(tile("Peak swap", format.sign(swap.certainty) + format.bytes(swap.bytes), "memory moved out to storage", format.certainty(swap.certainty)));
  const largest = largestRow(run);
  if (largest !== null) {
    const certainty = run.text(head.processes.certainty[largest]);
    const element = tile(
      "Largest process",
      format.sign(certainty) + format.bytes(run.peak(largest)),
      `${run.name(largest)} ${run.pid(largest)}`,
      format.certainty(certainty),
    );
    all.push(clickable(element, () => actions.isolate(largest)));
  }
  const seen = head.capture;
  all.push(
    tile(
      "Processes",
      (seen.processes_seen_is === "exact" ? "" : "≥ ") + format.count(seen.processes_seen),
      [
        seen.processes_seen_is === "exact" ? "none was missed" : "short ones may have been missed",
        seen.processes_left_out > 0 ? `${format.count(seen.processes_left_out)} rows left out` : "",
        seen.processes_still_running > 0 ? `${seen.processes_still_running} still running` : "",
      ]
        .filter(Boolean)
        .join(", "),
      how(head),
    ),
  );
  const cpu = head.usage?.cpu;
  if (cpu) {
    const mean = cpu.mean_processors === null ? "" : `${cpu.mean_processors.toFixed(2)} processors busy on average`;
    all.push(tile("CPU time", format.sign(cpu.certainty) + format.seconds(cpu.user_seconds + cpu.system_seconds), mean, `${format.seconds(cpu.user_seconds)} by itself, ${format.seconds(cpu.system_seconds)} in the kernel`));
  }
  for (const limit of head.limits) all.push(limitTile(limit));
  const found = findingsTile(head);
  if (found) all.push(found);
  if (head.oom && (head.oom.victims.length > 0 || (head.oom.in_job ?? 0) > 0)) all.push(oomTile(head.oom));
  return h("div", { class: "tiles" }, ...all);
}

function tile(name: string, figure: string, words: string, title: string): HTMLElement {
  return h("div", { class: "tile", title }, h("div", { class: "name" }, name), h("div", { class: "figure" }, figure), h("div", { class: "words" }, words));
}

function clickable(element: HTMLElement, action: () => void): HTMLElement {
  const button = h("button", { type: "button", class: `${element.className} action`, title: element.title, onclick: action });
  button.append(...element.childNodes);
  return button;
}

const COUNTED_ONCE = "What its processes held in RAM at one moment, each page counted once.";
const COUNTED_IN_EACH = "Sum of all processes' RSS: shared pages count in each.";

function peakTile(peak: PeakInterval | null, counts: string, action: () => void): HTMLElement {
  if (!peak) return tile("Peak memory", "?", "nothing could be read", "");
  const { at_seconds: at, between_seconds: between } = peak;
  const when = at !== null ? `at ${format.moment(at)}` : between ? `between ${format.moment(between[0])} and ${format.moment(between[1])}` : "";
  const element = tile("Peak memory", format.sign(peak.certainty) + format.bytes(peak.bytes), when, `${format.certainty(peak.certainty)}. ${counts}`);
  element.classList.add("hero");
  // Bounds that print the same add nothing.
  if (format.bytes(peak.lower_bytes) !== format.bytes(peak.upper_bytes)) element.append(interval(peak));
  return clickable(element, action);
}

/** The bounds as a picture, with the position of the estimate. */
function interval(peak: PeakInterval): HTMLElement {
  const span = peak.upper_bytes - peak.lower_bytes;
  const dot = h("i", { class: "dot" });
  dot.style.left = `${span > 0 ? ((peak.bytes - peak.lower_bytes) / span) * 100 : 50}%`;
  const sure = (rigorous: boolean) => (rigorous ? "surely not" : "probably not");
  return h(
    "div",
    {
      class: "interval",
      title: `${sure(peak.lower_rigorous)} below ${format.bytes(peak.lower_bytes)}, ${sure(peak.upper_rigorous)} above ${format.bytes(peak.upper_bytes)}`,
    },
    h("span", {}, format.bytes(peak.lower_bytes)),
    h("div", { class: "track" }, dot),
    h("span", {}, format.bytes(peak.upper_bytes)),
  );
}

const LIMITED: Record<string, string> = {
  memory: "Limit, peak memory",
  total_rss: "Limit, total RSS",
  process_rss: "Limit, one process",
  total_pss: "Limit, total PSS",
  cgroup: "Limit, cgroup",
};

function limitTile({ of, limit_bytes, exceeded, action }: Head["limits"][number]): HTMLElement {
  const who = exceeded?.command ? `${exceeded.command} ${exceeded.pid ?? ""} used most` : "";
  const end = exceeded?.ended_by ? `job ended (${exceeded.ended_by.toUpperCase()})` : action === "warn" ? "warned" : "";
  const words = exceeded
    ? [`exceeded${exceeded.at_seconds !== null ? ` at ${format.moment(exceeded.at_seconds)}` : ""}`, end, who].filter(Boolean).join(", ")
    : "kept, as far as was seen";
  const element = tile(LIMITED[of] ?? "Limit", format.bytes(limit_bytes), words, "");
  if (exceeded) element.classList.add("bad");
  return element;
}

/** The number of leaks, or that a search found none. */
function findingsTile({ findings, leak_search }: Head): HTMLElement | null {
  const leaks = findings.filter(({ kind }) => kind === "leak").length;
  const others = findings.length - leaks;
  if (leaks === 0 && others === 0) {
    if (!leak_search) return null;
    return leak_search.total_judged
      ? tile("Findings", "none", "leaks were looked for", "")
      : tile("Findings", "?", "leaks were looked for; the job's total could not be judged", "");
  }
  const words = [leaks > 0 ? `memory that went on growing` : "", others > 0 ? `${others} of a kind that this page does not know` : ""];
  const element = tile("Findings", leaks > 0 ? `${leaks} ${leaks === 1 ? "leak" : "leaks"}` : String(others), words.filter(Boolean).join(", "), "");
  element.classList.add("warn");
  return element;
}

/** The findings in sentences; a click on one of a process isolates it. */
export function findings(run: Run, isolate: (row: number) => void): HTMLElement | null {
  const leaks = run.head.findings.filter(({ kind }) => kind === "leak");
  if (leaks.length === 0) return null;
  return h("ul", { class: "findings", "aria-label": "Findings" }, ...leaks.slice(0, 20).map((leak) => h("li", {}, sentence(leak, isolate))));
}

function sentence(leak: Finding, isolate: (row: number) => void): HTMLElement {
  const who = leak.scope === "process" ? `${leak.command ?? "process"} ${leak.pid ?? ""}` : leak.scope === "total" ? "the whole job" : `device ${leak.id ?? ""}`;
  const text = [
    h("b", {}, leak.sureness === "clear" ? "Leak" : "Probably a leak"),
    `: ${who} grew by ${format.bytes(leak.bytes_per_minute)} a minute, from ${format.bytes(leak.from_bytes)} at ${format.moment(leak.began_seconds)} to ` +
      `${format.bytes(leak.to_bytes)} at ${format.moment(leak.until_seconds)} (floor of its ${format.metricName(leak.metric)})`,
  ];
  const { id } = leak;
  return leak.scope === "process" && id !== null ? h("button", { type: "button", onclick: () => isolate(id) }, ...text) : h("span", {}, ...text);
}

function oomTile(oom: NonNullable<Head["oom"]>): HTMLElement {
  const sure = oom.victims.some((victim) => victim.evidence !== "possible") || (oom.in_job ?? 0) > 0;
  const names = oom.victims.map(({ command, pid }) => `${command} ${pid}`).join(", ");
  const element = tile("Out of memory", sure ? "killed" : "perhaps", names || `${oom.in_job} in the job's cgroup`, "processes that the kernel killed for want of memory");
  element.classList.add("bad");
  return element;
}

function largestRow(run: Run): number | null {
  let largest: number | null = null;
  for (let row = 0; row < run.count; row++) {
    const peak = run.peak(row);
    if (peak !== null && (largest === null || peak > (run.peak(largest) ?? -1))) largest = row;
  }
  return largest;
}

const LINEAGE: Record<string, string> = {
  children: "births and ends seen at intervals",
  scan: "births and ends seen at intervals",
  perf: "births and ends from the kernel's perf events",
  proc_connector: "births and ends from the kernel's proc connector",
};
const PEAKS: Record<string, string> = {
  marks: "peaks from the kernel's marks, read while processes lived",
  samples: "peaks from samples alone",
  taskstats: "exact peaks from the kernel's exit records",
  exit_notify: "exact peaks, read at each exit",
  exit_notify_and_taskstats: "exact peaks, read at each exit and from exit records",
};

export function how(head: Head): string {
  const { lineage, peaks } = head.capture;
  return [LINEAGE[lineage] ?? `births from ${lineage}`, PEAKS[peaks] ?? `peaks from ${peaks}`].join("; ");
}

/** Details of how the run was measured. */
export function measured(run: Run): HTMLElement {
  const { head } = run;
  const { capture } = head;
  const lines = [
    how(head),
    `${format.count(capture.processes_without_exact_peak)} of ${format.count(capture.processes_seen)} processes without an exact peak`,
    capture.lost_events > 0 ? `${format.count(capture.lost_events)} events were lost` : "no events were lost",
    capture.overhead ? `measuring took ${format.seconds(capture.overhead.cpu_seconds)} of CPU time` : "",
    ...capture.downgrades.map(({ wanted, reason }) => `${wanted}: ${reason}`),
    `highwater ${head.tool.version} (${head.tool.target}), ${head.host.os} ${head.host.kernel ?? ""}`,
  ];
  return h("details", { class: "measured" }, h("summary", {}, "How this was measured"), h("ul", {}, ...lines.filter(Boolean).map((line) => h("li", {}, line))));
}
