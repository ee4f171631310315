/** Marks over the layers: the peak, limits, findings and the chosen moment. */

import type uPlot from "uplot";
import { themed } from "./dom.ts";
import * as format from "./format.ts";
import type { Layer } from "./layers.ts";
import type { Figure, PeakInterval } from "./payload.ts";
import type { Run } from "./run.ts";

export interface Mark {
  /** `sum`: the peak of a stack in which shared pages count more than once. */
  kind: "peak" | "sum" | "limit" | "exceeded" | "finding";
  value: number;
  /** The same as `to` for a single moment. */
  from: number;
  to: number;
  /** The value at the end of a finding's line. */
  toValue?: number;
  words: string;
}

const LIMITED: Record<string, [string, string]> = {
  memory: ["memory", "limit on the peak memory"],
  total_rss: ["rss", "limit on the total RSS"],
  total_pss: ["pss", "limit on the total PSS"],
  process_rss: ["rss", "limit on each process"],
  cgroup: ["rss", "limit of the cgroup"],
};

export function marksOf(run: Run, metric: string, only: Layer | null): Mark[] {
  const { peak, limits, findings } = run.head;
  const marks: Mark[] = [];
  const highest = metric === "rss" ? peak.rss : metric === "memory" ? peak.memory : null;
  if (highest && !only) {
    const origin = highest.at_seconds === null ? ", from the kernel's marks" : "";
    marks.push(...peakMark(highest, peakWords("peak", highest) + origin));
  }
  if (!only && metric === "pss" && peak.pss?.at_seconds != null) {
    const { bytes, at_seconds: at } = peak.pss;
    marks.push({ kind: "peak", value: bytes, from: at, to: at, words: peakWords("peak", peak.pss) });
  }
  for (const finding of findings) {
    if (finding.kind !== "leak" || finding.metric !== metric || (finding.scope !== "total") !== (only !== null)) continue;
    if (only && !(only.rows.length === 1 && only.rows[0] === finding.id)) continue;
    marks.push({
      kind: "finding",
      value: finding.from_bytes,
      toValue: finding.to_bytes,
      from: finding.began_seconds,
      to: finding.until_seconds,
      words: `${finding.sureness} leak: +${format.bytes(finding.bytes_per_minute)}/min`,
    });
  }
  // A limit on each process is drawn when one is shown alone.
  const isSingle = only?.kind === "process";
  for (const limit of limits) {
    const [of, name] = LIMITED[limit.of] ?? [null, ""];
    if (of !== metric || (limit.of === "process_rss" ? !isSingle : only !== null)) continue;
    marks.push({
      kind: "limit",
      value: limit.limit_bytes,
      from: -Infinity,
      to: Infinity,
      words: `${name}: ${format.bytes(limit.limit_bytes)}`,
    });
    const at = limit.exceeded?.at_seconds ?? null;
    const isOther = isSingle && limit.exceeded?.pid !== run.pid(only.rows[0] ?? -1);
    if (limit.exceeded && at !== null && !isOther) {
      const value = limit.exceeded.bytes ?? limit.limit_bytes;
      const by = limit.exceeded.command ? ` by ${limit.exceeded.command}` : "";
      marks.push({ kind: "exceeded", value, from: at, to: at, words: `exceeded${by}` });
    }
  }
  return marks;
}

function peakWords(name: string, { bytes, certainty }: Figure): string {
  return `${name} ${format.sign(certainty)}${format.bytes(bytes)}`;
}

/** The mark of a peak; none if its time is not known. */
function peakMark({ bytes, at_seconds, between_seconds }: PeakInterval, words: string): Mark[] {
  if (at_seconds !== null) return [{ kind: "peak", value: bytes, from: at_seconds, to: at_seconds, words }];
  if (!between_seconds) return [];
  const [from, to] = between_seconds;
  return [{ kind: "peak", value: bytes, from, to, words }];
}

/** How far the sum of RSS must exceed the memory for a mark of its own. */
const SUM_MATTERS = 1.05;

/** The marks over a stack of RSS with the line of memory in it: the peak memory comes first, and the sum is named as such. */
export function withMemory(run: Run, marks: Mark[]): Mark[] {
  const { memory, rss } = run.head.peak;
  const ofMemory = memory ? peakMark(memory, `${peakWords("peak memory", memory)}, each page counted once`) : [];
  if (!memory || ofMemory.length === 0) return marks;
  const sumMatters = rss !== null && rss.bytes > memory.bytes * SUM_MATTERS;
  const beside = marks.flatMap((mark): Mark[] => {
    if (mark.kind !== "peak") return [mark];
    return rss && sumMatters ? [{ ...mark, kind: "sum", words: peakWords("sum of RSS", rss) }] : [];
  });
  return [...beside, ...ofMemory];
}

