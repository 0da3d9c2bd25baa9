/**
 * What a fleet keeps in its database, which is locks and nothing else, and the statements that read and change it. No
 * table, no clock, no role beyond that of any user: what a session holds is gone in the moment its backend is.
 */

import { createHash } from 'node:crypto'
import type { Member } from './allocate.js'

/*
 * Three kinds of session advisory lock, all of them of two keys, which no lock of an application has unless it hits a
 * hash of 30 bits. Each is held in shared mode:
 *
 *   (class, slot)      one connection, by the session of that connection. Claimed in exclusive mode, which fails while
 *                      anybody holds it, and turned into shared mode by the claimer. So a slot can be handed from one
 *                      session to another with no instant in between at which it is free: the heir takes it in shared
 *                      mode as well, and only then its giver lets go.
 *   [class, id]        whose connection it is: by every session of an instance (as one key of 64 bits, which the server
 *                      tells from two of 32).
 *   (class + 1, card)  what the instance has use for, by any one of its sessions. A card that has changed is put down
 *                      before the old one is taken up; of two of one instance the later one counts.
 *
 * Advisory locks are the database's own: a fleet is the users of one database. Everything that is not the server's is
 * written out into the text, so that neither a search path nor a type parser of the application can change its meaning.
 */

const PID = 'pg_catalog.pg_backend_pid()::text as pid'
const LOCKS = 'pg_catalog.pg_locks'
const HERE = '(select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())'
const ROLE = '(select oid from pg_catalog.pg_roles where rolname = session_user)'

/** The functions behind the views, because planning the views takes four times as long as running them. */
const CENSUS = `,
  (select string_agg(pid || ':' || (datid = ${HERE})::int || ':' || (usesysid = ${ROLE})::int, ' ')
    from pg_catalog.pg_stat_get_activity(null) where datid is not null and usesysid is not null
    and coalesce(backend_type, 'client backend') = 'client backend') as backends,
  (pg_catalog.current_setting('max_connections')::int
    - pg_catalog.current_setting('superuser_reserved_connections')::int
    - coalesce(pg_catalog.current_setting('reserved_connections', true)::int, 0))::text as server,
  (select datconnlimit::text from pg_catalog.pg_database where oid = ${HERE} and datconnlimit >= 0) as database,
  (select rolconnlimit::text from pg_catalog.pg_roles where oid = ${ROLE} and rolconnlimit >= 0) as role`

/** Runs one statement on a session, and resolves with its rows, every column as text. */
export type Ask = (text: string) => Promise<readonly Readonly<Record<string, string | null>>[]>

/** One session, as the server and any pooler before it show it. */
export interface Introduction {
  /** Of the backend that has answered. */
  readonly processId: number
  /** The role, if it may have only so many connections. */
  readonly limitedRole: string | undefined
}

/** What one look at the locks shows. */
export interface Sight {
  readonly members: readonly Member[]
  /** Slots that anybody holds. */
  readonly held: number
  /** By the process id of its session: which slots each holds. */
  readonly slotsOf: ReadonlyMap<number, ReadonlySet<number>>
  readonly census: Census | undefined
}

interface Census {
  /** Connections that the server has for users like this one. */
  readonly capacity: number
  /** Those of them that are left to the fleet: its other users' are taken off. */
  readonly limit: number
}

export interface Card {
  /** Ascending; tells a newer card from an older one. */
  readonly version: number
  readonly demand: number
}

const DEMAND_BITS = 16
const VERSION_LIMIT = 2 ** 15
const DEMAND_LIMIT = 2 ** DEMAND_BITS - 1

/** Reads only, and may go through any pooler. */
export async function introduce(ask: Ask): Promise<Introduction> {
  const [row] = await ask(`select ${PID},
    (select rolname::text from pg_catalog.pg_roles where rolname = session_user and rolconnlimit >= 0) as role`)
  return { processId: Number(row?.pid), limitedRole: row?.role ?? undefined }
}

export class Ledger {
  readonly #class: number
  readonly #id: number

  /**
   * @param name whoever gives the same one shares one budget.
   * @param id of this instance; a whole number below 2^31.
   */
  constructor(name: string, id: number) {
    const hash = createHash('sha256').update(`breakwater fleet ${name}`).digest()
    // Even, because the cards have the class after it; positive, because the server shows keys without a sign.
    this.#class = hash.readUInt32BE(0) & 0x3ffffffe
    this.#id = id
  }

  /**
   * Makes a session one of this instance's. With a slot that another session holds for it, it takes that; `hasSlot` says
   * whether that session still held it when this one did, so that nobody can have had it in between.
   */
  async enroll(ask: Ask, slot?: number, holder?: number): Promise<{ processId: number; hasSlot: boolean }> {
    const key = slot === undefined ? undefined : this.slot(slot)
    const isHeld = `exists (select from ${LOCKS} where locktype = 'advisory' and granted and pid = ${holder}
      and database = ${HERE} and classid = ${this.#class} and objid = ${slot} and objsubid = 2)`
    const hasSlot = key ? `case when ${shared(key)} then ${isHeld} else false end` : 'false'
    const [row] = await ask(`select ${shared(this.#member)}, (${hasSlot})::text as has, ${PID}`)
    const outcome = { processId: Number(row?.pid), hasSlot: row?.has === 'true' }
    if (key && !outcome.hasSlot) await ask(`select ${unlock(key)}`)
    return outcome
  }

