/**
 * The cache's protocol, as the scripts that Redis runs one at a time. All instants are the server's own (TIME, PX): no
 * client's clock decides anything between instances. The reasons are in load/load-lease.ts.
 *
 * A value is stored as `<format><kind><fresh until, 13 digits of ms><body>`; kind is `V` (a value) or `A` (absent).
 * A lease key holds `T<token>` while someone loads, or `F<what failed>` for a short while after a load that failed.
 */

import { Script } from './client.js'

/** Version of the stored form. Another version's values are a miss and are removed. */
const FORMAT = '1'
/** Characters before the body. */
export const HEADER_LENGTH = 15

const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)`

/** Tells every instance that waits for this key to look again. Expects KEYS[3] = waiters. */
export const WAKE = `
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
 * Reads keys, and takes the lease of each that has to be loaded. KEYS value, lease, waiters of each; ARGV lease ms, own wake
 * channel, then a token for each. Replies for each {HIT, stored, fresh ms left} | {STALE, stored, ms left} | {STALE_WON,
 * stored, ms left} | {WON} | {WAIT, lease ms left} | {FAILED, what, ms left}. A value of another form is removed and
 * counts as none.
 */
export const getOrLease: Script = new Script(`${NOW}
local function one(value, lease, waiters, token)
  local stored = redis.call('GET', value)
  if stored then
    local freshUntil = tonumber(string.sub(stored, 3, ${HEADER_LENGTH}))
    if string.sub(stored, 1, 1) ~= '${FORMAT}' or not freshUntil then
      redis.call('DEL', value)
      stored = false
    elseif freshUntil > now then
      return {${HIT}, stored, freshUntil - now}
    end
  end
  local holder = redis.call('GET', lease)
  if not holder then
    redis.call('SET', lease, 'T' .. token, 'PX', ARGV[1])
    if stored then return {${STALE_WON}, stored, redis.call('PTTL', value)} end
    return {${WON}}
  end
  if stored then return {${STALE}, stored, redis.call('PTTL', value)} end
  local left = redis.call('PTTL', lease)
  if string.sub(holder, 1, 1) == 'F' then return {${FAILED}, string.sub(holder, 2), left} end
  redis.call('SADD', waiters, ARGV[2])
  redis.call('PEXPIRE', waiters, 60000)
  return {${WAIT}, left}
end
local replies = {}
for i = 1, #KEYS / 3 do
  replies[i] = one(KEYS[3 * i - 2], KEYS[3 * i - 1], KEYS[3 * i], ARGV[2 + i])
end
return replies`)

/**
 * Stores only while the lease still holds the token: what was read before an invalidation has lost its lease.
 * KEYS value, lease, waiters; ARGV wake message, token, kind, body, ttl ms, grace ms. Replies 1 if stored, else 0.
 */
export const fill: Script = new Script(`
if redis.call('GET', KEYS[2]) ~= 'T' .. ARGV[2] then return 0 end
${NOW}
redis.call('SET', KEYS[1], '${FORMAT}' .. ARGV[3] .. string.format('%013d', now + ARGV[5]) .. ARGV[4], 'PX', ARGV[5] + ARGV[6])
redis.call('DEL', KEYS[2])
${WAKE}
return 1`)

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

/** Tells every instance that the key was invalidated. Expects KEYS[4] = log, KEYS[5] = its sequence. */
export const APPEND_TO_LOG = `
local sequence = redis.call('INCR', KEYS[5])
redis.call('XADD', KEYS[4], 'MAXLEN', '~', 10000, '*', 'n', sequence, 'k', ARGV[1])`

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
  local freshUntil = tonumber(string.sub(stored, 3, ${HEADER_LENGTH}))
  if string.sub(stored, 1, 1) == '${FORMAT}' and freshUntil and freshUntil > now then
    redis.call('SETRANGE', KEYS[1], 2, string.format('%013d', now))
  end
end
redis.call('DEL', KEYS[2])
${WAKE}
${APPEND_TO_LOG}
return 1`)

/** Stores a value from a writer, over any load in flight. KEYS as invalidate; ARGV wake message, kind, body, ttl ms, grace ms. */
export const set: Script = new Script(`${NOW}
redis.call('SET', KEYS[1], '${FORMAT}' .. ARGV[2] .. string.format('%013d', now + ARGV[4]) .. ARGV[3], 'PX', ARGV[4] + ARGV[5])
redis.call('DEL', KEYS[2])
${WAKE}
${APPEND_TO_LOG}
return 1`)

/** Removes a value that could not be read, unless it was replaced meanwhile. KEYS value; ARGV the header read. */
export const discard: Script = new Script(`
if redis.call('GETRANGE', KEYS[1], 0, ${HEADER_LENGTH - 1}) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`)

/** Where a new follower of the log begins. KEYS log, sequence. Replies {last id, sequence}. */
export const logPosition: Script = new Script(`
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
return {last[1] and last[1][1] or '0-0', redis.call('GET', KEYS[2]) or '0'}`)
