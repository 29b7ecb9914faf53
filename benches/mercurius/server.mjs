// Serves the list of connections from memory with mercurius and graphql-jit, for the bench to hold the gateway against.
// Arguments: the schema, and the answer that the gateway gave.
import { readFileSync } from "node:fs";
import fastify from "fastify";
import mercurius from "mercurius";

const [schema, answer] = process.argv.slice(2).map((path) => readFileSync(path, "utf8"));
const connections = JSON.parse(answer).data.connections;

const app = fastify();
app.register(mercurius, {
  schema,
  resolvers: { Query: { connections: () => connections } },
  jit: 1,
});
console.log(`listening on ${await app.listen({ port: 0, host: "127.0.0.1" })}`);
