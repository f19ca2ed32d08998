/**
 * @generated SignedSource<<72f3653d4ae849ccff69d61514d49fd8>>
 * @lightSyntaxTransform
 */

/* tslint:disable */
/* eslint-disable */
// @ts-nocheck

import type { ReaderFragment } from 'relay-runtime';
export type RunStatus = "CANCELLED" | "COMPLETED" | "FAILED" | "PAUSED" | "QUEUED" | "RUNNING" | "%future added value";
export type StepStatus = "CANCELLED" | "COMPLETED" | "FAILED" | "PAUSED" | "RETRYING" | "RUNNING" | "SKIPPED" | "%future added value";
import type { FragmentRefs } from "relay-runtime";
export type RunPage_run$data = {
  readonly lastCursor: string;
  readonly runId: string;
  readonly status: RunStatus;
  readonly steps: ReadonlyArray<{
    readonly id: string;
    readonly outputPreview: string | null | undefined;
    readonly path: string;
    readonly status: StepStatus;
  }>;
  readonly workflowName: string;
  readonly " $fragmentType": "RunPage_run";
};
export type RunPage_run$key = {
  readonly " $data"?: RunPage_run$data;
  readonly " $fragmentSpreads": FragmentRefs<"RunPage_run">;
};

const node: ReaderFragment = (function(){
var v0 = {
  "alias": null,
  "args": null,
  "kind": "ScalarField",
  "name": "status",
  "storageKey": null
};
return {
  "argumentDefinitions": [],
  "kind": "Fragment",
  "metadata": null,
  "name": "RunPage_run",
  "selections": [
    {
      "alias": null,
      "args": null,
      "kind": "ScalarField",
      "name": "runId",
      "storageKey": null
    },
    (v0/*:: as any*/),
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
        {
          "alias": null,
          "args": null,
          "kind": "ScalarField",
          "name": "id",
          "storageKey": null
        },
        {
          "alias": null,
          "args": null,
          "kind": "ScalarField",
          "name": "path",
          "storageKey": null
        },
        (v0/*:: as any*/),
        {
          "alias": null,
          "args": null,
          "kind": "ScalarField",
          "name": "outputPreview",
          "storageKey": null
        }
      ],
      "storageKey": null
    }
  ],
  "type": "Run",
  "abstractKey": null
};
})();

(node as any).hash = "df08dee8a8c41ba66944e0615767d82d";

export default node;
