/** What documents by hand are put together from. */

/** A document within the selection of a connection record. */
export const record = (selection) => `{ connection(id: "x") { ${selection} } }`;
/** A dispatch with these further fields of input, under a header with these variables. */
export const dispatch = (fields, variables = "") =>
  `mutation ${variables} { dispatchEvent(input: { connectionId: "c", eventType: "a.b", eventIdentifier: "1", ${fields} }) { __typename } }`;
/** A list under this filter, and a header with these variables. */
export const filtered = (filter, variables = "") =>
  `query ${variables} { connections(filter: ${filter}) { totalCount } }`;
/** A literal of lists in lists. */
export const list = (levels) => `${"[".repeat(levels)}1${"]".repeat(levels)}`;
