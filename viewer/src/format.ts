/** Formats figures for the reader. */

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** Three significant digits, as hwm prints them. */
export function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined || Number.isNaN(value)) return "?";
  let unit = 0;
  let size = Math.abs(value);
  while (size >= 1024 && unit < UNITS.length - 1) {
    size /= 1024;
    unit++;
  }
  const text = unit === 0 ? size.toFixed(0) : size >= 99.95 ? size.toFixed(0) : size >= 9.995 ? size.toFixed(1) : size.toFixed(2);
  return `${value < 0 ? "−" : ""}${text} ${UNITS[unit]}`;
}

/** A moment or a length of time. */
export function seconds(value: number | null | undefined): string {
  if (value === null || value === undefined || Number.isNaN(value)) return "?";
  if (value < 0) return `−${seconds(-value)}`;
  if (value === 0) return "0 s";
  if (value < 0.001) return `${(value * 1e6).toFixed(0)} µs`;
  if (value < 1) return `${(value * 1e3).toFixed(value < 0.01 ? 2 : value < 0.1 ? 1 : 0)} ms`;
  if (value < 60) return `${value.toFixed(2)} s`;
  const whole = Math.round(value);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return hours > 0 ? `${hours} h ${minutes} min ${rest} s` : `${minutes} min ${rest} s`;
}

/** A moment within a run, exact enough to find it again. */
export function moment(value: number): string {
  if (value < 60) return `${value.toFixed(3)} s`;
  const minutes = Math.floor(value / 60);
  const rest = (value - minutes * 60).toFixed(2).padStart(5, "0");
  return minutes < 60 ? `${minutes}:${rest}` : `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${rest}`;
}

export function count(value: number): string {
  return value.toLocaleString("en-US").replaceAll(",", " ");
}

/** The sign before a figure that is not exact. */
export function sign(certainty: string | null | undefined): string {
  switch (certainty) {
    case "exact":
      return "";
    case "at_least":
    case "sampled":
      return "≥ ";
    case "at_most":
      return "≤ ";
    default:
      return "≈ ";
  }
}

export function certainty(word: string | null | undefined): string {
  switch (word) {
    case "exact":
      return "exact: the kernel's own figure";
    case "bounded":
      return "an estimate within bounds";
    case "sampled":
      return "seen in samples only: it may have been higher";
    case "at_least":
      return "this or more";
    case "at_most":
      return "this or less";
    default:
      return "how sure it is, is not known";
  }
}

/** The name of each metric, as `crates/hwm/src/text/metric.rs` has it (a test compares them), and its meaning. */
const METRICS: Record<string, [string, string]> = {
  memory: ["memory", "what processes hold in RAM, each page counted once"],
  rss: ["RSS", "resident memory: shared pages count in each process"],
  pss: ["PSS", "proportional memory: a page shared by n processes counts 1/n in each"],
  swap: ["swap", "swapped-out memory"],
  working_set: ["working set", "the figure of Windows that comes closest to RSS"],
  phys_footprint: ["phys_footprint", "physical footprint"],
  vram: ["VRAM", "GPU memory, by device"],
  cpu_time: ["CPU time", "busy processors, on average since the sample before"],
  read: ["read", "what was read, from files, pipes and the page cache"],
  written: ["written", "what was written, to files and pipes"],
  storage_read: ["read from storage", "what was fetched from storage"],
  storage_written: ["written to storage", "pages made dirty that are to go to storage"],
};

export function metricName(metric: string): string {
  return METRICS[metric]?.[0] ?? metric;
}

/** Returns the name for the beginning of a label. A name of the system's own stays as it is. */
export function metricTitle(metric: string): string {
  const name = metricName(metric);
  return name.includes("_") ? name : name.charAt(0).toUpperCase() + name.slice(1);
}

export function metricMeaning(metric: string): string {
  return METRICS[metric]?.[1] ?? metric;
}

/** A value of a metric. */
export function value(metric: string, amount: number | null | undefined): string {
  if (!isRate(metric)) return bytes(amount);
  if (amount === null || amount === undefined || Number.isNaN(amount)) return "?";
  return metric === "cpu_time" ? `${amount.toFixed(2)} CPUs` : `${bytes(amount)}/s`;
}

/** Returns whether the metric is a rate per second, and not memory at a moment. */
export function isRate(metric: string): boolean {
  return ["cpu_time", "read", "written", "storage_read", "storage_written"].includes(metric);
}
