/**
 * Where the gateway and graphql-js differ by decision: the reason, and whether it `applies` to a judged document (its
 * `document`, graphql-js's `verdict` and the `gateway`'s).
 */
export const decisions = [
  {
    reason: "introspection answers as the specification of October 2021 says, which has no @oneOf; no input of the schema is one",
    applies: ({ document, verdict, gateway }) =>
      document.includes("isOneOf") && verdict === "valid" && gateway === "invalid",
  },
];
