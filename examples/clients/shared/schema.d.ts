declare module '*.graphql' {
  import type { IntrospectionQuery } from 'graphql'
  /** A schema as caches read it. */
  export const introspection: IntrospectionQuery
}
