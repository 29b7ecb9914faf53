/**
 * A gateway of the test's own: the built binary in `--dev` on a free port, with an empty folder for its database.
 * `GATEWAY_BINARY` names another binary than the debug build.
 */

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

export const repository = fileURLToPath(new URL("../../", import.meta.url));
/** As many lines of a gateway's output are kept. */
export const LOG_MAX = 10_000;
const binary = process.env.GATEWAY_BINARY ?? join(repository, "target/debug/integrations-gateway");

/** Starts a gateway; `settings` are environment variables of its. Whoever starts it stops it. */
export async function startGateway(settings = {}) {
  const folder = await mkdtemp(join(tmpdir(), "gateway-browser-"));
  const environment = {
    PATH: process.env.PATH,
    DATABASE_URL: `sqlite:${join(folder, "gateway.db")}`,
    GATEWAY_LISTEN: "127.0.0.1:0",
    ...settings,
  };
  const server = spawn(binary, ["serve", "--dev"], { cwd: folder, env: environment, stdio: ["ignore", "pipe", "pipe"] });
  const ended = once(server, "exit");
  const log = [];
  const keep = (line) => log.push(line) > LOG_MAX && log.shift();
  createInterface(server.stderr).on("line", keep);

  let stopped;
  function stop() {
    stopped ??= (async () => {
      server.kill("SIGTERM");
      await ended;
      await rm(folder, { recursive: true });
    })();
    return stopped;
  }

  try {
    return {
      url: await addressOf(server, ended, log, keep),
      /** Its folder, with the database, until it stops. */
      folder,
      /** What it has written to both outputs, line by line. */
      log,
      /** Bearer tokens of site 1. */
      operatorToken: (role, { operator = 1, ttl = "1h" } = {}) =>
        token("--operator", `${operator}`, "--role", role, "--ttl", ttl),
      moduleToken: (name) => token("--module", name),
      /** Sends SIGTERM and waits for the end; once, however often it is called. */
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }

  async function token(...bearer) {
    const arguments_ = ["token", "--site", "1", ...bearer];
    const { stdout } = await promisify(execFile)(binary, arguments_, { cwd: folder, env: environment });
    return stdout.trim();
  }
}

/** Waits for the line that names the bound address, and goes on reading so that the gateway never blocks on its output. */
function addressOf(server, ended, log, keep) {
  return new Promise((resolve, reject) => {
    createInterface(server.stdout).on("line", (line) => {
      keep(line);
      const address = /listening on (http:\/\/\S+)/.exec(line)?.[1];
      if (address) resolve(address);
    });
    const failed = (how) => reject(new Error([`the gateway ${how}:`, ...log.slice(-20)].join("\n")));
    server.on("error", (error) => failed(error.message));
    ended.then(([code, signal]) => failed(`ended with ${code ?? signal} before it was listening`));
    setTimeout(() => failed("was not listening after 30 s"), 30_000).unref();
  });
}
