import postgresClient from 'postgres'
import { inject, onTestFinished } from 'vitest'
import { postgres } from '../../src/config.ts'
import type { Place } from '../support/places.ts'

/** A Postgres database that is kept if the test fails, under a name that the error output tells. */
export async function keptPostgres(
  how: string,
): Promise<Place & { /** Says that it need not be kept. */ sound(): void }> {
  const { url: server, template } = inject('postgres')
  const name = `kern_faults_${Date.now()}_${process.pid}`
  const admin = async (statement: string): Promise<void> => {
    const client = postgresClient(server, { max: 1, onnotice: () => {} })
    try {
      await client.unsafe(statement)
    } finally {
      await client.end({ timeout: 5 })
    }
  }
  await admin(`create database ${name} template ${template}`)
  const url = new URL(server)
  url.pathname = `/${name}`
  let sound = false
  onTestFinished(async () => {
    if (sound) await admin(`drop database if exists ${name} with (force)`)
    else
      process.stderr.write(
        `what went wrong with ${how} is in the database ${name}; drop it when it is no longer needed\n`,
      )
  })
  return {
    url: postgres(url.href),
    text: url.href,
    image: null,
    sound() {
      sound = true
    },
  }
}
