import type { Builder } from './builder.ts'

/** Adds `Viewer` and the query for it. */
export function addViewer(builder: Builder): void {
  builder.objectType('Viewer', {
    description: 'On whose behalf the operation runs.',
    fields: (t) => ({
      userId: t.exposeString('userId', {
        nullable: true,
        description: 'The authenticated person or service; null where nobody was asked.',
      }),
      scopes: t.exposeStringList('scopes', { description: 'What the viewer may do; `*` stands for everything.' }),
    }),
  })
  builder.queryField('viewer', (t) =>
    t.field({
      type: 'Viewer',
      description: 'On whose behalf the operation runs.',
      resolve: (_root, _args, { viewer }) => viewer,
    }),
  )
}