export function drawMarks(plot: uPlot, marks: Mark[], at: number | null): void {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio || 1;
  const x = (seconds: number) => plot.valToPos(seconds, "x", true);
  const y = (value: number) => plot.valToPos(value, "y", true);
  const top = plot.scales.y?.max ?? 0;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, 0, bbox.width, bbox.top + bbox.height);
  ctx.clip();
  ctx.font = `600 ${12 * ratio}px system-ui, sans-serif`;
  ctx.textBaseline = "bottom";
  for (const mark of marks) {
    if (mark.kind === "limit") {
      const above = mark.value > top;
      const place = above ? bbox.top : y(mark.value);
      ctx.strokeStyle = ctx.fillStyle = themed("--limit");
      if (!above) {
        ctx.lineWidth = 1.5 * ratio;
        ctx.setLineDash([6 * ratio, 4 * ratio]);
        line(ctx, bbox.left, place, bbox.left + bbox.width, place);
        ctx.setLineDash([]);
      }
      // It avoids the peak's label.
      const peak = marks.find(({ kind }) => kind === "peak");
      const left = peak !== undefined && x(peak.from) > bbox.left + bbox.width / 2;
      ctx.textAlign = left ? "left" : "right";
      const words = `${mark.words}${above ? ", above this picture ↑" : ""}`;
      label(ctx, words, left ? bbox.left + 8 * ratio : bbox.left + bbox.width - 8 * ratio, place + (above ? 14 : -4) * ratio, ratio);
    }
    if (mark.kind === "finding") {
      const to = mark.toValue ?? mark.value;
      for (const [colour, width] of [["--surface", 5], ["--finding", 2.5]] as const) {
        ctx.strokeStyle = ctx.fillStyle = themed(colour);
        ctx.lineWidth = width * ratio;
        line(ctx, x(mark.from), y(mark.value), x(mark.to), y(to));
      }
      ctx.textAlign = "right";
      label(ctx, mark.words, (x(mark.from) + x(mark.to)) / 2, (y(mark.value) + y(to)) / 2 - 14 * ratio, ratio);
    }
    if (mark.kind === "exceeded") {
      ctx.strokeStyle = ctx.fillStyle = themed("--limit");
      ctx.lineWidth = 1.5 * ratio;
      line(ctx, x(mark.from), bbox.top, x(mark.from), bbox.top + bbox.height);
      ctx.textAlign = x(mark.from) > bbox.left + bbox.width / 2 ? "right" : "left";
      label(ctx, mark.words, x(mark.from) + (ctx.textAlign === "left" ? 5 : -5) * ratio, bbox.top + bbox.height - 6 * ratio, ratio);
    }
    if (mark.kind === "peak") drawPeak(ctx, mark, x, y, bbox, ratio, themed("--peak"));
    if (mark.kind === "sum") drawPeak(ctx, mark, x, y, bbox, ratio, themed("--muted"));
  }
  ctx.restore();
  drawMoment(plot, at);
}

/** The chosen moment. */
export function drawMoment(plot: uPlot, at: number | null): void {
  const { ctx, bbox } = plot;
  if (at === null) return;
  const x = plot.valToPos(at, "x", true);
  if (x < bbox.left || x > bbox.left + bbox.width) return;
  ctx.save();
  ctx.strokeStyle = themed("--accent");
  ctx.lineWidth = 1.5 * (devicePixelRatio || 1);
  line(ctx, x, bbox.top, x, bbox.top + bbox.height);
  ctx.restore();
}

type Place = (value: number) => number;

/**
 * A sampled peak is a point. A peak known only from a high-water mark has no sample: a bracket
 * covers its possible time.
 */
function drawPeak(
  ctx: CanvasRenderingContext2D,
  mark: Mark,
  x: Place,
  y: Place,
  bbox: uPlot.BBox,
  ratio: number,
  colour: string,
): void {
  const [left, right] = [x(mark.from), x(mark.to)];
  const place = y(mark.value);
  if (right < bbox.left || left > bbox.left + bbox.width) return;
  ctx.strokeStyle = ctx.fillStyle = colour;
  ctx.lineWidth = 1.5 * ratio;
  const middle = (left + right) / 2;
  if (mark.from === mark.to) {
    ctx.beginPath();
    ctx.arc(middle, place, 4.5 * ratio, 0, 2 * Math.PI);
    ctx.fill();
    ctx.strokeStyle = themed("--surface");
    ctx.stroke();
  } else {
    const half = Math.max((right - left) / 2, 5 * ratio);
    ctx.setLineDash([3 * ratio, 2 * ratio]);
    line(ctx, middle - half, place, middle + half, place);
    ctx.setLineDash([]);
    for (const end of [middle - half, middle + half]) line(ctx, end, place, end, place + 6 * ratio);
  }
  const width = ctx.measureText(mark.words).width;
  ctx.textAlign = "left";
  ctx.fillStyle = colour;
  const clamped = Math.max(bbox.left + 4 * ratio, Math.min(middle - width / 2, bbox.left + bbox.width - width - 4 * ratio));
  label(ctx, mark.words, clamped, place - 7 * ratio, ratio);
}

function label(ctx: CanvasRenderingContext2D, words: string, x: number, y: number, ratio: number): void {
  const fill = ctx.fillStyle;
  const { lineWidth, strokeStyle } = ctx;
  ctx.strokeStyle = themed("--surface");
  ctx.lineWidth = 4 * ratio;
  ctx.lineJoin = "round";
  ctx.strokeText(words, x, y);
  ctx.fillStyle = fill;
  ctx.fillText(words, x, y);
  ctx.lineWidth = lineWidth;
  ctx.strokeStyle = strokeStyle;
}

function line(ctx: CanvasRenderingContext2D, x1: number, y1: number, x2: number, y2: number): void {
  ctx.beginPath();
  ctx.moveTo(x1, y1);
  ctx.lineTo(x2, y2);
  ctx.stroke();
}
