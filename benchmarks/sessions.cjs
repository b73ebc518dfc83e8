// Operations a second of connect-pg-simple: CASE CLIENTS OPERATIONS-OF-EACH SESSIONS DATA
const session = require("express-session");
const { Pool } = require("pg");
const Store = require("connect-pg-simple")(session);

const [name, clients, operations, sessions] = process.argv.slice(2, 6).map((word, place) => (place ? Number(word) : word));
const data = JSON.parse(process.argv[6]);
const pool = new Pool({ max: 10 });
const store = new Store({ pool, tableName: "sessions", pruneSessionInterval: false });

const promised = (start) =>
  new Promise((resolve, reject) => start((error, value) => (error ? reject(error) : resolve(value))));

const operation = {
  get: (sid) => promised((done) => store.get(sid, done)),
  set: (sid) => promised((done) => store.set(sid, data, done)),
  touch: (sid) => promised((done) => store.touch(sid, data, done)),
  "check-out, SELECT 1": () => pool.query("SELECT 1"),
}[name];

async function client(number) {
  for (let n = 0; n < operations; n++) await operation(`bench-${(n * clients + number) % sessions}`);
}

async function main() {
  const numbers = [...Array(clients).keys()];
  const taken = await Promise.all(numbers.map(() => pool.connect()));
  taken.forEach((connection) => connection.release());
  const started = performance.now();
  await Promise.all(numbers.map(client));
  console.log((clients * operations * 1000) / (performance.now() - started));
  await pool.end();
}

main();
