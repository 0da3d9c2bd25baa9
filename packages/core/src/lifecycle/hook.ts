/** Runs one hook of a component: bounded in time, told to let go when it is not wanted any more, and always answered for. */

import { setMaxListeners } from 'node:events'
import {
  type Clock,
  type ComponentEvent,
  Deadline,
  type Events,
  type StepContext,
  type Timer,
} from '@breakwater/kernel'

/** How a hook ended, or that it did not. */
export interface HookEnd {
  /** `let-go`: it rejected because it was told to. `running`: it let its time pass, and the grace after it. */
  readonly result: 'ok' | 'failed' | 'let-go' | 'running'
  /** What it rejected with, when `failed`. */
  readonly error?: unknown
  /** Why its signal was aborted, if it was: its own deadline passed, or it was not wanted any more. */
  readonly aborted?: 'deadline' | 'cancelled'
  /** Resolves when the hook itself is over, with whether it succeeded; what to wait for when it still runs. */
  readonly over: Promise<boolean>
}

export interface HookBounds {
  readonly deadline: Deadline
  /** Fires when the hook is not wanted any more; may have fired already. */
  readonly cancel: AbortSignal
  /** Ms that the hook has to let go once its signal is aborted; asked then, and again when the end is hastened. */
  readonly graceMs: () => number
}

/** Says that everything must be over earlier than it was to be. */
export interface Hastened extends ComponentEvent {
  readonly type: 'hastened'
}

/** Calls `hook`, with a signal that is aborted already if `cancel` is. Never rejects. */
export function runHook(
  hook: (context: StepContext) => unknown,
  clock: Clock,
  hastened: Events<Hastened>,
  { deadline, cancel, graceMs }: HookBounds,
): Promise<HookEnd> {
  return new Promise(resolve => {
    const controller = new AbortController()
    const { signal } = controller
    let aborted: HookEnd['aborted']
    let timer: Timer | undefined
    let grace: Deadline | undefined

    const end = (result: HookEnd['result'], error?: unknown): void => {
      timer?.cancel()
      cancel.removeEventListener('abort', onCancel)
      stopListening()
      resolve({ result, over, ...(aborted && { aborted }), ...(result === 'failed' && { error }) })
    }
    const waitOutTheGrace = (): void => {
      grace = grace?.within(graceMs()) ?? new Deadline(clock, graceMs())
      timer?.cancel()
      timer = clock.schedule(grace.remainingMs, () => end('running'), { keepAlive: true })
    }
    const tellToLetGo = (why: 'deadline' | 'cancelled', reason?: unknown): void => {
      if (aborted !== undefined) return
      aborted = why
      waitOutTheGrace()
      controller.abort(reason)
    }
    const stopListening = hastened.subscribe(() => {
      if (aborted !== undefined) waitOutTheGrace()
    })
    const onCancel = (): void => tellToLetGo('cancelled', cancel.reason)

    if (cancel.aborted) onCancel()
    else {
      // Every hook of a level listens; from the eleventh on Node would warn of a leak.
      setMaxListeners(0, cancel)
      cancel.addEventListener('abort', onCancel)
      timer = clock.schedule(deadline.remainingMs, () => tellToLetGo('deadline'), { keepAlive: true })
    }
    const running = new Promise(settle => settle(hook({ signal, deadline })))
    const over = running.then(
      () => true,
      () => false,
    )
    running.then(
      () => end('ok'),
      error => {
        if (signal.aborted && isAbort(error, signal)) end('let-go')
        // Else what is told of the failure would read as if there were none.
        else end('failed', error ?? new TypeError('the hook rejected without an error'))
      },
    )
  })
}

/** Tells whether a hook rejected for no other reason than that it was told to let go. */
function isAbort(error: unknown, signal: AbortSignal): boolean {
  return error === signal.reason || (error instanceof Error && error.name === 'AbortError')
}
