// A closed loop of callers over emmett: one JSON document on stdin, one on stdout.
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { url, packages, pool: size, callers, seconds, cost, prompt, image } = JSON.parse(
  readFileSync(0, "utf8"),
);
const require = createRequire(`${packages}/`);
const { getPostgreSQLEventStore } = require("@event-driven-io/emmett-postgresql");
const pg = require("pg");

const pool = new pg.Pool({ connectionString: url, min: size, max: size });
const store = getPostgreSQLEventStore(url, { connectionOptions: { connectionString: url, pool } });
await store.schema.migrate();
const connected = await Promise.all(Array.from({ length: size }, () => pool.connect()));
for (const client of connected) client.release();

const latencies = [];
const began = performance.now();
const end = began + seconds * 1000;

async function caller() {
  const stream = `wallet-${randomUUID()}`;
  let version = 0n; // known: nothing is read and nothing conflicts
  while (performance.now() < end) {
    const generation_id = randomUUID();
    const pair = [
      { type: "Requested", data: { generation_id, cost, prompt } },
      { type: "Consumed", data: { generation_id, cost, images: [{ ...image, id: randomUUID() }] } },
    ];
    for (const event of pair) {
      const start = performance.now();
      const done = await store.appendToStream(stream, [event], { expectedStreamVersion: version });
      version = done.nextExpectedStreamVersion;
      latencies.push((performance.now() - start) / 1000);
    }
  }
}

await Promise.all(Array.from({ length: callers }, caller));
const elapsed = (performance.now() - began) / 1000;
await store.close();
await pool.end();
process.stdout.write(JSON.stringify([latencies, elapsed]));
