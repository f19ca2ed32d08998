import { buildSchema, introspectionFromSchema } from 'graphql'
import { defineConfig, type Plugin } from 'vite'

/** Makes of a schema, which caches cannot read, its introspection, which they can. */
function introspections(): Plugin {
  return {
    name: 'introspections',
    transform(code, id) {
      if (!id.endsWith('.graphql')) return undefined
      const introspection = introspectionFromSchema(buildSchema(code), { descriptions: false })
      return { code: `export const introspection = ${JSON.stringify(introspection)}`, map: null }
    },
  }
}

/** Puts what relay-compiler has made of a `graphql` tag in the place of the tag. */
function relayArtifacts(): Plugin {
  return {
    name: 'relay-artifacts',
    enforce: 'pre',
    transform(code, id) {
      if (!/\/relay\/\w+\.tsx?$/.test(id)) return undefined
      const imports: string[] = []
      const replaced = code.replace(/graphql`\s*\w+ (\w+)[^`]*`/g, (_tag, name: string) => {
        // Types of the same name may be imported as well.
        const compiled = `compiled${name}`
        imports.push(`import ${compiled} from './__generated__/${name}.graphql.ts'\n`)
        return compiled
      })
      return { code: imports.join('') + replaced, map: null }
    },
  }
}

// The pages ask the server that they come from: here that is Vite, which asks the one of `npm start`.
export default defineConfig({
  root: import.meta.dirname,
  plugins: [introspections(), relayArtifacts()],
  // The schema is not among the pages.
  server: { fs: { allow: ['../..'] }, proxy: { '/graphql': { target: 'http://127.0.0.1:4000', ws: true } } },
})
