/** Reads the records in the page and shows them. */

import "./style.css";
import { h } from "./dom.ts";
import { unpack } from "./payload.ts";
import { pair } from "./pair.ts";
import { Run } from "./run.ts";
import { single } from "./single.ts";

async function start(): Promise<void> {
  const app = document.getElementById("app") as HTMLElement;
  const payload = document.getElementById("payload");
  try {
    const runs = (await unpack(payload?.textContent?.trim() ?? "")).map((unpacked) => new Run(unpacked));
    payload?.remove();
    const [run, other] = runs;
    if (!run) throw new Error("there is no run in it");
    document.title = `${run.head.command.join(" ").slice(0, 100)} · memory${other ? " of two runs" : ""}`;
    if (other) pair(run, other, app);
    else single(run, app);
    document.documentElement.dataset["ready"] = String(Math.round(performance.now()));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    app.replaceChildren(h("p", { class: "note", role: "alert" }, `The data in this page cannot be read: ${why}. Write the page again with hwm view RECORD.json --html FILE.`));
    console.error(error);
  }
}

void start();
