/**
 * Reads the data that hwm packed into the page; crates/hwm/src/output/formats/html/payload.rs describes the
 * format.
 */

import { allVisible, visible } from "./visible.ts";

export interface Figure {
  bytes: number;
  certainty: string;
  at_seconds: number | null;
}

export interface PeakInterval extends Figure {
  lower_bytes: number;
  upper_bytes: number;
  lower_rigorous: boolean;
  upper_rigorous: boolean;
  between_seconds: [number, number] | null;
}

export interface GpuFigure extends Figure {
  lower_bytes: number;
  scope: string;
}

export interface GpuPeak {
  index: number;
  name: string | null;
  id: string;
  total_bytes: number | null;
  vram: GpuFigure | null;
  gtt: GpuFigure | null;
}

export interface Limit {
  of: string;
  limit_bytes: number;
  action: string;
  exceeded: {
    bytes: number | null;
    highest_bytes: number | null;
    at_seconds: number | null;
    pid: number | null;
    command: string | null;
    ended_by: string | null;
  } | null;
}

/** Memory that grew steadily; other kinds of findings are ignored. */
export interface Finding {
  kind: string;
  scope: string;
  metric: string;
  id: number | null;
  pid: number | null;
  command: string | null;
  bytes_per_minute: number;
  began_seconds: number;
  until_seconds: number;
  from_bytes: number;
  to_bytes: number;
  sureness: string;
}

export interface SeriesHead {
  metric: string;
  scope: string;
  id: number | null;
  first: number;
  length: number;
  unit: number;
  merged: boolean;
  /** Set for a total whose values are the remainder beside the sum of all processes'. */
  rest?: boolean;
  /** The unit of a counter: its values rise, and their differences over time are shown. */
  counted?: "microseconds" | "bytes";
}

/** The processes, column by column; texts are indices into `texts`. */
export interface ProcessColumns {
  texts: string[];
  pid: number[];
  ppid: number[];
  command: number[];
  /** Its display name, where that says more than the command. Records of version 1.3 and before do not have it. */
  name?: (number | null)[];
  exe: (number | null)[];
  args: (number | null)[];
  start: number[];
  end: (number | null)[];
  peak: (number | null)[];
  certainty: (number | null)[];
  source: (number | null)[];
  vram: (number | null)[];
  images: (number | null)[];
  code: (number | null)[];
  signal: (number | null)[];
}

export interface Head {
  schema: { major: number; minor: number };
  newer_minor: boolean;
  complete: boolean;
  tool: { version: string; target: string };
  host: {
    name: string | null;
    os: string;
    kernel: string | null;
    cpus: number | null;
    memory_bytes: number | null;
  };
  command: string[];
  start_time: string;
  end_time: string;
  duration_seconds: number;
  interval_ms: number;
  interval_mode: string;
  samples: number;
  exit: { code: number | null; signal: number | null; signal_name: string | null; cause: string } | null;
  primary_metric: string;
  max_total_rss_kib: number | null;
  peak: {
    /** Each page counted once. Records of version 1.3 and before, and other systems than Linux, do not have it. */
    memory?: PeakInterval | null;
    rss: PeakInterval | null;
    pss: Figure | null;
    cgroup: Figure | null;
    swap?: Figure | null;
    gpu: GpuPeak[];
  };
  capture: {
    lineage: string;
    peaks: string;
    lost_events: number;
    processes_seen: number;
    processes_seen_is: string;
    processes_without_exact_peak: number;
    processes_left_out: number;
    processes_still_running: number;
    downgrades: { wanted: string; reason: string }[];
    overhead: { cpu_seconds: number } | null;
    /** Set if the process was already running when hwm attached to it. */
    attached?: { pid: number; ran_for_seconds: number | null } | null;
  };
  limits: Limit[];
  findings: Finding[];
  usage: {
    cpu: { user_seconds: number; system_seconds: number; mean_processors: number | null; certainty: string } | null;
  } | null;
  leak_search: { total_judged: boolean } | null;
  oom: { in_job: number | null; around: number | null; victims: { pid: number; command: string; evidence: string }[] } | null;
  processes: ProcessColumns;
  timeline: { columns: number; unknown_series: number; series: SeriesHead[] } | null;
}

/** One line over time. A value that was not read is NaN. */
export interface Series {
  head: SeriesHead;
  first: number;
  values: Float64Array;
  /** Extremes within each column, where samples were merged. */
  low: Float64Array | null;
  high: Float64Array | null;
}

export interface Unpacked {
  head: Head;
  moments: Float64Array;
  series: Series[];
}

const FORMAT = 1;
/**
 * The most bytes that are unpacked: hwm reads records of up to 256 MiB, and packs them more tightly
 * than that.
 */
const MOST_BYTES = 512 * 2 ** 20;

