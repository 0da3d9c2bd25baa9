/** The messages by which a process asks a process that it has forked, over the IPC channel of `fork`. */

/** What a process can be asked for, by name. */
export type Calls<C> = { readonly [M in keyof C]: (...args: never[]) => Promise<unknown> }

/** Every process that is asked can be told to end in order. */
export interface Closable {
  close(): Promise<void>
}

/** The calls by name, in a form from which one can be taken by a name that is known at run time only. */
export type Handlers<C extends Calls<C>> = {
  readonly [M in keyof C]: (...args: Parameters<C[M]>) => ReturnType<C[M]>
}

export interface Call<C extends Calls<C>, M extends keyof C = keyof C> {
  readonly id: number
  readonly method: M
  readonly args: Parameters<C[M]>
}

export interface Reply {
  readonly id: number
  readonly result?: unknown
  /** One line, if the call failed. */
  readonly error?: string
}
