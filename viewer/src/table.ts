/**
 * A table of the processes at the chosen moment, or in the time range. Only the visible rows are in
 * the document.
 */

import { h } from "./dom.ts";
import * as format from "./format.ts";
import { exitWords } from "./lanes.ts";
import type { Picture } from "./picture.ts";
import { firstAtLeast, valueAt, type Run } from "./run.ts";
import type { State } from "./state.ts";

const ROW = 28;
const HEIGHT = 448;
const PRINTED = 60;

interface Row {
  row: number;
  /** The value at the moment, or the highest in the range; NaN if it was not read. */
  value: number;
}

interface Column {
  key: string;
  title: string;
  numeric: boolean;
  /** The sort key. */
  rank(row: Row): number | string;
  text(row: Row): string;
}

export class Table {
  readonly element: HTMLElement;
  private readonly caption = h("div", { class: "caption", "aria-live": "polite" });
  private readonly head = h("tr");
  private readonly body = h("tbody");
  private readonly scroller: HTMLElement;
  private readonly table: HTMLTableElement;
  private rows: Row[] = [];
  private picture: Picture | null = null;
  private columns: Column[] = [];
  private printing = false;

  constructor(
    private readonly run: Run,
    private readonly state: State,
  ) {
    const copy = h("button", { type: "button", onclick: () => this.copy(copy) }, "Copy as CSV");
    this.table = h("table", {}, h("thead", {}, this.head), this.body);
    this.scroller = h("div", { class: "scroller", tabindex: 0 }, this.table);
    this.element = h("section", { class: "table" }, h("div", { class: "bar" }, this.caption, copy), this.scroller);
    this.scroller.addEventListener("scroll", () => this.fill(), { passive: true });
    window.addEventListener("beforeprint", () => this.print(true));
    window.addEventListener("afterprint", () => this.print(false));
  }

  show(picture: Picture, range: [number, number], chosen: Set<number> | null): void {
    this.picture = picture;
    const { at } = this.state.view;
    this.columns = this.makeColumns(at);
    const [from, to] = at === null ? range : [at, at];
    const lines = this.run.rows(picture.metric);
    const { moments } = this.run;
    const column = at === null ? -1 : this.run.columnAt(at);
    const [begin, end] = [firstAtLeast(moments, from), firstAtLeast(moments, to + 1e-9)];
    this.rows = [];
    for (let row = 0; row < this.run.count; row++) {
      if ((chosen && !chosen.has(row)) || !this.run.isAlive(row, from, to)) continue;
      const line = lines.get(row);
      let value = NaN;
      if (line && at !== null) value = valueAt(line, column);
      else if (line) value = this.run.highestIn(line, begin, end);
      this.rows.push({ row, value });
    }
    this.sort();
    const what = this.rows.length === 1 ? "process" : "processes";
    this.caption.textContent =
      at === null
        ? `${format.count(this.rows.length)} ${what} from ${format.moment(range[0])} to ${format.moment(range[1])}`
        : `${format.count(this.rows.length)} ${what} at ${format.moment(column >= 0 ? (moments[column] as number) : at)}`;
    this.makeHead();
    this.table.setAttribute("aria-rowcount", String(this.rows.length + 1));
    this.scroller.style.maxHeight = `${HEIGHT}px`;
    this.fill();
  }

  private makeColumns(at: number | null): Column[] {
    const { run } = this;
    const { metric } = this.picture as Picture;
    const processes = run.head.processes;
    const name = format.metricName(metric);
    const columns: Column[] = [
      { key: "command", title: "Process", numeric: false, rank: ({ row }) => run.name(row).toLowerCase(), text: ({ row }) => run.name(row) },
      { key: "pid", title: "PID", numeric: true, rank: ({ row }) => run.pid(row), text: ({ row }) => String(run.pid(row)) },
      {
        key: "value",
        title: at === null ? `Highest ${name} in range` : `${format.metricTitle(metric)} then`,
        numeric: true,
        rank: ({ value }) => (Number.isNaN(value) ? -1 : value),
        text: ({ value }) => (Number.isNaN(value) ? "not sampled" : format.value(metric, value)),
      },
      {
        key: "peak",
        title: "Peak RSS, whole life",
        numeric: true,
        rank: ({ row }) => run.peak(row) ?? -1,
        text: ({ row }) => {
          const peak = run.peak(row);
          return peak === null ? "?" : format.sign(run.text(processes.certainty[row])) + format.bytes(peak);
        },
      },
      { key: "start", title: "Started", numeric: true, rank: ({ row }) => run.start(row), text: ({ row }) => format.moment(run.start(row)) },
      {
        key: "lived",
        title: "Lived",
        numeric: true,
        rank: ({ row }) => (run.end(row) ?? run.duration) - run.start(row),
        text: ({ row }) => (run.end(row) === null ? "≥ " : "") + format.seconds((run.end(row) ?? run.duration) - run.start(row)),
      },
      { key: "exit", title: "End", numeric: false, rank: ({ row }) => exitWords(run, row), text: ({ row }) => exitWords(run, row) },
      { key: "ppid", title: "Parent", numeric: true, rank: ({ row }) => processes.ppid[row] as number, text: ({ row }) => String(processes.ppid[row]) },
    ];
    if (processes.vram.some((value) => value !== null)) {
      columns.splice(4, 0, {
        key: "vram",
        title: "Peak VRAM",
        numeric: true,
        rank: ({ row }) => processes.vram[row] ?? -1,
        text: ({ row }) => (processes.vram[row] == null ? "" : format.bytes(processes.vram[row])),
      });
    }
    return columns;
  }

