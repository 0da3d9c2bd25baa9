/** Shows on stderr what is going on: one line that is rewritten on a terminal, plain lines elsewhere. */

export interface Progress {
  /** Shows `step` as what goes on now. */
  step(step: string): void
  /** Removes the line from a terminal, for what is printed next. */
  clear(): void
}

export function createProgress(stream: NodeJS.WriteStream): Progress {
  const startedAt = performance.now()
  const line = (step: string): string =>
    `[${((performance.now() - startedAt) / 1_000).toFixed(0).padStart(3)} s] ${step}`
  if (!stream.isTTY) return { step: step => void stream.write(`${line(step)}\n`), clear: () => {} }
  const rewrite = (text: string): void => void stream.write(`\r\u001b[K${text.slice(0, (stream.columns || 80) - 1)}`)
  return { step: step => rewrite(line(step)), clear: () => rewrite('') }
}
