import type { RunSetChange } from '../src/engine/api.ts'
import type { Builder } from './builder.ts'
import { runFilter } from './filters.ts'
import { encodeGlobalId } from './globalId.ts'

/** Adds `RunChange` and the subscription to it. */
export function addRunChange(builder: Builder): void {
  builder.enumType('RunChangeKind', {
    description: 'What has become of a run in a list of runs.',
    values: {
      ENTERED: {
        description: 'The filter finds it now: put it where the order of the list says, and count one more.',
      },
      CHANGED: {
        description:
          'The filter finds it still, and the run has changed. It stays where it is, unless the list is by DURATION.',
      },
      LEFT: { description: 'The filter does not find it any more: take it out of the list, and count one less.' },
    } satisfies Record<RunSetChange['kind'], object>,
  })
  builder.objectType('RunChange', {
    description: 'A run that has changed, or is new, or is gone, as a list that a filter makes sees it.',
    fields: (t) => ({
      kind: t.expose('kind', { type: 'RunChangeKind', description: 'What has become of the run in the list.' }),
      runId: t.exposeID('runId', { description: 'The `runId` of the run.' }),
      nodeId: t.id({
        description: 'The `id` of the run, also where the run is gone: by it caches find what they have of it.',
        resolve: ({ runId }) => encodeGlobalId('Run', runId),
      }),
      run: t.field({
        type: 'Run',
        nullable: true,
        description: 'The run as of this change, or newer; null if it was deleted.',
        resolve: ({ run }) => run,
      }),
    }),
  })
  builder.subscriptionField('runChanged', (t) =>
    t.field({
      type: 'RunChange',
      description:
        'What changes from now on in the list of runs that the filter finds, so that a page which shows it stays right ' +
        'without being fetched again: subscribe, then fetch the page, and do with it what each change says. A run that ' +
        'ENTERED and is on the page already, or LEFT and is not, was counted by the page. Of each run only the newest ' +
        'state is given, at most ten times a second, so changes in between may be left out. That a run is deleted ' +
        'which has been over for more than a few seconds is not told. Never ends.',
      args: { filter: t.arg({ type: 'RunFilter', description: 'Which runs. Null: all.' }) },
      subscribe: (_root, { filter }, { streams, viewer }) =>
        // What nothing can match is refused nowhere: nothing ever changes in it.
        streams.runs(viewer, { filter: runFilter(filter) ?? { statuses: [] } }),
      resolve: (change) => change,
    }),
  )
}
