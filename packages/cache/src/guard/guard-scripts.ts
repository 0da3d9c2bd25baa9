/**
 * The guard's protocol, as the scripts that Redis runs one at a time; the reasons are in bloom-guard.ts.
 *
 * The header is one hash, so that it is whole or gone. What is known of the instances lies in it too: a key of its own
 * could be evicted alone.
 *
 *   state       building (never complete yet) | ready | suspect (complete once, and not to be believed)
 *   epoch       the bits that answers come from, with size, hashes, entries, builtAt, highWater
 *   next        the bits being filled beside them, with nextSize, nextHashes, nextEntries: every add goes to both
 *   version     how keys are hashed
 *   server      the history of writes that the bits are part of: another one after a restart or a failover
 *   sequence    counts adds; begins at the time of day, so that no two histories count alike
 *   m:<i>       until when instance i is known to be there, and nextLapse: the earliest of them
 *   t:<i>       until when instance i answers by its own copy; h:<i> what it has heard of; g:<i> what it must have heard
 *               of to go on
 *   w:<i>       the channel of instance i, which waits until copies have heard of an add
 *   distrust    until when copies of an earlier history may still be believed somewhere
 */

import { GUARD_WAKE } from '../keys.js'
import { APPEND_TO } from '../redis/lua.js'
import { Script } from '../redis/script.js'
import { CHUNK_BITS } from './filter.js'
import { HASH_VERSION } from './hashing.js'

/** The server's time, and its history: the id that replication gives it; none where it is not a master. */
const HERE = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local replication = redis.call('INFO', 'replication')
local server = string.find(replication, 'role:master', 1, true) and string.match(replication, 'master_replid:(%w+)') or ''`

/** The header's fields, and whether it can be worked with: of this history, and hashed as we do. */
const HEADER = `${HERE}
local flat = redis.call('HGETALL', KEYS[1])
local header = {}
for i = 1, #flat, 2 do header[flat[i]] = flat[i + 1] end
local ours = header.state and header.version == '${HASH_VERSION}' and header.server == server`

/**
 * KEYS header; ARGV instance, whether it stays (1 or 0), until when at the latest ('' for no limit), ms it stays. Replies
 * {now, state, epoch, size, hashes, sequence, entries, age in ms, highWater, next, nextSize, nextHashes, ms since an instance
 * has lapsed (negative: none has), builder at work}, or {now, 'none' | 'foreign'}.
 */
export const beat: Script = new Script(
  'beat',
  `${HEADER}
if not header.state then return {now, 'none'} end
if not ours then return {now, 'foreign'} end
if ARGV[2] == '1' then
  local stays = now + ARGV[4]
  if ARGV[3] ~= '' then stays = math.min(stays, tonumber(ARGV[3])) end
  header['m:' .. ARGV[1]] = stays
  redis.call('HSET', KEYS[1], 'm:' .. ARGV[1], string.format('%.0f', stays))
end
local earliest = math.huge
for field, value in pairs(header) do
  local kind = string.sub(field, 1, 2)
  if kind == 'm:' then
    earliest = math.min(earliest, tonumber(value))
  elseif kind == 't:' and tonumber(value) < now - 60000 then
    local instance = string.sub(field, 3)
    redis.call('HDEL', KEYS[1], field, 'h:' .. instance, 'g:' .. instance, 'w:' .. instance)
  end
end
local lapsed = -1
if earliest < math.huge then
  redis.call('HSET', KEYS[1], 'nextLapse', string.format('%.0f', earliest))
  lapsed = now - earliest
else
  redis.call('HDEL', KEYS[1], 'nextLapse')
end
return {now, header.state, header.epoch, header.size or '', header.hashes or '', header.sequence, header.entries or '0',
  now - (header.builtAt or now), header.highWater or '', header.next or '', header.nextSize or '',
  header.nextHashes or '', lapsed, redis.call('EXISTS', KEYS[2])}`,
)

/**
 * Answers for keys, and lets the instance answer by its own copy for a while. KEYS header, chunks; ARGV instance, epoch, what
 * it has heard of ('' if it does not ask to), ms, hashes a key, then the length of each chunk, then the positions in the
 * chunks, one after the other. Replies {whether it may, sequence, a 1 (maybe) or 0 (no) for each key}, or {-1}: not known.
 */
export const check: Script = new Script(
  'check',
  `${HERE}