  private sort(): void {
    const { sort, descending } = this.state.view;
    const column = this.columns.find((column) => column.key === sort) ?? (this.columns[2] as Column);
    const way = descending ? -1 : 1;
    const ranks = new Map(this.rows.map((row) => [row, column.rank(row)]));
    this.rows.sort((one, other) => {
      const [a, b] = [ranks.get(one) as number | string, ranks.get(other) as number | string];
      return a < b ? -way : a > b ? way : one.row - other.row;
    });
  }

  private makeHead(): void {
    const { sort, descending } = this.state.view;
    this.head.replaceChildren(
      ...this.columns.map((column) => {
        const active = column.key === sort;
        const button = h(
          "button",
          {
            type: "button",
            onclick: () =>
              this.state.set(active ? { descending: !descending } : { sort: column.key, descending: column.numeric && column.key !== "start" }),
          },
          column.title,
          active ? h("span", { "aria-hidden": "true" }, descending ? " ↓" : " ↑") : null,
        );
        const cell = h("th", { scope: "col", class: column.numeric ? "number" : "" }, button);
        if (active) cell.setAttribute("aria-sort", descending ? "descending" : "ascending");
        return cell;
      }),
    );
  }

  private fill(): void {
    const first = this.printing ? 0 : Math.max(0, Math.floor(this.scroller.scrollTop / ROW) - 5);
    const count = this.printing ? PRINTED : Math.ceil(HEIGHT / ROW) + 10;
    const last = Math.min(this.rows.length, first + count);
    const above = h("tr", { class: "space", "aria-hidden": "true" });
    above.style.height = `${first * ROW}px`;
    const below = h("tr", { class: "space", "aria-hidden": "true" });
    below.style.height = `${this.printing ? 0 : (this.rows.length - last) * ROW}px`;
    const focused = this.body.contains(document.activeElement) ? document.activeElement?.getAttribute("data-row") : null;
    const rows = this.rows.slice(first, last).map((row, place) => this.makeRow(row, first + place));
    this.body.replaceChildren(above, ...rows, below);
    if (focused) this.body.querySelector<HTMLElement>(`[data-row="${focused}"]`)?.focus({ preventScroll: true });
  }

  private makeRow(entry: Row, place: number): HTMLTableRowElement {
    const picture = this.picture as Picture;
    const { row } = entry;
    const key = `p${row}`;
    const isolated = this.state.view.only === key;
    const layer = picture.layerOf(row);
    const toggle = () => this.state.set({ only: isolated ? null : key });
    const args = this.run.text(this.run.head.processes.args[row]);
    const exe = this.run.exe(row);
    const element = h(
      "tr",
      {
        tabindex: 0,
        "data-row": row,
        "aria-rowindex": place + 2,
        "aria-selected": isolated ? "true" : "false",
        title: [args, exe].filter(Boolean).join("\n") || false,
        onclick: toggle,
        onkeydown: (event) => {
          const { key } = event as KeyboardEvent;
          if (key !== "Enter" && key !== " ") return;
          event.preventDefault();
          event.stopPropagation();
          toggle();
        },
      },
      ...this.columns.map((column) => {
        const text = column.text(entry);
        const cell = h("td", { class: column.numeric ? "number" : "" });
        if (column.key === "command") {
          const chip = h("i", { class: "chip" });
          chip.style.background = layer ? picture.colourOf(layer) : "transparent";
          cell.append(chip);
        }
        if (text === "not sampled" || text === "?" || text === "exit unknown") cell.classList.add("faint");
        if (column.key === "exit" && /^(signal|exit [^0u])/.test(text)) cell.classList.add("failed");
        cell.append(text);
        return cell;
      }),
    );
    return element;
  }

  private print(printing: boolean): void {
    this.printing = printing;
    this.fill();
    if (printing && this.rows.length > PRINTED) {
      this.body.lastElementChild?.replaceChildren(
        h("td", { colspan: this.columns.length }, `and ${format.count(this.rows.length - PRINTED)} more`),
      );
    }
  }

  csv(): string {
    const { run } = this;
    const { metric } = this.picture as Picture;
    const quote = (text: string) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    const lines = [`command,pid,ppid,${metric}_bytes,peak_rss_bytes,certainty,start_seconds,end_seconds,exit`];
    for (const { row, value } of this.rows) {
      lines.push(
        [
          run.command(row),
          run.pid(row),
          run.head.processes.ppid[row],
          Number.isNaN(value) ? "" : value,
          run.peak(row) ?? "",
          run.text(run.head.processes.certainty[row]) ?? "",
          run.start(row),
          run.end(row) ?? "",
          exitWords(run, row),
        ]
          .map((field) => quote(String(field)))
          .join(","),
      );
    }
    return `${lines.join("\n")}\n`;
  }

  private async copy(button: HTMLButtonElement): Promise<void> {
    const text = this.csv();
    let done = true;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // If the browser gives files no clipboard, the old way is used.
      const area = h("textarea", { class: "offscreen" });
      area.value = text;
      document.body.append(area);
      area.select();
      done = document.execCommand("copy");
      area.remove();
    }
    button.textContent = done ? "Copied" : "Not allowed here";
    setTimeout(() => (button.textContent = "Copy as CSV"), 1500);
  }
}
