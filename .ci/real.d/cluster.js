// Workers of a cluster that keep and drop objects and buffers: `cluster.js SECONDS`.
const cluster = require('node:cluster');

const WORKERS = 4;
const MOST_BUFFERS = 40;

if (cluster.isPrimary) {
  const workers = Array.from({ length: WORKERS }, () => cluster.fork());
  setTimeout(() => workers.forEach((worker) => worker.kill()), Number(process.argv[2]) * 1000);
} else {
  let objects = [];
  let buffers = [];
  setInterval(() => {
    for (let i = 0; i < 20000; i++) objects.push({ number: i, text: `object ${i}` });
    buffers.push(Buffer.alloc(1 << 20, 1));
    if (buffers.length > MOST_BUFFERS) [objects, buffers] = [[], []];
  }, 100);
}