local header = redis.call('HMGET', KEYS[1], 'state', 'epoch', 'version', 'server', 'nextLapse', 'sequence', 'g:' .. ARGV[1],
  'h:' .. ARGV[1])
if header[1] ~= 'ready' or header[2] ~= ARGV[2] or header[3] ~= '${HASH_VERSION}' or header[4] ~= server then return {-1} end
if header[5] and now > tonumber(header[5]) then return {-1} end
local chunks = #KEYS - 1
for i = 1, chunks do
  if redis.call('STRLEN', KEYS[i + 1]) ~= tonumber(ARGV[5 + i]) then
    redis.call('HSET', KEYS[1], 'state', 'suspect')
    return {-1}
  end
end
local granted = 0
if ARGV[3] ~= '' and (not header[7] or tonumber(ARGV[3]) >= tonumber(header[7])) then
  redis.call('HSET', KEYS[1], 't:' .. ARGV[1], string.format('%.0f', now + ARGV[4]), 'g:' .. ARGV[1], header[6])
  if not header[8] or tonumber(ARGV[3]) > tonumber(header[8]) then redis.call('HSET', KEYS[1], 'h:' .. ARGV[1], ARGV[3]) end
  granted = 1
end
local hashes = tonumber(ARGV[5])
local answers = {}
for first = 6 + chunks, #ARGV, hashes do
  local answer = '1'
  for i = first, first + hashes - 1 do
    local chunk = math.floor(ARGV[i] / ${CHUNK_BITS})
    if redis.call('GETBIT', KEYS[chunk + 2], ARGV[i] - chunk * ${CHUNK_BITS}) == 0 then
      answer = '0'
      break
    end
  end
  answers[#answers + 1] = answer
end
return {granted, header[6], table.concat(answers)}`,
)

/**
 * Records a key, and tells every copy of it. KEYS header, log, log's sequence, chunks of the epoch, chunks of the next; ARGV
 * instance, its wake channel, space, key, epoch, next, number of the epoch's chunks, of the next one's, hashes of the epoch,
 * of the next, then the length of each chunk, then the positions. Replies {'recorded', sequence, copies that have to hear of
 * it, ms for which copies of an earlier history may be believed, history} | {'moved'}: the header names others | {'none'}:
 * there is nothing to record it in, and whoever begins to build waits for the transaction that asked.
 */
export const add: Script = new Script(
  'add',
  `${HEADER}
if not header.state then return {'none'} end
if not ours then
  if header.version ~= '${HASH_VERSION}' then
    redis.call('HSET', KEYS[1], 'state', 'suspect')
    redis.call('HDEL', KEYS[1], 'next')
  end
  return {'none'}
end
if header.epoch ~= ARGV[5] or (header.next or '') ~= ARGV[6] then return {'moved'} end
local chunks = {tonumber(ARGV[7]), tonumber(ARGV[8])}
local hashes = {tonumber(ARGV[9]), tonumber(ARGV[10])}
local key, length, position = 4, 11, 11 + chunks[1] + chunks[2]
local function record(which)
  local whole = true
  for i = 0, chunks[which] - 1 do
    if redis.call('STRLEN', KEYS[key + i]) ~= tonumber(ARGV[length + i]) then whole = false end
  end
  local fresh = 0
  if whole then
    for i = position, position + hashes[which] - 1 do
      local chunk = math.floor(ARGV[i] / ${CHUNK_BITS})
      if redis.call('SETBIT', KEYS[key + chunk], ARGV[i] - chunk * ${CHUNK_BITS}, 1) == 0 then fresh = 1 end
    end
  end
  key, length, position = key + chunks[which], length + chunks[which], position + hashes[which]
  return whole, fresh
end
local whole, fresh = record(1)
if not whole then redis.call('HSET', KEYS[1], 'state', 'suspect') end
redis.call('HINCRBY', KEYS[1], 'entries', fresh)
whole, fresh = record(2)
if not whole then redis.call('HDEL', KEYS[1], 'next') else redis.call('HINCRBY', KEYS[1], 'nextEntries', fresh) end
redis.call('HINCRBY', KEYS[1], 'sequence', 1)
local sequence = redis.call('HGET', KEYS[1], 'sequence')
${APPEND_TO}
appendTo(KEYS[2], KEYS[3], 'guard?', ARGV[3] .. ':' .. sequence .. ':' .. ARGV[4])
local copies = 0
for field, value in pairs(header) do
  if string.sub(field, 1, 2) == 't:' and string.sub(field, 3) ~= ARGV[1] and tonumber(value) > now then copies = copies + 1 end
end
if copies > 0 then redis.call('HSET', KEYS[1], 'w:' .. ARGV[1], ARGV[2]) end
return {'recorded', sequence, copies, (header.distrust or now) - now, server}`,
)

/** `heard`: for each copy that is believed what it has heard of. Copies of an earlier history nobody knows: `unknown`. */
const HEARD = `
local unknown = not ours or tonumber(header.distrust or now) > now
local heard = {}
for field, value in pairs(header) do
  local instance = string.sub(field, 3)
  if string.sub(field, 1, 2) == 't:' and tonumber(value) > now then heard[instance] = tonumber(header['h:' .. instance]) end
end
local function leastBeside(own)
  local least
  for instance, sequence in pairs(heard) do
    if instance ~= own and (not least or sequence < least) then least = sequence end
  end
  return string.format('%.0f', least or header.sequence)
end`

/**
 * KEYS header; ARGV instance. Replies {history, up to which of its adds every other copy that is believed has heard}, or {}
 * where that is not known.
 */
export const leastHeard: Script = new Script(
  'leastHeard',
  `${HEADER}${HEARD}
if unknown then return {} end
return {server, leastBeside(ARGV[1])}`,
)

/**
 * KEYS header; ARGV instance, sequence, space. Says what a copy that is believed has heard of, and tells those who wait for
 * it, until there is nothing left to wait for.
 */
export const hear: Script = new Script(
  'hear',
  `${HEADER}
if not header['t:' .. ARGV[1]] then return 0 end
redis.call('HSET', KEYS[1], 'h:' .. ARGV[1], ARGV[2])
header['h:' .. ARGV[1]] = ARGV[2]${HEARD}
if unknown then return 0 end
for field, channel in pairs(header) do
  if string.sub(field, 1, 2) == 'w:' then
    local least = leastBeside(string.sub(field, 3))
    redis.call('PUBLISH', channel, ARGV[3] .. ":${GUARD_WAKE}" .. server .. ':' .. least)
    if tonumber(least) >= tonumber(header.sequence) then redis.call('HDEL', KEYS[1], field) end
  end
end
return 1`,
)

/** KEYS header; ARGV instance. It has nothing left to tell. */
export const leave: Script = new Script(
  'leave',
  `
redis.call('HDEL', KEYS[1], 'm:' .. ARGV[1], 't:' .. ARGV[1], 'h:' .. ARGV[1], 'g:' .. ARGV[1], 'w:' .. ARGV[1])
return 1`,
)

/** KEYS header; ARGV epoch. */
export const suspect: Script = new Script(
  'suspect',
  `
if redis.call('HGET', KEYS[1], 'epoch') == ARGV[1] then redis.call('HSET', KEYS[1], 'state', 'suspect') end
return 1`,
)

/**
 * Opens an epoch, whose chunks are there already: from now on every add goes to it too. KEYS header, build; ARGV epoch, size,
 * hashes, lease ms, ms for which a copy may be believed, ms after which an instance that has lapsed is given up, the
 * epoch that it is to replace ('' for none). Replies 1 to the one builder. A header of another history still tells which
 * instances there are: one that is cut off lets its adds go ahead because it is overdue, which a new header has to know.
 */
export const begin: Script = new Script(
  'begin',
  `${HEADER}
if server == '' then return redis.error_reply('READONLY this server is not the master') end
if ours and header.epoch ~= ARGV[7] then return 0 end
if not redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[4]) then return 0 end
if not ours then
  local there, earliest = {}, nil
  for field, value in pairs(header) do
    if string.sub(field, 1, 2) == 'm:' and tonumber(value) >= now - ARGV[6] then
      there[#there + 1] = field
      there[#there + 1] = value
      if not earliest or tonumber(value) < tonumber(earliest) then earliest = value end
    end
  end
  if earliest then
    there[#there + 1] = 'nextLapse'
    there[#there + 1] = earliest
  end
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'state', 'building', 'epoch', '', 'version', '${HASH_VERSION}', 'server', server,
    'sequence', string.format('%.0f', now * 1000), 'distrust', string.format('%.0f', now + ARGV[5]), unpack(there))
else
  for field, value in pairs(header) do
    if string.sub(field, 1, 2) == 'm:' and tonumber(value) < now - ARGV[6] then
      redis.call('HDEL', KEYS[1], field)
      if header.state == 'ready' then redis.call('HSET', KEYS[1], 'state', 'suspect') end
    end
  end
end
redis.call('HSET', KEYS[1], 'next', ARGV[1], 'nextSize', ARGV[2], 'nextHashes', ARGV[3], 'nextEntries', 0)
return 1`,
)

/** KEYS chunk; ARGV bytes, ms until it goes by itself. A chunk of an epoch that is not open yet. */
export const makeChunk: Script = new Script(
  'makeChunk',
  `
redis.call('SETRANGE', KEYS[1], ARGV[1] - 1, '\\0')
return redis.call('PEXPIRE', KEYS[1], ARGV[2])`,
)

/** KEYS build; ARGV epoch, lease ms. Replies 1 while the right to build is still ours. */
export const renewBuild: Script = new Script(
  'renewBuild',
  `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])`,
)

/** KEYS header, build; ARGV epoch. */
export const abandonBuild: Script = new Script(
  'abandonBuild',
  `
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[2])
if redis.call('HGET', KEYS[1], 'next') == ARGV[1] then redis.call('HDEL', KEYS[1], 'next') end
return 1`,
)

/**
 * Adds what was scanned to what was added meanwhile; from then on the chunk does not go by itself. KEYS build, chunk, place
 * to put it in between; ARGV epoch, bytes. Replies 1, or 0 if either is lost.
 */
export const mergeChunk: Script = new Script(
  'mergeChunk',
  `
