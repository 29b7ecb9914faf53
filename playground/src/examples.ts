/** The tabs that a newcomer finds open. */

export const EXAMPLES: { query: string; variables?: string }[] = [
  {
    query: `# Who am I, and what may I do here? Ctrl-Enter runs it.
query Viewer {
  viewer {
    kind
    role
    siteId
    capabilities
  }
}
`,
  },
  {
    query: `# The connections of this site.
query Connections {
  connections(first: 20) {
    totalCount
    nodes {
      id
      displayName
      state
      stateReason
      connector {
        slug
      }
    }
  }
}
`,
  },
  {
    query: `# Stays open, and shows each delivery attempt as it is logged.
subscription DeliveryLog {
  deliveryLogged {
    occurredAt
    entry {
      connectionName
      eventType
      attempt
      outcome
      vendorResponseCode
      latencyMs
    }
  }
}
`,
  },
];
