// A small job: three children of different size and length, one of which fails, and one after them.
import { spawn, spawnSync } from "node:child_process";

const child = (megabytes, milliseconds, code) => [
  "-e",
  `const buffers = []; for (let at = 0; at < ${megabytes}; at += 5) buffers.push(Buffer.alloc(5e6, 1)); setTimeout(() => process.exit(${code}), ${milliseconds});`,
];
const node = process.execPath;
const ended = [child(20, 500, 0), child(60, 900, 0), child(40, 300, 3)].map(
  (args) => new Promise((done) => spawn(node, args, { stdio: "ignore" }).on("exit", done)),
);
await Promise.all(ended);
spawnSync("sleep", ["0.2"]);
