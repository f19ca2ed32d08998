import type { Commands } from '../api.ts'
import { createCancelCommand } from './cancelCommand.ts'
import type { CommandDeps } from './commandDeps.ts'
import { createResumeCommand } from './resumeCommand.ts'
import { createRetryCommand } from './retryCommand.ts'
import { createRunCommand } from './runCommand.ts'
import { createSessionCommands } from './sessionCommands.ts'

export function createCommands(deps: CommandDeps): Commands {
  return {
    ...createSessionCommands(deps),
    runWorkflow: createRunCommand(deps),
    cancelRun: createCancelCommand(deps),
    resumeRun: createResumeCommand(deps),
    retryRun: createRetryCommand(deps),
  }
}
