/** What the tests of the transports share. */

import { setTimeout as delay } from "node:timers/promises";
import { inspect } from "node:util";

import { ask } from "./tour.mjs";

/** Follows the names of connections; `renamed` makes an event of it. */
export const FOLLOW_NAMES = "subscription { connectionStateChanged { connectionId connection { displayName } } }";
export const VIEWER = "{ viewer { role } }";
export const VIEWER_DATA = { viewer: { role: "Administrator" } };
export const UNKNOWN_FIELD = "{ noSuchField }";
export const RENAME = `mutation ($connectionId: ID!, $displayName: String!) {
  renameConnection(input: { connectionId: $connectionId, displayName: $displayName }) { connection { displayName } }
}`;

/** What `promise` brings, or an error after `limit` milliseconds. */
export async function within(promise, what, limit = 10_000) {
  const timer = new AbortController();
  const late = delay(limit, undefined, timer).then(() => {
    throw new Error(`${what}: not within ${limit} ms`);
  });
  late.catch(() => {});
  return Promise.race([promise, late]).finally(() => timer.abort());
}

/** Keeps what an operation brings: the sink of `graphql-ws` and `graphql-sse`, and an observer of rxjs. */
export class Sink {
  results = [];
  #arrival = withResolvers();
  #end = withResolvers();

  next = (result) => {
    this.results.push(result);
    this.#arrival.resolve();
    this.#arrival = withResolvers();
  };
  error = (error) => this.#end.resolve({ error });
  complete = () => this.#end.resolve({});

  /** The error that the operation ends with; undefined where it completes. */
  async ended() {
    const { error } = await within(this.#end.promise, "the end of the operation");
    return error;
  }

  /** Fails once the operation is over, however it ends. */
  async over() {
    const { error } = await this.#end.promise;
    throw new Error(`it is over: ${error?.message ?? inspect(error ?? this.results, { depth: 5 })}`);
  }

  /** Waits for the operation to complete. */
  async completed() {
    const error = await this.ended();
    if (error) throw new Error(`it failed: ${error.message ?? inspect(error)}`);
  }

  /** The event of FOLLOW_NAMES that brings `name`, one that is here or one that comes. */
  findName(name, limit) {
    return within(this.#find(name), `an event with ${name}`, limit);
  }

  async #find(name) {
    for (;;) {
      const found = this.results.find(({ data }) => data?.connectionStateChanged.connection.displayName === name);
      if (found) return found;
      await this.#arrival.promise;
    }
  }
}

function withResolvers() {
  let resolve;
  const promise = new Promise((settle) => (resolve = settle));
  return { promise, resolve };
}

let names = 0;

/** Gives the connection a name that none had before, over HTTP, and answers it. */
export async function rename(gateway, connectionId) {
  const displayName = `Name ${++names}`;
  await ask(gateway, await gateway.operatorToken("Administrator"), RENAME, { connectionId, displayName });
  return displayName;
}

/**
 * Renames the connection until all `sinks` see it. No protocol has a word for "subscribed": an event that comes too soon is
 * not seen, and the next one is.
 */
export async function subscribed(gateway, connectionId, ...sinks) {
  const over = Promise.race(sinks.map((sink) => sink.over()));
  over.catch(() => {}); // it may end later, as it should
  for (let attempt = 0; attempt < 20; attempt++) {
    const name = await rename(gateway, connectionId);
    const seen = Promise.all(sinks.map((sink) => sink.findName(name, 500))).then(() => true, () => false);
    if (await Promise.race([seen, over])) return;
  }
  throw new Error(`no event came, but ${inspect(sinks.map(({ results }) => results))}`);
}

/** Sends one request with this token; `body` makes it a POST of JSON. */
export function request(gateway, token, { search = {}, body, ...init }) {
  const url = new URL(`${gateway.url}/graphql`);
  for (const [name, value] of Object.entries(search)) url.searchParams.set(name, value);
  const headers = { Authorization: `Bearer ${token}`, ...init.headers };
  if (body) Object.assign(init, { method: "POST", body: JSON.stringify(body) });
  if (body) headers["Content-Type"] = "application/json";
  return within(fetch(url, { ...init, headers }), `the answer of ${url}`);
}

/** Reads `response` piece by piece: `take` gets the text so far without what it took, and answers the rest. */
export async function readPieces(response, take) {
  let text = "";
  for await (const piece of response.body.pipeThrough(new TextDecoderStream())) text = take(text + piece);
  return text;
}
