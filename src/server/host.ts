import type { IncomingMessage } from 'node:http'
import { isIPv4 } from 'node:net'
import { shown } from '../errors.ts'
import type { Refusal } from './refusal.ts'

/** Looks at the host that a request was sent to; null if it may be this server. */
export type HostCheck = (req: IncomingMessage) => Refusal | null

/** The hosts that are this machine for every client. */
const LOCAL_HOSTS = ['localhost', '127.0.0.1', '[::1]']

/**
 * Any page can have its own name resolve to a loopback address once it is loaded; browsers then let it read what a server
 * there answers, as if it were the page's own. Its requests bear the page's name as their host.
 *
 * A server on any other address cannot know the names that lead to it, and takes every host.
 *
 * @param bound the address that the server listens on
 */
export function createHostCheck(bound: string): HostCheck {
  if (!isLoopback(bound)) return () => null
  const allowed = new Set([...LOCAL_HOSTS, hostOf(bound)])
  return ({ headers: { host = '' } }) => {
    if (allowed.has(host.replace(/:\d*$/, '').toLowerCase())) return null
    const message = `The host is ${shown(host)}: allowed are ${[...allowed].join(', ')}, with any port`
    return { status: 403, code: 'FORBIDDEN', message }
  }
}

function isLoopback(address: string): boolean {
  return address === 'localhost' || address === '::1' || (isIPv4(address) && address.startsWith('127.'))
}

/** An address as it stands in a URL. */
export function hostOf(address: string): string {
  return address.includes(':') ? `[${address}]` : address
}
