import { createHash } from 'node:crypto';
import type { Client } from './connection.ts';

/** The pseudo consumer that holds what was given back: its owner no longer owns it, and others find it at once. */
const GIVEN_BACK = 'waybill:given-back';

export interface Script {
  readonly lua: string;
  readonly sha: string;
  /** What servers before 7.0 run instead. */
  readonly old: Script | null;
}

/** @param whenFull Runs on a full server too, as it must to make room: from Redis 7.0 on a script can say so. */
export function script(lua: string, whenFull = false): Script {
  const text = whenFull ? `#!lua flags=allow-oom\n${lua}` : lua;
  return { lua: text, sha: createHash('sha1').update(text).digest('hex'), old: whenFull ? script(lua) : null };
}

/** Runs a script; the server learns it the first time. All strings in the reply are Buffers. */
export async function run<T>(
  client: Client,
  { lua, sha, old }: Script,
  keys: readonly string[],
  args: readonly (string | number | Buffer)[],
): Promise<T> {
  try {
    return (await client.callBuffer('EVALSHA', [sha, keys.length, ...keys, ...args])) as T;
  } catch (error) {
    if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
  }
  try {
    return (await client.callBuffer('EVAL', [lua, keys.length, ...keys, ...args])) as T;
  } catch (error) {
    if (old === null || !(error instanceof Error && error.message.includes('ompiling script'))) throw error;
    return run(client, old, keys, args);
  }
}

// Scripts are not rolled back: each writes in an order in which a failure half-way duplicates rather than loses.

/*
 * ARGV from `first`: ids, ascending. Tells which of them the owner still has pending, because XACK and XCLAIM ask
 * nobody: a late ack would settle what another consumer has claimed, and a blind heartbeat would steal it back. One
 * XPENDING over the range of ids serves nearly always; one call per id only where the owner has many more pending.
 */
const OWN = `
local ids, mine, times, out = {}, {}, {}, {}
local function own(first)
  for i = first, #ARGV do ids[#ids + 1] = ARGV[i] end
  local limit = #ids * 2
  local rows = redis.call('XPENDING', KEYS[1], ARGV[1], ids[1], ids[#ids], limit, ARGV[2])
  local has = {}
  for _, row in ipairs(rows) do has[row[1]] = row[4] end
  for i, id in ipairs(ids) do
    local yes = has[id]
    if not yes and #rows == limit then
      local row = redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1, ARGV[2])[1]
      yes = row and row[4]
    end
    out[i] = yes and '1' or '0'
    if yes then mine[#mine + 1], times[#mine + 1] = id, yes end
  end
end
`;

/** KEYS stream; ARGV group, owner, '1' to delete where no other group reads, ids… → a digit per id. */
export const ACK: Script = script(`${OWN}
own(4)
if #mine > 0 then
  redis.call('XACK', KEYS[1], ARGV[1], unpack(mine))
  if ARGV[3] == '1' and #redis.call('XINFO', 'GROUPS', KEYS[1]) == 1 then redis.call('XDEL', KEYS[1], unpack(mine)) end
end
return table.concat(out)`);

/** KEYS stream; ARGV group, owner, idle ms, ids… → a digit per id. JUSTID keeps the delivery count. */
export const EXTEND: Script = script(`${OWN}
own(4)
if #mine == 0 then return table.concat(out) end
local args = { 'XCLAIM', KEYS[1], ARGV[1], ARGV[2], '0' }
for _, id in ipairs(mine) do args[#args + 1] = id end
for _, word in ipairs({ 'IDLE', ARGV[3], 'JUSTID' }) do args[#args + 1] = word end
local kept = {}
for _, id in ipairs(redis.call(unpack(args))) do kept[id] = true end
for i, id in ipairs(ids) do out[i] = kept[id] and '1' or '0' end
return table.concat(out)`);

/**
 * KEYS stream; ARGV group, owner, idle ms, ids… → a digit per id. Nothing has happened to what is given back, so whoever
 * takes it counts the same delivery, not another: a hundred pauses must not make a message look like poison.
 */
export const GIVE_BACK: Script = script(`${OWN}
own(4)
local alike = {}
for i, id in ipairs(mine) do
  local count = math.max(0, times[i] - 1)
  alike[count] = alike[count] or { 'XCLAIM', KEYS[1], ARGV[1], '${GIVEN_BACK}', '0' }
  table.insert(alike[count], id)
end
for count, args in pairs(alike) do
  for _, word in ipairs({ 'IDLE', ARGV[3], 'RETRYCOUNT', tostring(count), 'JUSTID' }) do args[#args + 1] = word end
  redis.call(unpack(args))
end
return table.concat(out)`);

/**
 * KEYS stream; ARGV group, consumer, count, `own`, lease, `scan` → [own or scan cursor, entries, delivery counts].
 * With `own` (an exclusive id): the consumer's own pending list, from there. Else what was given back, and what has
 * been idle for a lease, from the cursor `scan` ('' to leave that out) over at most some thousand pending entries.
 */
export const TAKE: Script = script(`
local count, ids, cursor = tonumber(ARGV[3]), {}, ARGV[6]
local function list(start, consumer)
  for _, row in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], start, '+', count, consumer)) do ids[#ids + 1] = row[1] end
end
if ARGV[4] ~= '' then
  list('(' .. ARGV[4], ARGV[2])
  cursor = ids[#ids] or ''
else
  list('-', '${GIVEN_BACK}')
  local steps = math.ceil(100 / count)
  while #ids == 0 and cursor ~= '' and steps > 0 do
    local found = redis.call('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[5], cursor, 'COUNT', count, 'JUSTID')
    ids, cursor, steps = found[2], found[1], steps - 1
    if cursor == '0-0' then cursor = '' end
  end
end
if #ids == 0 then return { cursor, {}, {} } end
local entries, counts, alive = {}, {}, {}
for _, entry in ipairs(redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], '0', unpack(ids))) do
  if entry and entry[2] then
    alive[entry[1]] = true
    entries[#entries + 1] = entry
    counts[#counts + 1] = redis.call('XPENDING', KEYS[1], ARGV[1], entry[1], entry[1], 1)[1][4]
  end
end
for _, id in ipairs(ids) do
  if not alive[id] then redis.call('XACK', KEYS[1], ARGV[1], id) end -- deleted from outside: it would linger for ever
end
return { cursor, entries, counts }`);

/** KEYS stream, members (or none); ARGV group, consumer, idle. Gives all back and, its list being empty, removes the consumer. */
export const RELEASE: Script = script(`
if KEYS[2] then redis.call('ZREM', KEYS[2], ARGV[2]) end
for round = 1, 1000 do
  local rows = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 500, ARGV[2])
  if #rows == 0 then return redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2]) end
  local args = { 'XCLAIM', KEYS[1], ARGV[1], '${GIVEN_BACK}', '0' }
  for _, row in ipairs(rows) do args[#args + 1] = row[1] end
  for _, word in ipairs({ 'IDLE', ARGV[3], 'JUSTID' }) do args[#args + 1] = word end
  redis.call(unpack(args))
end
return -1`);
