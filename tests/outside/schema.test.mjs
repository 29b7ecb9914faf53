import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";

import { buildSchema, validateSchema } from "graphql";

import { repository } from "./gateway.mjs";

test("graphql-js, on which most clients stand, accepts schema.graphql", async () => {
  const schema = buildSchema(await readFile(join(repository, "schema.graphql"), "utf8"));
  assert.deepEqual(validateSchema(schema), []);
  for (const root of [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()]) {
    assert.ok(Object.keys(root.getFields()).length > 0);
  }
});
