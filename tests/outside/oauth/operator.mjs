/**
 * An operator's browser without script: it keeps cookies by site and path, follows redirects and links, and fills forms
 * in. Names lead where the test says.
 */

import assert from "node:assert/strict";
import { once } from "node:events";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";

const REDIRECTS_MAX = 10;

export class Browser {
  #cookies = [];
  #places;

  /** `places`: for each host its port on loopback, and the certificate where it speaks TLS itself. */
  constructor(places) {
    this.#places = places;
  }

  /** A browser that holds the same cookies, and goes its own way from here. */
  copy() {
    const copy = new Browser(this.#places);
    copy.#cookies = [...this.#cookies];
    return copy;
  }

  /** Opens an address and goes on until a page, or an address that begins with `until` and is then not opened. */
  async open(address, { form, until } = {}) {
    let url = new URL(address);
    for (let redirects = 0; redirects <= REDIRECTS_MAX; redirects++) {
      if (until && url.href.startsWith(until)) return { url, left: true };
      const { statusCode: status, headers, text } = await this.#send(url, form);
      if (status < 300 || status >= 400) return { url, status, text };
      url = new URL(headers.location, url);
      form = undefined;
    }
    throw new Error(`more than ${REDIRECTS_MAX} redirects`);
  }

  /** Sends the page's form, with `values` where it asks for them. */
  submit(page, values, options) {
    const action = /<form[^>]* action="([^"]+)"/.exec(page.text)?.[1];
    assert.ok(action, `a page without a form: ${page.url.pathname} answers ${page.status}`);
    const form = new URLSearchParams();
    for (const [input] of page.text.matchAll(/<input[^>]*>/g)) {
      const name = /name="([^"]+)"/.exec(input)[1];
      form.set(name, values[name] ?? /value="([^"]*)"/.exec(input)?.[1] ?? "");
    }
    return this.open(new URL(unescaped(action), page.url), { ...options, form });
  }

  async #send(url, form) {
    const place = this.#places[url.hostname];
    assert.ok(place, `nothing leads to ${url.hostname}`);
    const headers = { Host: url.host };
    const cookie = this.#cookies.filter((one) => one.host === url.hostname && isWithin(url.pathname, one.path));
    if (cookie.length) headers.Cookie = cookie.map(({ name, value }) => `${name}=${value}`).join("; ");
    if (form) headers["Content-Type"] = "application/x-www-form-urlencoded";
    const target = { host: "127.0.0.1", port: place.port, path: url.pathname + url.search };
    const how = { ...target, method: form ? "POST" : "GET", headers, timeout: 10_000 };
    const sending = place.ca ? httpsRequest({ ...how, ca: place.ca, servername: url.hostname }) : httpRequest(how);
    sending.on("timeout", () => sending.destroy(new Error(`${url.pathname} did not answer in 10 s`)));
    sending.end(form?.toString());
    const [response] = await once(sending, "response");
    const text = (await response.toArray()).join("");
    for (const line of response.headers["set-cookie"] ?? []) this.#keep(url, line);
    return { statusCode: response.statusCode, headers: response.headers, text };
  }

  #keep(url, line) {
    const [pair, ...attributes] = line.split(";").map((part) => part.trim());
    const [name, value] = [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)];
    const told = new Map(attributes.map((one) => one.split("=")).map(([key, text]) => [key.toLowerCase(), text]));
    const path = told.get("path") ?? "/";
    const same = (one) => one.host === url.hostname && one.name === name && one.path === path;
    this.#cookies = this.#cookies.filter((one) => !same(one));
    const gone = told.get("max-age") === "0" || Date.parse(told.get("expires") ?? "") <= Date.now();
    if (!gone) this.#cookies.push({ host: url.hostname, path, name, value });
  }
}

/** Where the link of a page with this class leads. */
export function linkOf(page, name) {
  const href = new RegExp(`<a class="${name}" href="([^"]+)"`).exec(page.text)?.[1];
  assert.ok(href, `a page without such a link: ${page.url.pathname} answers ${page.status}`);
  return unescaped(href);
}

/** RFC 6265, 5.1.4. */
function isWithin(path, folder) {
  return path === folder || path.startsWith(folder.endsWith("/") ? folder : `${folder}/`);
}

function unescaped(text) {
  const entities = { "&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'" };
  return text.replace(/&(?:amp|lt|gt|quot|#39);/g, (entity) => entities[entity]);
}
