/** Chromium, as Debian packages it, without the errands that it runs for itself. */

import { chromium } from "playwright-core";

export function launchBrowser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      // No name leads anywhere: a page that asks another host fails here as it would behind a closed network.
      "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ],
  });
}

/**
 * A page, and what it did that nobody sees: the requests it sent, what it complained of, and the frames of its sockets.
 */
export async function watchedPage(browser) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, permissions: ["clipboard-read", "clipboard-write"] });
  const page = await context.newPage();
  const seen = { requests: [], complaints: [], sent: [], received: [] };
  context.on("request", (request) => seen.requests.push(request.url()));
  page.on("console", (message) => {
    if (message.type() === "error") seen.complaints.push(`${message.text()} (${message.location().url})`);
  });
  page.on("pageerror", (error) => seen.complaints.push(String(error)));
  page.on("websocket", (socket) => {
    seen.requests.push(socket.url());
    socket.on("framesent", ({ payload }) => seen.sent.push(JSON.parse(payload)));
    socket.on("framereceived", ({ payload }) => seen.received.push(JSON.parse(payload)));
  });
  return { page, seen };
}

/** The hosts, with their ports, that `requests` went to. What a page made itself (`blob:`, `data:`) went nowhere. */
export function hostsOf(requests) {
  const remote = requests.map((address) => new URL(address)).filter(({ protocol }) => /^(https?|wss?):$/.test(protocol));
  return [...new Set(remote.map(({ host }) => host))];
}
