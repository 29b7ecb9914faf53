/**
 * The gate and graphql-js agree on what is a document and what is a valid one, against schema.graphql: on documents
 * by hand for each rule of the specification, on generated operations, and on changed ones.
 *
 * `DOCUMENTS_SEED` gives another seed than the fixed one; `DOCUMENTS_OUT` names a file for all documents with
 * graphql-js's verdicts.
 */

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";

import {
  buildSchema,
  getNamedType,
  GraphQLError,
  Kind,
  parse,
  specifiedRules,
  TypeInfo,
  validate,
  visit,
  visitWithTypeInfo,
} from "graphql";

import { byHand } from "./documents/by-hand.mjs";
import { decisions } from "./documents/decisions.mjs";
import { generate } from "./documents/generate.mjs";
import { mutate } from "./documents/mutate.mjs";
import { Random } from "./documents/random.mjs";
import { repository, startGateway } from "./gateway.mjs";

const SEED = Number(process.env.DOCUMENTS_SEED ?? 20_251_124);
const GENERATED = 300;
const MUTATED = 300;
const BYTES_MAX = 8 * 1024;
const AT_A_TIME = 8;
const TOLD_MAX = 10;
/** No document has an operation of this name, so nothing ever runs. */
const NO_OPERATION = "__nothing__";
const VERDICTS = {
  GRAPHQL_PARSE_FAILED: "parse",
  GRAPHQL_VALIDATION_FAILED: "invalid",
  OPERATION_RESOLUTION_FAILURE: "valid",
};

let schema;
let corpus;
let gateway;
let token;

before(async () => {
  schema = buildSchema(await readFile(join(repository, "schema.graphql"), "utf8"));
  corpus = collect(new Random(SEED));
  if (process.env.DOCUMENTS_OUT) {
    const told = corpus.map(({ document, verdict }) => ({ document, verdict }));
    await writeFile(process.env.DOCUMENTS_OUT, JSON.stringify(told, undefined, 1));
  }
  gateway = await startGateway({ GATEWAY_RATE_LIMIT: "off", GATEWAY_ADDRESS_RATE_LIMIT: "off" });
  token = await gateway.operatorToken("Administrator");
});

after(() => gateway?.stop());

test("graphql-js gives each document by hand the verdict that stands beside it", () => {
  const wrong = byHand
    .map((hand) => ({ ...hand, found: judge(hand.document) }))
    .filter(({ verdict, found }) => found.verdict !== verdict)
    .map(({ section, document, verdict, found }) => ({ section, document, verdict, found }));
  assert.deepEqual(wrong, []);
  assert.equal(new Set(byHand.map(({ document }) => document)).size, byHand.length, "a document stands there twice");
});

test("the documents are many, small, and of all verdicts", () => {
  const counts = countOf(corpus);
  assert.ok(corpus.every(({ document }) => Buffer.byteLength(document) <= BYTES_MAX));
  assert.ok(counts.valid >= 100, JSON.stringify(counts));
  assert.ok(counts.invalid >= 100, JSON.stringify(counts));
  assert.ok(counts.parse >= 100, JSON.stringify(counts));
  const generated = countOf(corpus.filter(({ source }) => source === "generated"));
  assert.ok(generated.valid >= GENERATED / 2, `mostly valid: ${JSON.stringify(generated)}`);
});

test("the gateway and graphql-js agree on every document", { timeout: 300_000 }, async (t) => {
  t.diagnostic(`DOCUMENTS_SEED=${SEED}: ${corpus.length} documents, ${JSON.stringify(countOf(corpus))}`);
  const answers = await eachOf(corpus, AT_A_TIME, ({ document }) => askGateway(document));
  const judged = corpus.map((one, index) => ({ ...one, answer: answers[index], gateway: verdictOf(answers[index]) }));
  const decided = judged.map((one) => decisions.find(({ applies }) => applies(one)));
  const apart = judged.filter((one, index) => one.gateway !== one.verdict && !decided[index]);
  const told = apart.slice(0, TOLD_MAX).map(tell);
  const kinds = Object.entries(countBy(apart, ({ verdict, gateway }) => `${verdict} here, ${gateway} there`));
  const summary = [
    `${apart.length} of ${corpus.length} documents (DOCUMENTS_SEED=${SEED}) are judged differently:`,
    ...kinds.map(([kind, count]) => `  ${count} ${kind}`),
    ...(apart.length > TOLD_MAX ? [`the first ${TOLD_MAX}:`] : []),
    "",
    ...told,
  ];
  assert.equal(apart.length, 0, summary.join("\n"));
});

/** All documents once, with graphql-js's verdicts. */
function collect(random) {
  const all = new Map();
  const add = (document, source) => {
    const judgement = judge(document);
    if (judgement && !all.has(document)) all.set(document, { document, source, ...judgement });
    return judgement !== undefined;
  };
  for (const { document, section } of byHand) {
    assert.ok(add(document, section), `by hand, and of a kind that is left out: ${document}`);
  }

  const generated = repeat(GENERATED, () => {
    const document = generate(schema, random);
    return isSmall(document) && add(document, "generated") ? document : undefined;
  });
  repeat(MUTATED, () => {
    const document = mutate(schema, random.pick(generated), random);
    return isSmall(document) && !all.has(document) && add(document, "mutated") ? document : undefined;
  });
  return [...all.values()];
}