  /** Claims free slots for a session; resolves with those it got. @param own slots of this instance, which are not free. */
  async claim(ask: Ask, count: number, ceiling: number, own: Iterable<number>): Promise<number[]> {
    const key = `${this.#class}, n`
    const others = [...own, 0].join(', ')
    const rows = await ask(`with claimed as materialized (
      select n from (select n from pg_catalog.generate_series(1, ${ceiling}) n where n not in (${others}) offset 0) free
      where pg_catalog.pg_try_advisory_lock(${key}) limit ${count})
      select n::text as slot, ${shared(key)}, pg_catalog.pg_advisory_unlock(${key}) from claimed`)
    return rows.map(({ slot }) => Number(slot))
  }

  /** Lets go of locks of a session. */
  async release(ask: Ask, keys: readonly string[]): Promise<void> {
    if (keys.length > 0) await ask(`select ${keys.map(unlock).join(', ')}`)
  }

  /** The key of a slot. */
  slot(slot: number): string {
    return `${this.#class}, ${slot}`
  }

  /** The key of a card. */
  card({ version, demand }: Card): string {
    return `${this.#class + 1}, ${(version % VERSION_LIMIT) * 2 ** DEMAND_BITS + Math.min(demand, DEMAND_LIMIT)}`
  }

  /**
   * Looks at the fleet.
   * @param put the key of a card to put down first. @param take that of one to take up.
   * @param isCensus whether the server's limits and its other users are looked at too, which costs about as much again.
   */
  async look(ask: Ask, put: string | undefined, take: string | undefined, isCensus: boolean): Promise<Sight> {
    const [row = {}] = await ask(`select ${put ? shared(put) : 'null'} as put, ${take ? unlock(take) : 'null'} as take,
      (select string_agg(pid || ':' || classid::bigint - ${this.#class} || ':' || objid || ':' || objsubid, ' ')
        from ${LOCKS} where locktype = 'advisory' and granted and database = ${HERE}
        and classid in (${this.#class}, ${this.#class + 1})) as locks${isCensus ? CENSUS : ''}`)
    return readSight(parts(row.locks), isCensus ? row : undefined)
  }

  get #member(): string {
    return String(BigInt(this.#class) * 2n ** 32n + BigInt(this.#id))
  }
}

function shared(key: string): string {
  return `pg_catalog.pg_try_advisory_lock_shared(${key})`
}

function unlock(key: string): string {
  return `pg_catalog.pg_advisory_unlock_shared(${key})`
}

/** Reads '1:2:3 4:5:6'. */
function parts(text: string | null | undefined): number[][] {
  return text ? text.split(' ').map(part => part.split(':').map(Number)) : []
}

function readSight(locks: readonly number[][], census: Readonly<Record<string, string | null>> | undefined): Sight {
  const instanceOf = new Map<number, number>()
  const slotsOf = new Map<number, Set<number>>()
  const cards = new Map<number, number>()
  for (const [pid = 0, kind = 0, key = 0, keys = 0] of locks) {
    if (keys === 1) instanceOf.set(pid, key)
    else if (kind === 0) slotsOf.set(pid, (slotsOf.get(pid) ?? new Set()).add(key))
    else cards.set(pid, Math.max(key, cards.get(pid) ?? 0))
  }
  const members = new Map<number, { slots: Set<number>; card: number }>()
  for (const [pid, id] of instanceOf) {
    const { slots, card } = members.get(id) ?? { slots: new Set<number>(), card: 0 }
    for (const slot of slotsOf.get(pid) ?? []) slots.add(slot)
    members.set(id, { slots, card: Math.max(card, cards.get(pid) ?? 0) })
  }
  return {
    members: [...members].map(([id, { slots, card }]) => ({ id, held: slots.size, demand: card % 2 ** DEMAND_BITS })),
    held: new Set([...slotsOf.values()].flatMap(slots => [...slots])).size,
    slotsOf,
    census: census && readCensus(census, instanceOf),
  }
}

/** The tightest of the limits, and of the limits each less those of its connections that are not the fleet's. */
function readCensus(row: Readonly<Record<string, string | null>>, ours: ReadonlyMap<number, number>): Census {
  const others = parts(row.backends).filter(([pid = 0]) => !ours.has(pid))
  const here = others.filter(([, isHere]) => isHere === 1)
  const mine = others.filter(([, , isMine]) => isMine === 1)
  const limits = [
    { limit: row.server, users: others.length },
    { limit: row.database, users: here.length },
    { limit: row.role, users: mine.length },
  ].filter(({ limit }) => limit != null)
  return {
    capacity: Math.min(...limits.map(({ limit }) => Number(limit))),
    limit: Math.min(...limits.map(({ limit, users }) => Number(limit) - users)),
  }
}
