import { GraphiQL } from "graphiql";
import { type FormEvent, useEffect, useMemo, useState } from "react";

import { EXAMPLES } from "./examples";
import { initialToken, keepToken, readClaims } from "./token";
import { createTransport, type SocketState } from "./transport";

export function Page() {
  const [token, setToken] = useState(initialToken);
  const [socket, setSocket] = useState<SocketState>("closed");
  const transport = useMemo(() => createTransport(token, setSocket), [token]);
  useEffect(() => transport.close, [transport]);

  return (
    <>
      <TokenBar
        token={token}
        socket={socket}
        onToken={(given) => {
          keepToken(given);
          setToken(given);
        }}
      />
      <GraphiQL
        // Another token may see another schema and other data: nothing of the last one's stays.
        key={token}
        fetcher={transport.fetcher}
        // Without a token even the schema is refused.
        schema={token === "" ? null : undefined}
        schemaDescription
        inputValueDeprecation
        defaultTabs={EXAMPLES}
        // Variables may hold secrets: what the editor remembers goes when the tab is closed.
        storage={sessionStorage}
      >
        <GraphiQL.Logo>Integrations gateway</GraphiQL.Logo>
      </GraphiQL>
    </>
  );
}

interface TokenBarProps {
  token: string;
  socket: SocketState;
  onToken(token: string): void;
}

function TokenBar({ token, socket, onToken }: TokenBarProps) {
  const [draft, setDraft] = useState(token);

  function submit(event: FormEvent) {
    event.preventDefault();
    onToken(draft.trim().replace(/^Bearer\s+/i, ""));
  }

  return (
    <form className="token-bar" onSubmit={submit}>
      <label htmlFor="token">Bearer token</label>
      <input
        id="token"
        type="password"
        autoComplete="off"
        spellCheck={false}
        placeholder="integrations-gateway token --site 1 --operator 1 --role Administrator"
        value={draft}
        onChange={(event) => setDraft(event.target.value)}
      />
      <button type="submit">Use</button>
      <span className="bearer">{describe(token)}</span>
      <span className="socket" data-state={socket}>
        Socket {socket}
      </span>
    </form>
  );
}

function describe(token: string): string {
  if (token === "") return "No token: every request is refused";
  const claims = readClaims(token);
  if (!claims) return "Not a JSON Web Token";
  const parts = [claims.name ?? `${claims.kind ?? "bearer"} ${claims.sub ?? ""}`.trim()];
  if (claims.role) parts.push(claims.role);
  if (claims.site !== undefined) parts.push(`site ${claims.site}`);
  if (claims.exp) {
    const end = new Date(claims.exp * 1000);
    parts.push(end < new Date() ? "expired" : `until ${end.toLocaleString()}`);
  }
  return parts.join(" · ");
}