/** So many of what `make` makes; it is asked again where it makes nothing. */
function repeat(count, make) {
  const made = [];
  for (let tries = 0; made.length < count; tries += 1) {
    assert.ok(tries < 100 * count, `after ${tries} tries there are ${made.length} of ${count} documents`);
    const one = make();
    if (one !== undefined) made.push(one);
  }
  return made;
}

function isSmall(document) {
  return Buffer.byteLength(document) <= BYTES_MAX && document.isWellFormed();
}

/** What graphql-js says of a document; nothing of one that the comparison leaves out. */
function judge(document) {
  let ast;
  try {
    ast = parse(document);
  } catch (error) {
    if (!(error instanceof GraphQLError)) throw error;
    return { verdict: "parse", messages: [error.message] };
  }
  if (hasSecret(ast) || hasConditionalRoot(ast)) return undefined;
  const errors = validate(schema, ast, specifiedRules);
  return { verdict: errors.length ? "invalid" : "valid", messages: errors.map(({ message }) => message) };
}

/** A secret as a literal: the gateway refuses it, valid or not, by a rule and a code of its own. */
function hasSecret(ast) {
  const types = new TypeInfo(schema);
  let found = false;
  const see = () => {
    const type = types.getInputType();
    found ||= type !== undefined && type !== null && getNamedType(type).name === "Secret";
  };
  const literals = [Kind.INT, Kind.FLOAT, Kind.STRING, Kind.BOOLEAN, Kind.ENUM, Kind.LIST, Kind.OBJECT];
  visit(ast, visitWithTypeInfo(types, Object.fromEntries(literals.map((kind) => [kind, see]))));
  return found;
}

/**
 * `@skip` or `@include` on a root field of a subscription, or on a fragment around it. The specification of September
 * 2025 forbids it (section 5.2.4.1); graphql-js 16 does not know that, and throws where a variable is the condition.
 */
function hasConditionalRoot(ast) {
  const fragments = new Map(
    ast.definitions.filter(({ kind }) => kind === Kind.FRAGMENT_DEFINITION).map((one) => [one.name.value, one]),
  );
  const seen = new Set();
  const inSet = (set) =>
    set.selections.some((selection) => {
      if (selection.directives?.some(({ name }) => name.value === "skip" || name.value === "include")) return true;
      if (selection.kind === Kind.INLINE_FRAGMENT) return inSet(selection.selectionSet);
      const fragment = selection.kind === Kind.FRAGMENT_SPREAD && fragments.get(selection.name.value);
      if (!fragment || seen.has(fragment)) return false;
      seen.add(fragment);
      return inSet(fragment.selectionSet);
    });
  return ast.definitions.some(({ kind, operation, selectionSet }) => {
    seen.clear();
    return kind === Kind.OPERATION_DEFINITION && operation === "subscription" && inSet(selectionSet);
  });
}

async function askGateway(document) {
  const response = await fetch(`${gateway.url}/graphql`, {
    method: "POST",
    headers: {
      Accept: "application/graphql-response+json",
      Authorization: `Bearer ${token}`,
      "Content-Type": "application/json",
    },
    body: JSON.stringify({ query: document, operationName: NO_OPERATION }),
    signal: AbortSignal.timeout(30_000),
  });
  const text = await response.text();
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    body = text;
  }
  return { status: response.status, body };
}

function verdictOf({ body }) {
  const code = body?.errors?.[0]?.extensions?.code;
  return VERDICTS[code] ?? `${code}`;
}

function tell({ document, source, verdict, messages, gateway, answer }) {
  const errors = answer.body?.errors?.map(({ message }) => message) ?? [JSON.stringify(answer.body)];
  return [
    `--- ${source}: graphql-js says ${verdict}, the gateway ${gateway} (HTTP ${answer.status})`,
    document,
    JSON.stringify(document),
    ...messages.map((message) => `graphql-js: ${message}`),
    ...errors.map((message) => `gateway: ${message}`),
    "",
  ].join("\n");
}

/** What `work` answers of each, so many at a time. */
async function eachOf(items, atATime, work) {
  const results = Array.from({ length: items.length });
  let next = 0;
  async function worker() {
    while (next < items.length) {
      const index = next;
      next += 1;
      results[index] = await work(items[index]);
    }
  }
  await Promise.all(Array.from({ length: atATime }, worker));
  return results;
}

function countBy(items, keyOf) {
  const counts = {};
  for (const item of items) counts[keyOf(item)] = (counts[keyOf(item)] ?? 0) + 1;
  return counts;
}

function countOf(judged) {
  return { parse: 0, invalid: 0, valid: 0, ...countBy(judged, ({ verdict }) => verdict) };
}