if redis.call('GET', KEYS[1]) ~= ARGV[1] or redis.call('STRLEN', KEYS[2]) ~= #ARGV[2] then return 0 end
redis.call('SET', KEYS[3], ARGV[2])
redis.call('BITOP', 'OR', KEYS[2], KEYS[2], KEYS[3])
redis.call('DEL', KEYS[3])
return 1`,
)

/** KEYS header, build, chunks; ARGV epoch, entries, highWater ('' for none), length of each chunk. Replies 1 if the epoch is the one that answers now. */
export const finish: Script = new Script(
  'finish',
  `${HEADER}
if not ours or redis.call('GET', KEYS[2]) ~= ARGV[1] or header.next ~= ARGV[1] then return 0 end
for i = 3, #KEYS do
  if redis.call('STRLEN', KEYS[i]) ~= tonumber(ARGV[i + 1]) then return 0 end
end
redis.call('HSET', KEYS[1], 'state', 'ready', 'epoch', ARGV[1], 'size', header.nextSize, 'hashes', header.nextHashes,
  'entries', ARGV[2] + header.nextEntries, 'builtAt', string.format('%.0f', now), 'highWater', ARGV[3])
redis.call('HDEL', KEYS[1], 'next', 'nextSize', 'nextHashes', 'nextEntries')
redis.call('DEL', KEYS[2])
return 1`,
)
