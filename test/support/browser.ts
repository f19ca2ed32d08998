import { existsSync } from 'node:fs'
import { type Browser, chromium, type Page } from 'playwright-core'

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

/** Where Chromium is: as CHROMIUM says, else where systems put it; null if it is nowhere. */
export function findChromium(): string | null {
  const given = process.env['CHROMIUM']
  if (given !== undefined) return existsSync(given) ? given : null
  return PLACES.find((path) => existsSync(path)) ?? null
}

/** A browser without a window that asks nobody for anything by itself. */
export async function startBrowser(executablePath: string): Promise<Browser> {
  const args = [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ]
  return await chromium.launch({ executablePath, args })
}

/** Notes down every request and every WebSocket of a page, whether it succeeds or not. */
export function recordRequests(page: Page): string[] {
  const urls: string[] = []
  page.on('request', (request) => urls.push(request.url()))
  page.on('websocket', (socket) => urls.push(socket.url()))
  return urls
}
