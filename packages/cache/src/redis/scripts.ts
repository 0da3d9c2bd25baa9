/**
 * The cache's protocol, as the scripts that Redis runs one at a time. All instants are the server's own (TIME, PX): no
 * client's clock decides anything between instances. The reasons are in load/load-lease.ts, the words in lua.ts.
 *
 * A lease key holds `T<token>` while someone loads, or `F<what failed>` for a short while after a load that failed.
 */

import { APPEND, AT, COUNTS, FORMAT, MARK, MOST_TAGS, NOW, STATE, STORE, WAKE } from './lua.js'
import { Script } from './script.js'

/** First element of a reply of `getOrLease`. */
export const HIT = 0
export const STALE = 1
export const STALE_WON = 2
export const WON = 3
export const WAIT = 4
export const FAILED = 5

/**
 * Reads keys, and takes the lease of each that has to be loaded. KEYS control, then value, lease, waiters of each; ARGV
 * lease ms, own wake channel, space, then of each key a token, and for how long before a value turns stale its lease is
 * wanted already (0: not before). Replies for each {HIT, stored, fresh ms left, age ms} | {STALE, stored, ms left, age ms} |
 * {STALE_WON, stored, ms left, age ms, stamp} | {WON, stamp} | {WAIT, lease ms left} | {FAILED, what, ms left}. What does not
 * count any more is removed and is none.
 */
export const getOrLease: Script = new Script(
  'getOrLease',
  `${NOW}${STATE}${COUNTS}
local state = stateFor(ARGV[3])
local function take(lease, token)
  if redis.call('EXISTS', lease) == 1 then return false end
  redis.call('SET', lease, 'T' .. token, 'PX', ARGV[1])
  return true
end
local function one(value, lease, waiters, token, ahead)
  local stored = redis.call('GET', value)
  local left, age
  if stored then
    local freshUntil = tonumber(string.sub(stored, ${AT.freshUntil + 1}, ${AT.storedAt}))
    local storedAt = tonumber(string.sub(stored, ${AT.storedAt + 1}, ${AT.stamp}))
    local metaLength = tonumber(string.sub(stored, ${AT.metaLength + 1}, ${AT.meta}))
    local stamp = string.sub(stored, ${AT.stamp + 1}, ${AT.loadMs})
    local tags = metaLength and string.match(string.sub(stored, ${AT.meta + 1}, ${AT.meta} + metaLength), '[^|]*$')
    if string.sub(stored, 1, 1) ~= '${FORMAT}' or not freshUntil or not storedAt or not tags then
      -- Whoever gets it cannot read it, counts it and has it removed.
      return {${HIT}, stored, 0, 0}
    elseif not counts(state, stamp, tags) then
      redis.call('DEL', value)
      stored = false
    else
      age = now - storedAt
      if tonumber(string.sub(stamp, 11)) < state.suspect then
        -- From a server that is gone, with it perhaps an invalidation: old, and servable for its grace.
        left = redis.call('PEXPIRETIME', value) - math.max(freshUntil, now)
        if left <= 0 then stored = false end
      elseif freshUntil > now then
        if freshUntil - now > ahead or not take(lease, token) then return {${HIT}, stored, freshUntil - now, age} end
        return {${WON}, state.stamp}
      else
        left = redis.call('PTTL', value)
      end
    end
  end
  if take(lease, token) then
    if stored then return {${STALE_WON}, stored, left, age, state.stamp} end
    return {${WON}, state.stamp}
  end
  if stored then return {${STALE}, stored, left, age} end
  local holder = redis.call('GET', lease)
  local leaseLeft = redis.call('PTTL', lease)
  if string.sub(holder, 1, 1) == 'F' then return {${FAILED}, string.sub(holder, 2), leaseLeft} end
  redis.call('SADD', waiters, ARGV[2])
  redis.call('PEXPIRE', waiters, 60000)
  return {${WAIT}, leaseLeft}
end
local replies = {}
for i = 1, (#KEYS - 4) / 3 do
  replies[i] = one(KEYS[3 * i + 2], KEYS[3 * i + 3], KEYS[3 * i + 4], ARGV[2 + 2 * i], tonumber(ARGV[3 + 2 * i]))
end
return replies`,
)

/**
 * Stores only while the lease still holds the token, and what was read still counts: what was read before an invalidation
 * has lost its lease; before a clear, or a deletion of one of its tags, it is older than that. KEYS control, key; ARGV wake
 * message, token, space, stamp, kind, body, ttl ms, grace ms, load ms, meta, tags. Replies 1 if stored, else 0.
 */
export const fill: Script = new Script(
  'fill',
  `
if redis.call('GET', KEYS[6]) ~= 'T' .. ARGV[2] then return 0 end
${NOW}${STATE}${COUNTS}${WAKE}${STORE}
local stands = counts(stateFor(ARGV[3]), ARGV[4], ARGV[11])
if stands then store(KEYS[5], ARGV[5], ARGV[6], ARGV[4], ARGV[7], ARGV[8], ARGV[9], ARGV[10]) end
redis.call('DEL', KEYS[6])
wake(KEYS[7], ARGV[1])
return stands and 1 or 0`,
)

/**
 * Gives a lease up without a value. KEYS control, key; ARGV wake message, token, what failed ('' for nothing), back-off ms.
 * The failure stands in the lease's place for the back-off, so that the fleet does not try at once again.
 */
