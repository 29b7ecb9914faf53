import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";

import { hostsOf, launchBrowser, watchedPage } from "./browser.mjs";
import { repository, startGateway } from "./gateway.mjs";
import { connectInbox, dispatchEvent } from "./tour.mjs";

const WAIT = { timeout: 20_000 };

let gateway;
let browser;

before(async () => {
  gateway = await startGateway();
  browser = await launchBrowser();
});

after(async () => {
  await browser?.close();
  await gateway?.stop();
});

/** Pastes `operation` over what the editor holds (typing would meet its completion), and runs it. */
async function run(page, operation) {
  const editor = page.locator(".graphiql-query-editor .monaco-editor").first();
  await editor.waitFor(WAIT);
  await editor.click();
  await page.evaluate((text) => navigator.clipboard.writeText(text), operation);
  await page.keyboard.press("Control+A");
  await page.keyboard.press("Control+V");
  await page.locator(".graphiql-execute-button").click();
}

/** Runs the example of a tab once the editor shows it, which it does when it holds `word`. */
async function runExample(page, tab, word) {
  await page.getByRole("button", { name: tab, exact: true }).click(WAIT);
  await page.locator(".graphiql-query-editor .view-lines").filter({ hasText: word }).waitFor(WAIT);
  await page.locator(".graphiql-execute-button").click();
}

/** Waits until the pane of answers holds `text`. */
async function answered(page, text) {
  const pane = page.locator(".result-window .view-lines");
  try {
    await pane.filter({ hasText: text }).waitFor(WAIT);
  } catch (cause) {
    throw new Error(`the answer never held "${text}"; it is: ${await pane.innerText()}`, { cause });
  }
}

/** Waits until the explorer lists the schema's root types, as it does once the page has introspected it. */
async function showsSchema(page) {
  await page.getByRole("button", { name: "Show Documentation Explorer" }).click(WAIT);
  await page.locator(".graphiql-doc-explorer-content").filter({ hasText: "Subscription" }).waitFor(WAIT);
}

/** Whether `locator` shows something within a second. */
function appears(locator) {
  return locator.waitFor({ timeout: 1000 }).then(() => true, () => false);
}

test("a newcomer asks who they are and sees a delivery come in, and the page calls no other host", async () => {
  const { page, seen } = await watchedPage(browser);
  const token = await gateway.operatorToken("Administrator");
  const response = await page.goto(`${gateway.url}/playground#token=${token}`);
  assert.match(response.headers()["content-security-policy"], /script-src 'self';/);

  await page.getByText("Administrator · site 1").waitFor(WAIT);
  assert.equal(page.url(), `${gateway.url}/playground/`, "the token has left the address");
  await showsSchema(page);

  await run(page, "{ viewer { role } }");
  await answered(page, "Administrator");

  const connection = await connectInbox(gateway);
  await run(page, "subscription { deliveryLogged { entry { eventIdentifier outcome } } }");
  await page.getByText("Socket open").waitFor(WAIT);
  // The protocol has no word for "subscribed": an event that comes too soon is not seen, and the next one is.
  const delivered = page.locator(".result-window .view-lines").filter({ hasText: "seen-in-the-browser" });
  let dispatched = 0;
  do {
    await dispatchEvent(gateway, connection, `seen-in-the-browser-${++dispatched}`);
  } while (dispatched < 10 && !(await appears(delivered)));
  await answered(page, "DELIVERED");
  const screenshot = join(repository, "target/playground.png");
  await mkdir(dirname(screenshot), { recursive: true });
  await page.screenshot({ path: screenshot });

  assert.deepEqual(seen.sent[0], { type: "connection_init", payload: { Authorization: `Bearer ${token}` } });
  const received = new Set(seen.received.map(({ type }) => type).filter((type) => type !== "ping" && type !== "pong"));
  assert.deepEqual([...received], ["connection_ack", "next"], "the subscription is still open");

  await page.getByRole("button", { name: "Stop query" }).click();
  await page.getByText("Socket closed").waitFor(WAIT);

  assert.deepEqual(hostsOf(seen.requests), [new URL(gateway.url).host]);
  assert.deepEqual(seen.complaints, []);
  const kept = await page.evaluate(() => JSON.stringify({ ...localStorage }));
  assert.ok(!kept.includes(token), "the token does not outlive the tab");
  await page.context().close();
});

test("the examples that the page opens with are valid, and run", async () => {
  const { page, seen } = await watchedPage(browser);
  await page.goto(`${gateway.url}/playground/#token=${await gateway.operatorToken("Administrator")}`);
  await runExample(page, "Viewer", "siteId");
  await answered(page, "capabilities");
  await runExample(page, "Connections", "displayName");
  await answered(page, "totalCount");
  await runExample(page, "DeliveryLog", "latencyMs");
  await page.getByText("Socket open").waitFor(WAIT);
  assert.deepEqual(seen.complaints, []);
  await page.context().close();
});

test("a token that the gateway refuses is shown as such, and a good one mends it", async () => {
  const { page } = await watchedPage(browser);
  await page.goto(`${gateway.url}/playground/`);
  await page.getByText("No token").waitFor(WAIT);

  await page.getByLabel("Bearer token").fill("no.good.token");
  await page.getByRole("button", { name: "Use", exact: true }).click();
  await run(page, "{ viewer { role } }");
  await answered(page, "UNAUTHENTICATED");

  await page.getByLabel("Bearer token").fill(await gateway.operatorToken("Viewer"));
  await page.getByRole("button", { name: "Use", exact: true }).click();
  await run(page, "{ viewer { role } }");
  await answered(page, "Viewer");
  await showsSchema(page);
  await page.context().close();
});
