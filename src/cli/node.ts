/** The oldest Node that Kern runs on: from it on, Node runs TypeScript. The same as `engines` in package.json. */
const OLDEST = { major: 22, minor: 18 }

/** Why Kern does not run on this version of Node, such as `22.17.1`; null if it does. */
export function nodeRefusal(version: string): string | null {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major > OLDEST.major || (major === OLDEST.major && minor >= OLDEST.minor)) return null
  return `this is Node ${version}: Kern needs Node ${OLDEST.major}.${OLDEST.minor} or later`
}
