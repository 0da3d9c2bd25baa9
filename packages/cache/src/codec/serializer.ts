/** How a value becomes text or bytes. JSON unless a space says otherwise. */

/** Another form than JSON: msgpack, superjson, `node:v8`'s structured clone. */
export interface Serializer {
  /** Stored with each value, so that no other serializer ever reads it: 1 to 16 letters, digits, `_`, `.`, `-`. */
  readonly name: string
  /** Throws for what it cannot hold. */
  serialize(value: unknown): string | Uint8Array
  /** Throws for what it did not write. */
  deserialize(bytes: Buffer): unknown
}

export const json: Serializer = {
  name: '',
  serialize(value) {
    const text = JSON.stringify(value) as string | undefined
    if (text === undefined) throw new TypeError('not a JSON value')
    return text
  },
  deserialize: bytes => JSON.parse(bytes.toString()),
}
