/**
 * @generated SignedSource<<76c1c3dcc9d9fc2561a05ee75869b5d4>>
 * @lightSyntaxTransform
 */

/* tslint:disable */
/* eslint-disable */
// @ts-nocheck

import type { ConcreteRequest } from 'relay-runtime';
import type { FragmentRefs } from "relay-runtime";
export type RunEventType = "CUSTOM" | "LOG" | "RUN_CANCELLED" | "RUN_COMPLETED" | "RUN_FAILED" | "RUN_PAUSED" | "RUN_QUEUED" | "RUN_RESUMED" | "RUN_STARTED" | "STATE_CHANGED" | "STEP_CANCELLED" | "STEP_COMPLETED" | "STEP_FAILED" | "STEP_PAUSED" | "STEP_PROGRESS" | "STEP_RETRYING" | "STEP_SKIPPED" | "STEP_STARTED" | "%future added value";
export type RunPageFollowSubscription$variables = {
  after?: string | null | undefined;
  runId: string;
};
export type RunPageFollowSubscription$data = {
  readonly runEvents: {
    readonly cursor: string;
    readonly run: {
      readonly " $fragmentSpreads": FragmentRefs<"RunPage_run">;
    };
    readonly seq: number;
    readonly type: RunEventType;
  };
};
export type RunPageFollowSubscription = {
  response: RunPageFollowSubscription$data;
  variables: RunPageFollowSubscription$variables;
};

const node: ConcreteRequest = (function(){
var v0 = {
  "defaultValue": null,
  "kind": "LocalArgument",
  "name": "after"
},
v1 = {
  "defaultValue": null,
  "kind": "LocalArgument",
  "name": "runId"
},
v2 = [
  {
    "kind": "Variable",
    "name": "after",
    "variableName": "after"
  },
  {
    "kind": "Variable",
    "name": "runId",
    "variableName": "runId"
  }
],
v3 = {
  "alias": null,
  "args": null,
  "kind": "ScalarField",
  "name": "cursor",
  "storageKey": null
},
v4 = {
  "alias": null,
  "args": null,
  "kind": "ScalarField",
  "name": "seq",
  "storageKey": null
},
v5 = {
  "alias": null,
  "args": null,
  "kind": "ScalarField",
  "name": "type",
  "storageKey": null
},
v6 = {
  "alias": null,
  "args": null,
  "kind": "ScalarField",
  "name": "status",
  "storageKey": null
},
v7 = {
  "alias": null,
  "args": null,
  "kind": "ScalarField",
  "name": "id",
  "storageKey": null
};
return {
  "fragment": {
    "argumentDefinitions": [
      (v0/*:: as any*/),
      (v1/*:: as any*/)
    ],
    "kind": "Fragment",
    "metadata": null,
    "name": "RunPageFollowSubscription",
    "selections": [
      {
        "alias": null,
        "args": (v2/*:: as any*/),
        "concreteType": "RunEvent",
        "kind": "LinkedField",
        "name": "runEvents",
        "plural": false,
        "selections": [
          (v3/*:: as any*/),
          (v4/*:: as any*/),
          (v5/*:: as any*/),
          {
            "alias": null,
            "args": null,
            "concreteType": "Run",
            "kind": "LinkedField",
            "name": "run",
            "plural": false,
            "selections": [
              {
                "args": null,
                "kind": "FragmentSpread",
                "name": "RunPage_run"
              }
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
    "argumentDefinitions": [
      (v1/*:: as any*/),
      (v0/*:: as any*/)
    ],
    "kind": "Operation",
    "name": "RunPageFollowSubscription",
    "selections": [
      {
        "alias": null,
        "args": (v2/*:: as any*/),
        "concreteType": "RunEvent",
        "kind": "LinkedField",
        "name": "runEvents",
        "plural": false,
        "selections": [
          (v3/*:: as any*/),
          (v4/*:: as any*/),
          (v5/*:: as any*/),
          {
            "alias": null,
            "args": null,
            "concreteType": "Run",
            "kind": "LinkedField",
            "name": "run",
            "plural": false,
            "selections": [
              {
                "alias": null,
                "args": null,
                "kind": "ScalarField",
                "name": "runId",
                "storageKey": null
              },
              (v6/*:: as any*/),
              {
                "alias": null,
                "args": null,
                "kind": "ScalarField",
                "name": "workflowName",
                "storageKey": null
              },
              {
                "alias": null,
                "args": null,
                "kind": "ScalarField",
                "name": "lastCursor",
                "storageKey": null
              },
              {
                "alias": null,
                "args": null,
                "concreteType": "StepResult",
                "kind": "LinkedField",
                "name": "steps",
                "plural": true,
                "selections": [
                  (v7/*:: as any*/),
                  {
                    "alias": null,
                    "args": null,
                    "kind": "ScalarField",
                    "name": "path",
                    "storageKey": null
                  },
                  (v6/*:: as any*/),
                  {
                    "alias": null,
                    "args": null,
                    "kind": "ScalarField",
                    "name": "outputPreview",
                    "storageKey": null
                  }
                ],
                "storageKey": null
              },
              (v7/*:: as any*/)
            ],
            "storageKey": null
          },
          (v7/*:: as any*/)
        ],
        "storageKey": null
      }
    ]
  },
  "params": {
    "cacheID": "f3fef48b6ae93e5ceed7bdff8198ed8f",
    "id": null,
    "metadata": {},
    "name": "RunPageFollowSubscription",
    "operationKind": "subscription",
    "text": "subscription RunPageFollowSubscription(\n  $runId: ID!\n  $after: String\n) {\n  runEvents(runId: $runId, after: $after) {\n    cursor\n    seq\n    type\n    run {\n      ...RunPage_run\n      id\n    }\n    id\n  }\n}\n\nfragment RunPage_run on Run {\n  runId\n  status\n  workflowName\n  lastCursor\n  steps {\n    id\n    path\n    status\n    outputPreview\n  }\n}\n"
  }
};
})();

(node as any).hash = "1ecab8f2cac7c225fb3d0afe331d2b3a";

export default node;
