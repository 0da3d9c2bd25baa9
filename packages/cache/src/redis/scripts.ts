/**
 * The cache's protocol, as the scripts that Redis runs one at a time. All instants are the server's own (TIME, PX): no
 * client's clock decides anything between instances. The reasons are in load/load-lease.ts.
 *
 * A value is stored as `<format><kind><fresh until, 13 digits of ms><stamp, 12 characters><body>`; kind is `V` (a value) or
 * `A` (absent). The stamp names the generation of the whole cache and of the space, six characters each: `clear` changes one
 * of them, and values with another stamp are none.
 * A lease key holds `T<token>` while someone loads, or `F<what failed>` for a short while after a load that failed.
 */

import { Script } from './client.js'

/** Version of the stored form. Another version's values are a miss and are removed. */
const FORMAT = '1'
/** Characters before the stamp; they tell one writing of a value from the next. */
export const IDENTITY_LENGTH = 15
/** Characters before the body. */
export const HEADER_LENGTH = 27
/** Characters of a generation. */
export const GENERATION_LENGTH = 6
/** The generation of what was never cleared. */
const FIRST_GENERATION = '0'.repeat(GENERATION_LENGTH)

const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)`

/** Returns the stamp that counts now, given the generations' hash and a space. */
const STAMP = `
local function stampOf(hash, space)
  local generations = redis.call('HMGET', hash, '*', space)
  return (generations[1] or '${FIRST_GENERATION}') .. (generations[2] or '${FIRST_GENERATION}')
end`

/** Tells every instance that waits for this key to look again. Expects KEYS[3] = waiters. */
const WAKE = `
local waiting = redis.call('SMEMBERS', KEYS[3])
if #waiting > 0 then
  redis.call('DEL', KEYS[3])
  for _, channel in ipairs(waiting) do redis.call('PUBLISH', channel, ARGV[1]) end
end`

/** First element of a reply of `getOrLease`. */
export const HIT = 0
export const STALE = 1
export const STALE_WON = 2
export const WON = 3
export const WAIT = 4
export const FAILED = 5

/**
 * Reads keys, and takes the lease of each that has to be loaded. KEYS generations, then value, lease, waiters of
 * each; ARGV lease ms, own wake channel, space, then a token for each. Replies for each {HIT, stored, fresh ms left} |
 * {STALE, stored, ms left} | {STALE_WON, stored, ms left, stamp} | {WON, stamp} | {WAIT, lease ms left} | {FAILED, what, ms
 * left}. A value of another form or with another stamp is removed and counts as none.
 */
export const getOrLease: Script = new Script(`${NOW}
${STAMP}
local stamp = stampOf(KEYS[1], ARGV[3])
local function one(value, lease, waiters, token)
  local stored = redis.call('GET', value)
  if stored then
    local freshUntil = tonumber(string.sub(stored, 3, ${IDENTITY_LENGTH}))
    if string.sub(stored, 1, 1) ~= '${FORMAT}' or not freshUntil
      or string.sub(stored, ${IDENTITY_LENGTH + 1}, ${HEADER_LENGTH}) ~= stamp then
      redis.call('DEL', value)
      stored = false
    elseif freshUntil > now then
      return {${HIT}, stored, freshUntil - now}
    end
  end
  local holder = redis.call('GET', lease)
  if not holder then
    redis.call('SET', lease, 'T' .. token, 'PX', ARGV[1])
    if stored then return {${STALE_WON}, stored, redis.call('PTTL', value), stamp} end
    return {${WON}, stamp}
  end
  if stored then return {${STALE}, stored, redis.call('PTTL', value)} end
  local left = redis.call('PTTL', lease)
  if string.sub(holder, 1, 1) == 'F' then return {${FAILED}, string.sub(holder, 2), left} end
  redis.call('SADD', waiters, ARGV[2])
  redis.call('PEXPIRE', waiters, 60000)
  return {${WAIT}, left}
