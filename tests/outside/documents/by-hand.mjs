/**
 * Documents by hand, grouped by the rule of the specification that they are about, each with its verdict:
 * `valid`, `invalid` (it parses, and breaks a rule of section 5) or `parse` (it breaks section 2 of the grammar).
 * No literal stands where a `Secret` is expected: the gateway refuses these by a rule of its own.
 */

import selections from "./selections.mjs";
import syntax from "./syntax.mjs";
import values from "./values.mjs";

export const byHand = Object.entries({ ...syntax, ...selections, ...values }).flatMap(([section, verdicts]) =>
  Object.entries(verdicts).flatMap(([verdict, documents]) =>
    documents.map((document) => ({ section, verdict, document })),
  ),
);
