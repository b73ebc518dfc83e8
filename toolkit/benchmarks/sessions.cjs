// Clients that repeat one operation of connect-pg-simple, after a warm-up of equal length: node sessions.cjs LOAD-AS-JSON
const assert = require("node:assert");
const session = require("express-session");
const { Pool } = require("pg");
const Store = require("connect-pg-simple")(session);

const { name, clients, seconds, sessions, data, connections } = JSON.parse(process.argv[2]);
const pool = new Pool({ max: connections });
const store = new Store({ pool, tableName: "sessions", pruneSessionInterval: false });

const promised = (start) =>
  new Promise((resolve, reject) => start((error, value) => (error ? reject(error) : resolve(value))));

const operation = {
  get: (sid) => promised((done) => store.get(sid, done)),
  set: (sid) => promised((done) => store.set(sid, data, done)),
  touch: (sid) => promised((done) => store.touch(sid, data, done)),
  "check-out, SELECT 1": async () => (await pool.query("SELECT 1 AS one")).rows[0],
}[name];
const expected = { get: data, "check-out, SELECT 1": { one: 1 } }[name];

async function client(kind, number, seconds) {
  const until = performance.now() + seconds * 1000;
  let count = 0;
  for (; performance.now() < until; count++) await operation(`${kind}-${(count * clients + number) % sessions}`);
  return count;
}

const runClients = (kind, seconds) =>
  Promise.all([...Array(clients).keys()].map((number) => client(kind, number, seconds)));

async function main() {
  const returned = await operation("warm-0");
  const message = `returned ${JSON.stringify(returned)} instead of ${JSON.stringify(expected)}`;
  if (expected) assert.deepEqual(returned, expected, message);
  await runClients("warm", seconds); // opens the connections, and lets V8 compile the hot functions
  const started = performance.now();
  const counts = await runClients("bench", seconds);
  console.log(JSON.stringify({ counts, seconds: (performance.now() - started) / 1000 }));
  await pool.end();
}

main().catch((error) => {
  console.error(error.message);
  process.exit(1); // open connections would keep the process alive
});