end
local replies = {}
for i = 1, (#KEYS - 1) / 3 do
  replies[i] = one(KEYS[3 * i - 1], KEYS[3 * i], KEYS[3 * i + 1], ARGV[3 + i])
end
return replies`)

/**
 * Stores only while the lease still holds the token, and the stamp that came with it still counts: what was read before an
 * invalidation has lost its lease, what was read before a clear its stamp. KEYS value, lease, waiters, generations; ARGV
 * wake message, token, kind, body, ttl ms, grace ms, space, stamp. Replies 1 if stored, else 0.
 */
export const fill: Script = new Script(`
if redis.call('GET', KEYS[2]) ~= 'T' .. ARGV[2] then return 0 end
${NOW}
${STAMP}
local counts = stampOf(KEYS[4], ARGV[7]) == ARGV[8]
if counts then
  local header = '${FORMAT}' .. ARGV[3] .. string.format('%013d', now + ARGV[5]) .. ARGV[8]
  redis.call('SET', KEYS[1], header .. ARGV[4], 'PX', ARGV[5] + ARGV[6])
end
redis.call('DEL', KEYS[2])
${WAKE}
return counts and 1 or 0`)

/**
 * Gives a lease up without a value. KEYS value, lease, waiters; ARGV wake message, token, what failed ('' for nothing),
 * back-off ms. The failure stands in the lease's place for the back-off, so that the fleet does not try at once again.
 */
export const release: Script = new Script(`
if redis.call('GET', KEYS[2]) ~= 'T' .. ARGV[2] then return 0 end
if ARGV[3] ~= '' then redis.call('SET', KEYS[2], 'F' .. ARGV[3], 'PX', ARGV[4]) else redis.call('DEL', KEYS[2]) end
${WAKE}
return 1`)

/** KEYS lease; ARGV token, lease ms. Replies 1 while the lease is still ours. */
export const renew: Script = new Script(`
if redis.call('GET', KEYS[1]) ~= 'T' .. ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1`)

/** Tells every instance of something; what and the keys as Lua expressions. */
export const appendToLog = (log: string, sequence: string, message = 'ARGV[1]'): string => `
redis.call('XADD', ${log}, 'MAXLEN', '~', 10000, '*', 'n', redis.call('INCR', ${sequence}), 'k', ${message})`

/** Tells every instance that a key was invalidated. Expects KEYS[4] = log, KEYS[5] = its sequence. */
const APPEND_TO_LOG: string = appendToLog('KEYS[4]', 'KEYS[5]')

/** Removes value and lease, wakes who waits, and tells every instance. KEYS value, lease, waiters, log, sequence; ARGV wake message. */
export const invalidate: Script = new Script(`
redis.call('DEL', KEYS[1], KEYS[2])
${WAKE}
${APPEND_TO_LOG}
return 1`)

/**
 * Ends a value's freshness and leaves it servable for what is left of its life. A load in flight has read what is old now:
 * it loses its lease. KEYS as invalidate; ARGV wake message.
 */
export const expire: Script = new Script(`${NOW}
local stored = redis.call('GET', KEYS[1])
if stored then
  local freshUntil = tonumber(string.sub(stored, 3, ${IDENTITY_LENGTH}))
  if string.sub(stored, 1, 1) == '${FORMAT}' and freshUntil and freshUntil > now then
    redis.call('SETRANGE', KEYS[1], 2, string.format('%013d', now))
  end
end
redis.call('DEL', KEYS[2])
${WAKE}
${APPEND_TO_LOG}
return 1`)

/**
 * Stores a value from a writer, over any load in flight. KEYS as invalidate, then generations; ARGV wake message, kind,
 * body, ttl ms, grace ms, space.
 */
export const set: Script = new Script(`${NOW}
${STAMP}
local header = '${FORMAT}' .. ARGV[2] .. string.format('%013d', now + ARGV[4]) .. stampOf(KEYS[6], ARGV[6])
redis.call('SET', KEYS[1], header .. ARGV[3], 'PX', ARGV[4] + ARGV[5])
redis.call('DEL', KEYS[2])
${WAKE}
${APPEND_TO_LOG}
return 1`)

/**
 * Begins a new generation, of a space or of the whole cache: all values of the old one are none from now on, and leave
 * Redis at the end of their time. KEYS generations, log, sequence; ARGV message, field (a space or '*'), generation.
 */
export const clear: Script = new Script(`
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
${appendToLog('KEYS[2]', 'KEYS[3]')}
return 1`)

/** Removes a value that could not be read, unless it was replaced meanwhile. KEYS value; ARGV its first characters as read. */
export const discard: Script = new Script(`
if redis.call('GETRANGE', KEYS[1], 0, ${IDENTITY_LENGTH - 1}) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`)

/** Where a new follower of the log begins. KEYS log, sequence. Replies {last id, sequence}. */
export const logPosition: Script = new Script(`
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
return {last[1] and last[1][1] or '0-0', redis.call('GET', KEYS[2]) or '0'}`)
