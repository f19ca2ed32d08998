import { uuidv7 } from 'uuidv7'

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** A new UUIDv7 (RFC 9562): unique everywhere, and later ones sort after earlier ones made by the same process. */
export function newId(): string {
  return uuidv7()
}

/** True for a UUID in its canonical, lower-case form: the only form in which Kern hands ids out. */
export function isUuid(text: string): boolean {
  return UUID.test(text)
}
