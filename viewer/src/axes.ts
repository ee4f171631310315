/** Positions and labels of the axes' ticks. */

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400];

/** Round moments, about `wanted` of them. */
export function timeSplits(from: number, to: number, wanted: number): number[] {
  const rough = (to - from) / Math.max(2, wanted);
  let step = STEPS.find((step) => step >= rough) ?? Math.ceil(rough / 86400) * 86400;
  if (rough < 1) {
    const decade = 10 ** Math.floor(Math.log10(rough));
    step = [1, 2, 5, 10].map((factor) => factor * decade).find((step) => step >= rough) ?? decade * 10;
  }
  return splits(from, to, step);
}

/** Round sizes in powers of two (or plain numbers for metrics other than memory). */
export function sizeSplits(from: number, to: number, metric: string): number[] {
  const rough = (to - from) / 5;
  if (!(rough > 0)) return [0];
  const base = metric === "cpu_time" ? 1 : 1024 ** Math.floor(Math.log(rough) / Math.log(1024));
  const steps = [1, 2, 5, 10, 20, 25, 50, 100, 128, 200, 250, 256, 500, 512, 1024].map((factor) => factor * base);
  const step = metric === "cpu_time" ? cpuStep(rough) : (steps.find((step) => step >= rough) ?? base * 1024);
  return splits(from, to, step);
}

function cpuStep(rough: number): number {
  const decade = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((factor) => factor * decade).find((step) => step >= rough) ?? decade * 10;
}

function splits(from: number, to: number, step: number): number[] {
  const found: number[] = [];
  for (let at = Math.ceil(from / step - 1e-9); at * step <= to * (1 + 1e-12) && found.length < 100; at++) found.push(at * step);
  return found;
}

/** A moment on an axis, as exact as its neighbours require. */
export function axisTime(value: number, all: number[]): string {
  const step = Math.abs((all[1] ?? 1) - (all[0] ?? 0));
  if (value < 60 || step < 1) {
    const digits = step >= 1 ? 0 : Math.min(6, Math.ceil(-Math.log10(step) - 1e-9));
    return `${value.toFixed(digits)} s`;
  }
  const whole = Math.round(value);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (part: number) => String(part).padStart(2, "0");
  return hours > 0 ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}