export const release: Script = new Script(
  'release',
  `
if redis.call('GET', KEYS[6]) ~= 'T' .. ARGV[2] then return 0 end
${WAKE}
if ARGV[3] ~= '' then redis.call('SET', KEYS[6], 'F' .. ARGV[3], 'PX', ARGV[4]) else redis.call('DEL', KEYS[6]) end
wake(KEYS[7], ARGV[1])
return 1`,
)

/** KEYS control, key; ARGV token, lease ms. Replies 1 while the lease is still ours. */
export const renew: Script = new Script(
  'renew',
  `
if redis.call('GET', KEYS[6]) ~= 'T' .. ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[6], ARGV[2])
return 1`,
)

/** Removes value and lease, and tells every instance, which wakes who waits there. KEYS control, key; ARGV `<space>:<key>`. */
export const invalidate: Script = new Script(
  'invalidate',
  `${APPEND}
redis.call('DEL', KEYS[5], KEYS[6])
return append('key', ARGV[1])`,
)

/**
 * Ends a value's freshness and leaves it servable for its grace; without one it is removed. A load in flight has read what
 * is old now: it loses its lease. KEYS control, key; ARGV `<space>:<key>`.
 */
export const expire: Script = new Script(
  'expire',
  `${NOW}${APPEND}
local header = redis.call('GETRANGE', KEYS[5], 0, ${AT.meta})
local freshUntil = tonumber(string.sub(header, ${AT.freshUntil + 1}, ${AT.storedAt}))
if string.sub(header, 1, 1) == '${FORMAT}' and freshUntil and freshUntil > now then
  local grace = redis.call('PEXPIRETIME', KEYS[5]) - freshUntil
  if grace > 0 then
    redis.call('SETRANGE', KEYS[5], ${AT.freshUntil}, string.format('%013d', now))
    redis.call('PEXPIREAT', KEYS[5], now + grace)
  else
    redis.call('DEL', KEYS[5])
  end
end
redis.call('DEL', KEYS[6])
return append('key', ARGV[1])`,
)

/**
 * Stores a value from a writer, over any load in flight. KEYS control, key; ARGV `<space>:<key>`, space, kind, body, ttl ms,
 * grace ms, meta.
 */
export const set: Script = new Script(
  'set',
  `${NOW}${STATE}${APPEND}${STORE}
local sequence = append('key', ARGV[1])
store(KEYS[5], ARGV[3], ARGV[4], stateFor(ARGV[2]).stamp, ARGV[5], ARGV[6], 0, ARGV[7])
redis.call('DEL', KEYS[6])
return sequence`,
)

/** Makes all values of a space, or of all of them, older than what counts. KEYS control; ARGV a space, or '*'. */
export const clear: Script = new Script(
  'clear',
  `${MARK}${APPEND}
local sequence = append('clear', ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1] == '*' and '*' or 's:' .. ARGV[1], sequence)
mark()
return sequence`,
)

/** Makes all values under a tag older than what counts. KEYS control; ARGV the tag. */
export const deleteTag: Script = new Script(
  'deleteTag',
  `${MARK}${APPEND}
local sequence = append('tag', ARGV[1])
local lost = redis.call('HGET', KEYS[1], 'g') and redis.call('EXISTS', KEYS[3]) == 0
redis.call('ZADD', KEYS[3], sequence, ARGV[1])
redis.call('HSET', KEYS[1], 'g', sequence, 'i', redis.call('HGET', KEYS[1], 'l'))
if lost then
  -- Evicted: which tags were deleted before is not known any more.
  redis.call('HSET', KEYS[1], 't', sequence)
elseif redis.call('ZCARD', KEYS[3]) > ${MOST_TAGS} then
  local oldest = redis.call('ZPOPMIN', KEYS[3], 100)
  redis.call('HSET', KEYS[1], 't', oldest[#oldest])
end
mark()
return sequence`,
)

/** Removes a value that could not be read, unless it was replaced meanwhile. KEYS control, key; ARGV its header as read. */
export const discard: Script = new Script(
  'discard',
  `
if redis.call('GETRANGE', KEYS[5], 0, #ARGV[1] - 1) == ARGV[1] then return redis.call('DEL', KEYS[5]) end
return 0`,
)

/**
 * Looks at the server: to be run on every new connection before anything is read, and now and then. If the server is not the
 * one that was here last, or has begun another history of writes since, it may have lost what that one had acknowledged, an
 * invalidation too: all it holds from before is old. Fails on a server that takes no writes, whose values nobody can invalidate
 * any more. KEYS control. Replies {id of the log's last entry, the server's time in ms, how many entries the log has had, id
 * of the last that deleted a tag, the server}.
 */
export const adopt: Script = new Script(
  'adopt',
  `${NOW}${MARK}${APPEND}
-- Changes nothing, and is refused where a write would be, but for a lack of memory.
redis.call('PERSIST', KEYS[1])
local function infoOf(section, field)
  local info = redis.pcall('INFO', section)
  return type(info) == 'string' and string.match(info, field .. ':(%w+)') or ''
end
local server = infoOf('server', 'run_id') .. ' ' .. infoOf('replication', 'master_replid')
local known = redis.call('HGET', KEYS[1], 'r')
if known ~= server then
  redis.call('HSET', KEYS[1], 'r', server)
  if known then redis.call('HSET', KEYS[1], 'f', append('server', '')) end
  mark()
end
local state = redis.call('HMGET', KEYS[1], 'l', 'n', 'i')
return {state[1] or '', now, tonumber(state[2] or 0), state[3] or '', server}`,
)

/** What `adopt` replies. */
export type Adopted = readonly [lastId: string, serverMs: number, sequence: number, lastTagId: string, server: string]
