/**
 * The bearer token that every request carries.
 *
 * It is kept for this browser tab only. A link may bring it as `#token=...`: what stands behind `#` is sent to no
 * server, and it leaves the address bar before anything else happens.
 */

const KEY = "integrations-gateway:token";

/** The token of the address if it brought one, of this tab otherwise; empty where there is none. */
export function initialToken(): string {
  const brought = new URLSearchParams(location.hash.slice(1)).get("token")?.trim();
  if (brought === undefined) return sessionStorage.getItem(KEY) ?? "";
  history.replaceState(null, "", location.pathname + location.search);
  keepToken(brought);
  return brought;
}

export function keepToken(token: string): void {
  sessionStorage.setItem(KEY, token);
}

/** What the token says of its bearer. Only the gateway knows whether it is valid. */
export interface Claims {
  sub?: string;
  name?: string;
  site?: number;
  kind?: string;
  role?: string;
  exp?: number;
}

/** Reads the claims without checking the signature; undefined where the text is no token. */
export function readClaims(token: string): Claims | undefined {
  const payload = token.split(".")[1];
  if (!payload) return undefined;
  try {
    const bytes = Uint8Array.from(atob(payload.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
    const claims: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return typeof claims === "object" && claims !== null ? (claims as Claims) : undefined;
  } catch {
    return undefined;
  }
}
