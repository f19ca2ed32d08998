/**
 * @generated SignedSource<<8b99fe0c3606201ecf65d99d8dd268f5>>
 * @lightSyntaxTransform
 */

/* tslint:disable */
/* eslint-disable */
// @ts-nocheck

import type { ConcreteRequest } from 'relay-runtime';
export type RunChangeKind = "CHANGED" | "ENTERED" | "LEFT" | "%future added value";
export type RunStatus = "CANCELLED" | "COMPLETED" | "FAILED" | "PAUSED" | "QUEUED" | "RUNNING" | "%future added value";
export type RunFilter = {
  createdAt?: DateTimeRange | null | undefined;
  retryOf?: string | null | undefined;
  sessionId?: string | null | undefined;
  statuses?: ReadonlyArray<RunStatus> | null | undefined;
  tags?: ReadonlyArray<string> | null | undefined;
  workflowId?: string | null | undefined;
};
export type DateTimeRange = {
  from?: string | null | undefined;
  to?: string | null | undefined;
};
export type RunListWatchSubscription$variables = {
  filter: RunFilter;
};
export type RunListWatchSubscription$data = {
  readonly runChanged: {
    readonly kind: RunChangeKind;
    readonly nodeId: string;
    readonly run: {
      readonly runId: string;
      readonly status: RunStatus;
      readonly workflowName: string;
    } | null | undefined;
  };
};
export type RunListWatchSubscription = {
  response: RunListWatchSubscription$data;
  variables: RunListWatchSubscription$variables;
};

const node: ConcreteRequest = (function(){
var v0 = [
  {
    "defaultValue": null,
    "kind": "LocalArgument",
    "name": "filter"
  }
],
v1 = [
  {
    "kind": "Variable",
    "name": "filter",
    "variableName": "filter"
  }
],
v2 = {
  "alias": null,
  "args": null,
  "kind": "ScalarField",
  "name": "kind",
  "storageKey": null
},
v3 = {
  "alias": null,
  "args": null,
  "kind": "ScalarField",
  "name": "nodeId",
  "storageKey": null
},
v4 = {
  "alias": null,
  "args": null,
  "kind": "ScalarField",
  "name": "runId",
  "storageKey": null
},
v5 = {
  "alias": null,
  "args": null,
  "kind": "ScalarField",
  "name": "status",
  "storageKey": null
},
v6 = {
  "alias": null,
  "args": null,
  "kind": "ScalarField",
  "name": "workflowName",
  "storageKey": null
};
return {
  "fragment": {
    "argumentDefinitions": (v0/*:: as any*/),
    "kind": "Fragment",
    "metadata": null,
    "name": "RunListWatchSubscription",
    "selections": [
      {
        "alias": null,
        "args": (v1/*:: as any*/),
        "concreteType": "RunChange",
        "kind": "LinkedField",
        "name": "runChanged",
        "plural": false,
        "selections": [
          (v2/*:: as any*/),
          (v3/*:: as any*/),
          {
            "alias": null,
            "args": null,
            "concreteType": "Run",
            "kind": "LinkedField",
            "name": "run",
            "plural": false,
            "selections": [
              (v4/*:: as any*/),
              (v5/*:: as any*/),
              (v6/*:: as any*/)
            ],
            "storageKey": null
          }
        ],
        "storageKey": null
      }
    ],
    "type": "Subscription",
    "abstractKey": null
  },
  "kind": "Request",
  "operation": {
    "argumentDefinitions": (v0/*:: as any*/),
    "kind": "Operation",
    "name": "RunListWatchSubscription",
    "selections": [
      {
        "alias": null,
        "args": (v1/*:: as any*/),
        "concreteType": "RunChange",
        "kind": "LinkedField",
        "name": "runChanged",
        "plural": false,
        "selections": [
          (v2/*:: as any*/),
          (v3/*:: as any*/),
          {
            "alias": null,
            "args": null,
            "concreteType": "Run",
            "kind": "LinkedField",
            "name": "run",
            "plural": false,
            "selections": [
              (v4/*:: as any*/),
              (v5/*:: as any*/),
              (v6/*:: as any*/),
              {
                "alias": null,
                "args": null,
                "kind": "ScalarField",
                "name": "id",
                "storageKey": null
              }
            ],
            "storageKey": null
          }
        ],
        "storageKey": null
      }
    ]
  },
  "params": {
    "cacheID": "50bb7e04f01b52848c9e6e20207c28bf",
    "id": null,
    "metadata": {},
    "name": "RunListWatchSubscription",
    "operationKind": "subscription",
    "text": "subscription RunListWatchSubscription(\n  $filter: RunFilter!\n) {\n  runChanged(filter: $filter) {\n    kind\n    nodeId\n    run {\n      runId\n      status\n      workflowName\n      id\n    }\n  }\n}\n"
  }
};
})();

(node as any).hash = "c6744b17023d18654473dbe4d755a208";

export default node;