/** All runs in the page. */
export async function unpack(base64: string): Promise<Unpacked[]> {
  return decode(await inflate(fromBase64(base64)));
}

export function decode(bytes: Uint8Array): Unpacked[] {
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const text = new TextDecoder().decode(bytes.subarray(4, 4 + length));
  const head = JSON.parse(text) as { format: number; runs: Head[] };
  if (head.format !== FORMAT) throw new Error(`the data has format ${head.format}, the page reads ${FORMAT}`);
  const reader = new Reader(bytes, 4 + length);
  return head.runs.map((run) => ({
    head: readable(run),
    moments: reader.moments(run.timeline?.columns ?? 0),
    series: readAll(reader, run.timeline?.series ?? []),
  }));
}

/** Makes all texts visible. The rows' columns are numbers, except for the texts. */
function readable({ processes, ...rest }: Head): Head {
  return { ...allVisible(rest), processes: { ...processes, texts: processes.texts.map(visible) } };
}

/** Totals come last, so that the lines that they sum are known by then. */
function readAll(reader: Reader, heads: SeriesHead[]): Series[] {
  const found: Series[] = [];
  for (const head of heads) {
    const parts = found.filter(({ head: { metric, scope } }) => metric === head.metric && (scope === "process" || scope === "other"));
    found.push(reader.series(head, head.rest ? sums(parts, head, reader.room(head.length)) : null));
  }
  return found;
}

function sums(parts: Series[], { first }: SeriesHead, found: Float64Array): Float64Array {
  for (const { first: begin, values } of parts) {
    for (let at = 0; at < values.length; at++) {
      const value = values[at] as number;
      if (!Number.isNaN(value)) found[begin + at - first] = (found[begin + at - first] ?? 0) + value;
    }
  }
  return found;
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const native = (Uint8Array as unknown as { fromBase64?: (text: string) => Uint8Array<ArrayBuffer> }).fromBase64;
  if (native) return native.call(Uint8Array, text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < binary.length; at++) bytes[at] = binary.charCodeAt(at);
  return bytes;
}

/** Unpacks zlib's data, and fails if it grows beyond `most` bytes. */
export async function inflate(bytes: Uint8Array<ArrayBuffer>, most = MOST_BYTES): Promise<Uint8Array> {
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    length += part.value.length;
    if (length > most) {
      await reader.cancel();
      throw new Error(`it unpacks to more than ${most / 2 ** 20} MiB`);
    }
    parts.push(part.value);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

class Reader {
  constructor(
    private readonly bytes: Uint8Array,
    private at: number,
  ) {}

  /**
   * Allocates room for `count` numbers, each of which takes a byte at least: the stated count alone
   * must not take memory.
   */
  room(count: number): Float64Array {
    if (!(count <= this.bytes.length - this.at)) throw new Error("the data of this page is cut short");
    return new Float64Array(count);
  }

  moments(count: number): Float64Array {
    const moments = this.room(count);
    let micros = 0;
    for (let column = 0; column < count; column++) {
      micros += this.number();
      moments[column] = micros / 1e6;
    }
    return moments;
  }

  series(head: SeriesHead, beside: Float64Array | null): Series {
    const values = this.room(head.length);
    let steps = 0;
    for (let column = 0; column < head.length; column++) {
      const code = this.number();
      if (code === 0) {
        values[column] = NaN;
        continue;
      }
      // Zigzag: the lowest bit is the sign. Above 2^53 nothing is exact, and no memory is that large.
      const zigzag = code - 1;
      const half = Math.floor(zigzag / 2);
      steps += zigzag % 2 === 0 ? half : -half - 1;
      values[column] = steps * head.unit + (beside?.[column] ?? 0);
    }
    const low = head.merged ? this.distances(head, values, -1) : null;
    const high = head.merged ? this.distances(head, values, 1) : null;
    return { head, first: head.first, values, low, high };
  }

  private distances(head: SeriesHead, values: Float64Array, sign: number): Float64Array {
    const bounds = this.room(head.length);
    for (let column = 0; column < head.length; column++) {
      const code = this.number();
      const value = values[column] as number;
      const distance = (code - 1) * head.unit;
      bounds[column] = code === 0 ? NaN : Number.isNaN(value) ? distance : value + sign * distance;
    }
    return bounds;
  }

  private number(): number {
    let byte = this.bytes[this.at++];
    if (byte === undefined) throw new Error("the data of this page is cut short");
    if (byte < 128) return byte;
    let value = byte & 127;
    let weight = 128;
    do {
      byte = this.bytes[this.at++];
      if (byte === undefined) throw new Error("the data of this page is cut short");
      value += (byte & 127) * weight;
      weight *= 128;
    } while (byte > 127);
    return value;
  }
}
