/** The sentences of a text, in order. */
export function sentencesOf(text: string): string[] {
  const segmenter = new Intl.Segmenter('en', { granularity: 'sentence' })
  return [...segmenter.segment(text)].map(({ segment }) => segment.trim()).filter((sentence) => sentence !== '')
}

/** The words of a sentence, in lower case. */
export function wordsOf(sentence: string): string[] {
  const segmenter = new Intl.Segmenter('en', { granularity: 'word' })
  return [...segmenter.segment(sentence)]
    .filter(({ isWordLike }) => isWordLike)
    .map(({ segment }) => segment.toLowerCase())
}

/** The most frequent words that mean something; of equally frequent ones the first in the alphabet. */
export function keywordsOf(words: readonly string[], count: number): string[] {
  return [...frequencies(words)]
    .toSorted(([a, timesOfA], [b, timesOfB]) => timesOfB - timesOfA || (a < b ? -1 : 1))
    .slice(0, count)
    .map(([word]) => word)
}

/**
 * The sentences with the most in common with the rest of the text, in the order of the text. A sentence counts for as
 * much as its words are frequent on average, and short ones, below five words that mean something, do not count.
 */
export function leadSentences(sentences: readonly string[], count: number): string[] {
  const frequency = frequencies(sentences.flatMap(wordsOf))
  const scored = sentences.map((sentence, index) => {
    const words = wordsOf(sentence).filter(meansSomething)
    const sum = words.reduce((total, word) => total + (frequency.get(word) ?? 0), 0)
    return { index, sentence, score: words.length < 5 ? 0 : sum / words.length }
  })
  return scored
    .toSorted((a, b) => b.score - a.score || a.index - b.index)
    .slice(0, count)
    .toSorted((a, b) => a.index - b.index)
    .map(({ sentence }) => sentence)
}

function frequencies(words: readonly string[]): Map<string, number> {
  const times = new Map<string, number>()
  for (const word of words.filter(meansSomething)) times.set(word, (times.get(word) ?? 0) + 1)
  return times
}

function meansSomething(word: string): boolean {
  return word.length > 2 && !COMMON.has(word)
}

/** Words that hold English sentences together. */
const COMMON: ReadonlySet<string> = new Set(
  `about above after again all also among and any are because been before being below between both but can could did
  does doing down each few for from further had has have having her here hers him his how into its itself just like
  more most much must nor not now off only other our ours out over own per same shall she should so some such than that
  the their theirs them then there these they this those through too under until upon very was were what when where
  which while who whom whose why will with without would yet you your yours`.split(/\s+/),
)
