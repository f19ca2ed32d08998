import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'

/*
 * What tests of another engine of workflows with sessions ask of that one, and the tests that hold Kern to it. `>` names
 * a file and one of its titles, `-` says why there is none, or where Kern's rule is another.
 *
 * Sessions
 * a run makes the session with the default state; the default is not changed; nothing else is in the state
 *   > engine/referenceRuns.test.ts: a run makes its session with the default state, which stays as it was, and with nothing else in it
 * two sessions of a workflow have states apart; the first one finds its own again
 *   > engine/state.test.ts: goes on from where the last run of the session left it, and is apart in each session
 * what step 1 changes in the state is seen in step 2, and stored
 *   > engine/state.test.ts: replaces, deletes and merges, and gives a function the state as changed so far
 * a name that is set is read again
 *   > engine/sessions.test.ts: is set by hand, or made from the description and the time in the zone of the server
 *   - there is no session of an instance: every call names its session
 * the state is read and updated, which adds keys and keeps others
 *   > engine/sessions.test.ts: patches the state, replaces metadata and tags, and leaves alone what is left out
 * a deleted session reads back as null
 *   > engine/sessions.test.ts: is refused while a run is not over, and then removes the session with all its rows
 *   - there are no calls that do not wait for the database
 * functions of conditions and routers read the state, or take no notice of it
 *   > engine/kinds/condition.test.ts: may say so later, and knows input, state, earlier outputs and the run, but can change nothing
 *   > engine/kinds/router.test.ts: may select later, by its input, the state and what came before it
 *   - they do not write it: a decision is recorded once, and has no other effect
 * values with dates are stored and read
 *   > engine/values.test.ts: is read back as it was given, wherever it is stored
 *   > engine/state.test.ts: refuses %s
 *   - a Date is no JSON: it is refused by name, and never turned into text in silence
 * of three runs the last n are history: none for 0, two for 2
 *   > engine/referenceRuns.test.ts: the history of no run is empty, and of two of three runs the last two, oldest first
 * limits of messages, system messages, messages of members
 *   - a session holds runs with their steps and no messages; there are no members
 *
 * Names and lists
 * the name, else the first input as text or JSON, else that the session is new
 *   > engine/sessions.test.ts: is shown as the name, else the first run’s input, else that the session is new
 * a run is found by its id, or is not there
 *   > e2e/badInput.test.ts: of something that is not there is null
 * runs are filtered by time, from both sides; an empty result is a list; a time that is none is refused
 *   > e2e/lists.test.ts: %j finds the runs %j
 *   > e2e/badInput.test.ts: %j is refused as a time
 * name, state and metadata are changed, the runs are not; an unknown session is told
 *   > engine/sessions.test.ts: of a session that is not there says so
 *   > e2e/sessions.test.ts: refuses an old version of the state, nothing to change, and an unknown session
 *   - a change of nothing is refused, and not accepted in silence
 * a session is made with little, with everything, with an id of its own; one that is there stays as it is
 *   > engine/sessions.test.ts: stores what was given over the defaults, and makes up an id where none is given
 *   > engine/sessions.test.ts: refuses an id that is taken, and leaves that session as it is
 *
 * Cancel
 * gives one final event; the finished step stays, the one under way keeps its partial text
 *   > engine/kinds/generators.test.ts: a cancel keeps what a step had so far in its row
 *   > engine/cancel.test.ts: that races with the end gives exactly one final status and event, and the session goes on
 * of the first step leaves no result of the second
 *   > engine/cancel.test.ts: of a running run aborts its signal, keeps what is finished, and lets the session go on
 * of a run that is not there
 *   > engine/cancel.test.ts: of a run that is not there, or of no id at all, says so
 *   - that is an error with a code, and no false
 * is no error for onError; an error is, and the next step runs
 *   > engine/kinds/onError.test.ts: is a step that a cancel of the run cuts off
 *   > engine/kinds/onError.test.ts: is SKIPPED with its error, and the next one gets its input and not a word of the error
 * is stored in loops, parallels, conditions, routers and sequences; a loop stops between iterations
 *   > engine/kinds/deep.test.ts: of kind %s are aborted with what is in them when the run is cancelled
 *   > engine/kinds/loop.test.ts: stops between iterations at a cancel, though none of its steps listens to its signal
 *
 * In the background
 * a run is accepted at once with its ids, and read until it is COMPLETED with its steps, whatever kinds hold them
 *   > engine/referenceRuns.test.ts: a run with %s is accepted at once, found by its id alone, and read until its end
 *   > e2e/runs.test.ts: answers at once, or with the end of the run where it was told to wait
 *   - a team is no step
 *
 * Steps and their events
 * the output of a step is found by its name, at any depth; that nearest to the reader counts
 *   > engine/bodies.test.ts: has the run’s input in each step, the neighbour’s output, and any earlier one by outputOf
 *   > engine/kinds/nested.test.ts: may be there several times, and outputOf reads that of the nearest
 *   - outputs are values, never one text of all that came before
 * a parallel by its name is an object, also with one branch
 *   > engine/kinds/parallel.test.ts: may be one alone, and yield an object all the same
 * three that count at the same time all count
 *   > engine/referenceRuns.test.ts: all count where each has a key of its own, and are told so where they share one
 *   - different values for one key are a conflict that fails the run: nothing is merged by guessing
 * new keys, objects, lists and what is removed survive beside each other; also into an empty state
 *   > engine/kinds/siblings.test.ts: keeps what each sets: new keys, objects, lists, and what is removed
 * a branch that fails keeps what others changed
 *   > engine/referenceRuns.test.ts: keep what they had changed before one of them failed
 *   > engine/kinds/parallel.test.ts: lets them go on to their end where failFast is off, and the first of those that failed counts
 * a condition that is true, false, or has nothing to do then
 *   > engine/kinds/condition.test.ts: that says %s runs the steps of that branch, one after another, and no others
 *   > engine/kinds/condition.test.ts: that says %s passes its input on
 * a condition passes a stop on
 *   > engine/kinds/condition.test.ts: whose step stops the run ends it, by the path of the step
 * errors in both branches of a condition, by onError
 *   > engine/referenceRuns.test.ts: that said %s does as onError says: %s
 * a condition whose function throws fails the run with the message
 *   > engine/kinds/condition.test.ts: that throws fails with what was thrown, and so does the run
 * a loop ends by its function, by its number, and by its number alone
 *   > engine/kinds/loop.test.ts: repeats its steps until its function says so, and yields what the last iteration does
 *   > engine/kinds/loop.test.ts: ends after its greatest number of iterations where %s
 * a stop ends a loop; an output is carried on only if that was asked for
 *   > engine/kinds/loop.test.ts: ends with the run where a step stops it
 *   > engine/kinds/loop.test.ts: gives an iteration what the one before it yields where it carries, and else its own input
 * a router selects by name, several names, and what holds others
 *   > engine/kinds/router.test.ts: that selects %s runs that, each with what the one before it yields
 *   - it gives names, which can be recorded, and no steps
 * a router with an unknown name
 *   > engine/kinds/router.test.ts: that selects %s fails, says what it selected, and lists the choices
 *   - that fails the run: nothing is left out in silence
 * each step starts once and ends once, in every kind
 *   > engine/referenceRuns.test.ts: a run with %s is accepted at once, found by its id alone, and read until its end
 *   > events/runStream.test.ts: gives only the types that were asked for, and ends all the same
 * a nested workflow passes on what it yields, with its steps below it
 *   > engine/kinds/nested.test.ts: runs its steps below its node, each with what the one before yields, and yields what the last one does
 *   - it is a part of the run, and no run of its own
 * the state of a nested workflow is read by the next step
 *   > engine/kinds/nested.test.ts: is that of the session, with its own defaults below what is there, and goes on after it
 * three levels have their parents; there is a greatest depth
 *   > engine/referenceRuns.test.ts: nested workflows of three levels have their parents in their rows, and pass on what they yield
 *   > workflow/workflow.test.ts: may nest 32 levels deep and no deeper
 *   > engine/kinds/deep.test.ts: run 32 levels deep, of all kinds
 * how long it took is kept, also of what failed and of what ran beside others
 *   > engine/referenceRuns.test.ts: how long a run took is kept when it completes and when it fails, and of each attempt
 * what was given to a run is not changed by it
 *   > engine/referenceRuns.test.ts: what was given to a run, and the workflow itself, are as they were after it
 *   - there are no dependencies to hand over: steps are functions
 *
 * A person in the run
 * a pause is stored with its question, and goes on with the answer, which reaches the next step
 *   > engine/kinds/wait.test.ts: pauses the run with its question, and yields the answer with its own input
 *   > engine/kinds/wait.test.ts: yields the answer as its schema gives it, and nothing of its input
 *   > engine/kinds/wait.test.ts: a run that waits survives restarts, with the question that was asked first, and nothing is done twice
 * a refusal
 *   > engine/kinds/wait.test.ts: without input yields the answer alone, which a condition may decide by
 *   - it is an answer like any other, and the author decides what it means
 * the way is chosen, one or several
 *   > engine/referenceRuns.test.ts: may choose the way: %s
 * a step that failed waits, to be tried again or left out
 *   > engine/resume.test.ts: is tried again with RETRY, and waits again when that fails
 *   > engine/resume.test.ts: is left out with SKIP: the next one gets its input
 * several pauses, in order
 *   > engine/resume.test.ts: one after another are answered one by one
 * the workflow stays as it was, and runs again
 *   > engine/referenceRuns.test.ts: answers each run of a workflow for itself, also where several wait at the same time
 * a review that agrees, refuses with a comment, and ends after so many rounds
 *   > engine/referenceRuns.test.ts: may review a draft, say what is wrong with it, and agree to the next one
 *   > engine/referenceRuns.test.ts: is asked no more often than the review may go on, and the author decides what a refusal means
 *   - a change of the draft by hand is a waitForInput
 * what happens when nobody answers in time
 *   > engine/resume.test.ts: that passes without an answer gives the default, as the schema makes it
 *   > engine/resume.test.ts: without a default fails the step
 *
 * Over the network
 * run, stream, unknown workflow, input that does not fit
 *   > e2e/runs.test.ts: refuses an unknown workflow, and an input that does not fit, with each fault
 *   > e2e/streams.test.ts: the events of a run are numbered without gaps, and the stream ends after the final one
 *   - one version of a workflow is served, the one that is there; a run knows which one it was started with
 *
 * Not tested there at all
 * the text of the history, how many runs of it, names that are made, an unknown session, runs at once, stored events
 *   > session/history.test.ts: renders the runs byte for byte
 *   > engine/history.test.ts: are given: %s
 *   > session/naming.test.ts: is the first 37 characters of the description and the minute
 *   > engine/sessions.test.ts: of a session that is not there is refused
 *   > engine/queue.test.ts: that come at once are executed one at a time, in order, and lose no change of the state
 *   > events/runStream.test.ts: gives every event once and in order, whenever and from wherever somebody subscribes
 */

