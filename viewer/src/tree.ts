/**
 * The tree of processes, from pids and times: a pid may be reused, so the parent is the one that
 * lived then.
 */

import type { ProcessColumns } from "./payload.ts";

/** The most seconds by which a parent may be seen later than its child. */
const LATE = 0.1;

export class Tree {
  /** Row of the parent; -1 if it does not belong to the job. */
  readonly parent: Int32Array;
  readonly depth: Int32Array;
  /** All rows, each after its parent, siblings in the order of their start. */
  readonly order: number[];
  readonly children: number[][];
  readonly roots: number[] = [];

  constructor(processes: ProcessColumns) {
    const { pid, ppid, start, end } = processes;
    const count = pid.length;
    const byPid = new Map<number, number[]>();
    const byBirth = Array.from({ length: count }, (_, row) => row).sort(
      (one, other) => (start[one] as number) - (start[other] as number) || one - other,
    );
    this.parent = new Int32Array(count).fill(-1);
    this.depth = new Int32Array(count);
    this.children = Array.from({ length: count }, () => []);
    // In order of start: a known process started before, so no cycle can arise.
    for (const row of byBirth) {
      const born = start[row] as number;
      const candidates = byPid.get(ppid[row] as number) ?? [];
      // A candidate that had ended by then was seen to end too early, or its pid was reused unseen: better
      // than no parent.
      const alive = candidates.findLast((candidate) => (end[candidate] ?? Infinity) >= born);
      this.parent[row] = alive ?? candidates.at(-1) ?? -1;
      const parent = this.parent[row] as number;
      (parent < 0 ? this.roots : (this.children[parent] as number[])).push(row);
      const same = byPid.get(pid[row] as number);
      if (same) same.push(row);
      else byPid.set(pid[row] as number, [row]);
    }
    this.adopt(processes, byPid);
    const birth = (one: number, other: number) => (start[one] as number) - (start[other] as number) || one - other;
    for (const siblings of [this.roots, ...this.children]) siblings.sort(birth);
    this.order = [];
    const open = [...this.roots].reverse();
    for (let row = open.pop(); row !== undefined; row = open.pop()) {
      this.order.push(row);
      const parent = this.parent[row] as number;
      this.depth[row] = parent < 0 ? 0 : (this.depth[parent] as number) + 1;
      const below = this.children[row] as number[];
      for (let at = below.length - 1; at >= 0; at--) open.push(below[at] as number);
    }
  }

  /**
   * A parent may be seen a little later than its child: until then the child is among the roots.
   */
  private adopt({ pid, ppid, start, end }: ProcessColumns, byPid: Map<number, number[]>): void {
    const waiting = this.roots.splice(0);
    for (const row of waiting) {
      const born = start[row] as number;
      const parent = (byPid.get(ppid[row] as number) ?? []).find(
        (candidate) =>
          pid[candidate] !== pid[row] && (start[candidate] as number) <= born + LATE && (end[candidate] ?? Infinity) >= born && !this.descends(candidate, row),
      );
      this.parent[row] = parent ?? -1;
      (parent === undefined ? this.roots : (this.children[parent] as number[])).push(row);
    }
  }

  private descends(row: number, ancestor: number): boolean {
    for (let at = row; at >= 0; at = this.parent[at] as number) if (at === ancestor) return true;
    return false;
  }

  /**
   * For each row the top of its branch: the trunk has single children all the way, and its rows
   * stand alone.
   */
  branches(): Int32Array {
    const top = new Int32Array(this.parent.length).fill(-1);
    const trunk = new Set<number>();
    let level = this.roots;
    while (level.length === 1) {
      const only = level[0] as number;
      trunk.add(only);
      level = this.children[only] as number[];
    }
    for (const row of this.order) {
      const parent = this.parent[row] as number;
      top[row] = trunk.has(row) || parent < 0 || trunk.has(parent) ? row : (top[parent] as number);
    }
    return top;
  }
}
