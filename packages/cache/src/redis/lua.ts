/**
 * What the protocol's scripts are made of. Each begins with the same four keys, KEYS[1] = state, KEYS[2] = log,
 * KEYS[3] = tags, KEYS[4] = marks (`KeyLayout.control`); those about one key go on with KEYS[5] = value, KEYS[6] = lease,
 * KEYS[7] = waiters.
 *
 * The state is a hash, so that an eviction takes all of it or nothing:
 *   e        epoch, random: names this state; values that carry another one are none
 *   n        how many entries the log has had: the protocol's own time
 *   l        id of the last of them
 *   *        n at the last clear of everything; `s:<space>` at the last clear of that space
 *   f        n when Redis was last found to be another server than before; `r` names the server
 *   g, i     n at the last deletion of a tag, and the id of its entry; t: n up to which deletions of tags are no longer known
 *            one by one
 *
 * The marks are a copy of the state's fields but n, l and r, as JSON: what is read in one MGET with values, and all that they
 * are held against (redis/marks.ts). Whatever changes one of these fields writes the copy anew; without
 * it nothing counts for who reads so, and the next script that looks a value up writes it again.
 *
 * A stored value is `<format><kind><fresh until><stored at><epoch><n><load ms><length of meta><meta><body>`; `n` is what
 * the state said before the value was read from its source, and meta `<serializer>|<tags>`. All instants are the server's.
 */

/** Version of the stored form. Another version's values are a miss and are removed. */
export const FORMAT = '2'
/** Where a stored value's fields begin, from 0. */
export const AT = { kind: 1, freshUntil: 2, storedAt: 15, stamp: 28, loadMs: 51, metaLength: 57, meta: 61 } as const
/** Deletions of tags that are known one by one; of those before, it is known only that there were some. */
export const MOST_TAGS = 100_000
/** Entries that the log keeps, about. */
const LOG_LENGTH = 10_000

/** `now`, in ms of the server's clock. */
export const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)`

/** `mark()`: writes the marks. */
export const MARK = `
local function mark()
  local fields, marks = redis.call('HGETALL', KEYS[1]), {}
  for i = 1, #fields, 2 do
    local field = fields[i]
    if field ~= 'n' and field ~= 'l' and field ~= 'r' then marks[field] = fields[i + 1] end
  end
  redis.call('SET', KEYS[4], cjson.encode(marks))
end`

/** `stateFor(space)`: what values of a space are held against; begins an epoch where there is none. */
export const STATE: string = `${MARK}
local function stateFor(space)
  local found = redis.call('HMGET', KEYS[1], 'e', 'n', '*', 's:' .. space, 'f', 'g', 't')
  local epoch = found[1]
  if not epoch then
    local time = redis.call('TIME')
    epoch = string.sub(redis.sha1hex(time[1] .. '.' .. time[2]), 1, 10)
    redis.call('HSET', KEYS[1], 'e', epoch)
  end
  local marks = redis.pcall('GET', KEYS[4])
  if type(marks) ~= 'string' or not string.find(marks, '"e":"' .. epoch .. '"', 1, true) then mark() end
  local sequence = tonumber(found[2] or 0)
  return {
    stamp = epoch .. string.format('%013d', sequence),
    epoch = epoch,
    cleared = math.max(tonumber(found[3] or 0), tonumber(found[4] or 0)),
    suspect = tonumber(found[5] or 0),
    tagged = found[6],
    floor = tonumber(found[7] or 0),
  }
end`

/** `counts(state, stamp, tags)`: nothing that a value with this stamp and these tags is under was deleted since. */
export const COUNTS = `
local function counts(state, stamp, tags)
  if string.sub(stamp, 1, 10) ~= state.epoch then return false end
  local sequence = tonumber(string.sub(stamp, 11))
  if not sequence or sequence < state.cleared then return false end
  if tags == '' or not state.tagged then return true end
  if sequence < state.floor or redis.call('EXISTS', KEYS[3]) == 0 then return false end
  for tag in string.gmatch(tags, '[^,]+') do
    local deletedAt = redis.call('ZSCORE', KEYS[3], tag)
    if deletedAt and tonumber(deletedAt) > sequence then return false end
  end
  return true
end`

/** `wake(waiters, message)`: tells every instance that waits for this key to look again. */
export const WAKE = `
local function wake(waiters, message)
  local waiting = redis.call('SMEMBERS', waiters)
  if #waiting == 0 then return end
  redis.call('DEL', waiters)
  for _, channel in ipairs(waiting) do redis.call('PUBLISH', channel, message) end
end`

/**
 * `appendTo(log, state, kind, subject)`: tells every instance, and returns the entry's number. Each entry names the one
 * before it.
 */
export const APPEND_TO: string = `
local function appendTo(log, state, kind, subject)
  local previous = redis.call('HGET', state, 'l') or ''
  local sequence = redis.call('HINCRBY', state, 'n', 1)
  local id = redis.call('XADD', log, 'MAXLEN', '~', ${LOG_LENGTH}, '*', 'p', previous, 'k', kind, 's', subject, 'n', sequence)
  redis.call('HSET', state, 'l', id)
  return sequence
end`

/** `append(kind, subject)`: the same, to the log of the script's own control keys. */
export const APPEND: string = `${APPEND_TO}
local function append(kind, subject)
  return appendTo(KEYS[2], KEYS[1], kind, subject)
end`

/**
 * `store(value, kind, body, stamp, ttl, grace, load ms, meta)`: needs NOW. The life in Redis is ttl + grace,
 * by the same reading of the clock as freshness: the difference is the grace, to the millisecond.
 */
export const STORE: string = `
local function store(value, kind, body, stamp, ttl, grace, loadMs, meta)
  local header = '${FORMAT}' .. kind .. string.format('%013d%013d', now + ttl, now) .. stamp
    .. string.format('%06d%04d', loadMs, #meta) .. meta
  redis.call('SET', value, header .. body, 'PXAT', now + ttl + grace)
end`