const TESTS = join(import.meta.dirname, '..')

const [table = ''] = readFileSync(import.meta.filename, 'utf8').match(/^\/\*\n[^]*?^ \*\/$/m) ?? []
const lines = table.split('\n').map((line) => line.replace(/^ \* ?/, ''))

/** The tests that the table names. */
const named = lines.flatMap((line) => {
  const [, file, title] = /^ {2}> (\S+\.test\.ts): (.+)$/.exec(line) ?? []
  return file !== undefined && title !== undefined ? [{ file, title }] : []
})

describe('the table of cases', () => {
  test('names a test or a reason below each case', () => {
    const cases = lines.flatMap((line, index) => (/^[a-z]/.test(line) ? [{ line, next: lines[index + 1] ?? '' }] : []))
    expect(cases.length).toBeGreaterThan(40)
    const bare = cases.filter(({ next }) => !/^ {2}[>-] /.test(next))
    // The first of them says what the table is.
    expect(bare.map(({ line }) => line)).toEqual([expect.stringContaining('a file and one of its titles')])
    expect(named).toHaveLength(lines.filter((line) => line.startsWith('  > ')).length)
  })

  test.each(named)('names one that is there: $file: $title', ({ file, title }) => {
    const text = readFileSync(join(TESTS, file), 'utf8')
    const quoted = [`'${title}'`, `"${title}"`, `\`${title}\``]
    expect(quoted.filter((literal) => text.includes(literal))).toHaveLength(1)
  })
})
