/**
 * How the page reaches the gateway: queries and mutations over HTTP, subscriptions over one WebSocket
 * (`graphql-transport-ws`), both at `../graphql` as seen from the page.
 */

import type { Fetcher, FetcherParams } from "@graphiql/toolkit";
import { type ExecutionResult, Kind, type OperationDefinitionNode, OperationTypeNode, parse } from "graphql";
import { type Client, createClient } from "graphql-ws";

export type SocketState = "closed" | "connecting" | "open";

export interface Transport {
  fetcher: Fetcher;
  close(): void;
}

export function createTransport(token: string, onSocket: (state: SocketState) => void): Transport {
  const endpoint = new URL("../graphql", document.baseURI);
  const socketEndpoint = new URL(endpoint);
  socketEndpoint.protocol = endpoint.protocol === "https:" ? "wss:" : "ws:";
  const authorization: Record<string, string> = token === "" ? {} : { Authorization: `Bearer ${token}` };

  const socket = createClient({
    url: socketEndpoint.href,
    connectionParams: authorization,
    lazy: true,
    // A reconnect of its own would lose the events in between without a word: better to show that it closed.
    retryAttempts: 0,
    on: {
      connecting: () => onSocket("connecting"),
      connected: () => onSocket("open"),
      closed: () => onSocket("closed"),
    },
  });

  const fetcher: Fetcher = (params, options) => {
    const request = withCurrentName(params);
    return isSubscription(request)
      ? subscribe(socket, request)
      : post(endpoint, request, { ...authorization, ...options?.headers });
  };

  return { fetcher, close: () => void socket.dispose() };
}

/** The operations of a document; none where it does not parse, since the gateway's message about it is the one to show. */
function operationsOf(query: string): OperationDefinitionNode[] {
  try {
    return parse(query).definitions.filter((definition) => definition.kind === Kind.OPERATION_DEFINITION);
  } catch {
    return [];
  }
}

/** The editor learns of an operation's new name a moment after the text; a name that is gone is not sent. */
function withCurrentName(params: FetcherParams): FetcherParams {
  const known = operationsOf(params.query).some(({ name }) => name?.value === params.operationName);
  return known ? params : { query: params.query, variables: params.variables };
}

function isSubscription({ query, operationName }: FetcherParams): boolean {
  const chosen = operationsOf(query).find(({ name }) => !operationName || name?.value === operationName);
  return chosen?.operation === OperationTypeNode.SUBSCRIPTION;
}

async function post(endpoint: URL, params: FetcherParams, headers: Record<string, string>): Promise<ExecutionResult> {
  const response = await fetch(endpoint, {
    method: "POST",
    headers: {
      Accept: "application/graphql-response+json, application/json;q=0.9",
      "Content-Type": "application/json",
      ...headers,
    },
    body: JSON.stringify(params),
  });
  const text = await response.text();
  try {
    return JSON.parse(text) as ExecutionResult;
  } catch {
    throw new Error(`HTTP ${response.status} ${response.statusText}: ${text.slice(0, 500)}`);
  }
}

/**
 * Not an async generator: those answer `return` only after the `next` that is under way, so that stopping a quiet
 * subscription would wait for its next event.
 */
function subscribe(socket: Client, params: FetcherParams): AsyncIterableIterator<ExecutionResult> {
  const { query, variables, operationName } = params;
  const events = socket.iterate({ query, variables, operationName }) as AsyncGenerator<ExecutionResult, void>;
  const iterator: AsyncIterableIterator<ExecutionResult> = {
    next: () => events.next().catch(explainClose),
    return: () => events.return(),
    [Symbol.asyncIterator]: () => iterator,
  };
  return iterator;
}

function explainClose(error: unknown): never {
  if (error instanceof CloseEvent) {
    throw new Error(`The socket was closed with code ${error.code}${error.reason ? `: ${error.reason}` : ""}`);
  }
  if (error instanceof Event) throw new Error("The socket could not be opened");
  throw error;
}
