import { type Script, script } from './scripts.ts';
import { NOW } from './topic-scripts.ts';

/*
 * The scripts of ordered topics. Whatever reads or changes a partition compares the lease first, on the server, so that
 * an owner which was stopped and woken up again can do nothing: not even take an entry by a read that it had begun.
 */

/** Every owner of a partition reads under this name, so that the next one finds what the last one held. */
export const OWNER = 'waybill:owner';

const FENCE = `if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end`;

/**
 * KEYS members; ARGV member, lease, prefix of members that are former selves of it ('' for none) → the live members.
 * Score: until when, by the server's clock, a member counts as live.
 */
export const BEAT: Script = script(
  `${NOW}
if ARGV[3] ~= '' then
  for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    if string.sub(member, 1, #ARGV[3]) == ARGV[3] then redis.call('ZREM', KEYS[1], member) end
  end
end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
return redis.call('ZRANGE', KEYS[1], 0, -1)`,
  true,
);

/**
 * KEYS lease, epoch, streams…; ARGV member, lease, prefix of members whose lease may be taken as that of a former self
 * ('' for none), group → the epoch, and per stream the last delivered id; 0: it is another's. What other consumers have pending becomes the owner's: somebody
 * read by hand.
 */
export const ACQUIRE: Script = script(
  `local held = redis.call('GET', KEYS[1])
if held and (ARGV[3] == '' or string.sub(held, 1, #ARGV[3]) ~= ARGV[3]) then return 0 end
local reply = { 0 }
for i = 3, #KEYS do
  for _, g in ipairs(redis.call('XINFO', 'GROUPS', KEYS[i])) do
    local at = {}
    for j = 1, #g, 2 do at[g[j]] = g[j + 1] end
    if at['name'] == ARGV[4] then reply[i - 1] = at['last-delivered-id'] end
  end
  for _, consumer in ipairs(redis.call('XPENDING', KEYS[i], ARGV[4])[4] or {}) do
    for round = 1, consumer[1] ~= '${OWNER}' and 200 or 0 do
      local rows = redis.call('XPENDING', KEYS[i], ARGV[4], '-', '+', 500, consumer[1])
      if #rows == 0 then break end
      local args = { 'XCLAIM', KEYS[i], ARGV[4], '${OWNER}', '0' }
      for _, row in ipairs(rows) do args[#args + 1] = row[1] end
      args[#args + 1] = 'JUSTID'
      redis.call(unpack(args))
    end
  end
end
reply[1] = redis.call('INCR', KEYS[2])
redis.call('SET', KEYS[1], ARGV[1] .. ':' .. string.format('%.0f', reply[1]), 'PX', ARGV[2])
return reply`,
  true,
);

/** KEYS lease; ARGV its value, ms → 1, or 0 when it is no longer ours. PEXPIRE, since a full server refuses SET. */
export const RENEW: Script = script(`${FENCE}
return redis.call('PEXPIRE', KEYS[1], ARGV[2])`);

/** KEYS lease; ARGV its value. */
export const RELEASE_LEASE: Script = script(`${FENCE}
return redis.call('DEL', KEYS[1])`);

/**
 * KEYS lease, stream; ARGV lease's value, group, count, from, '1' to count no delivery → 0 when it is no longer ours; else, from an id on (without
 * it), [last id looked at or '', entries, delivery counts] of what is pending, and from '>' [the id behind which nothing
 * was delivered, or '' where there may be more, entries].
 */
export const READ: Script = script(`${FENCE}
if ARGV[5] == '1' and ARGV[4] ~= '>' then
  local entries, counts = {}, {}
  local rows = redis.call('XPENDING', KEYS[2], ARGV[2], '(' .. ARGV[4], '+', ARGV[3], '${OWNER}')
  for _, row in ipairs(rows) do
    local entry = redis.call('XRANGE', KEYS[2], row[1], row[1])[1]
    if entry then
      entries[#entries + 1], counts[#counts + 1] = entry, row[4]
    else
      redis.call('XACK', KEYS[2], ARGV[2], row[1])
    end
  end
  return { #rows > 0 and rows[#rows][1] or '', entries, counts }
end
local reply = redis.call('XREADGROUP', 'GROUP', ARGV[2], '${OWNER}', 'COUNT', ARGV[3], 'STREAMS', KEYS[2], ARGV[4])
local found = reply and reply[1] and reply[1][2] or {}
if ARGV[4] == '>' then
  if #found >= tonumber(ARGV[3]) then return { '', found } end
  for _, g in ipairs(redis.call('XINFO', 'GROUPS', KEYS[2])) do
    local at = {}
    for i = 1, #g, 2 do at[g[i]] = g[i + 1] end
    if at['name'] == ARGV[2] then return { at['last-delivered-id'], found } end
  end
  return { '', found }
end
if #found == 0 then return { '', {}, {} } end
local times, entries, counts = {}, {}, {}
local first, last = found[1][1], found[#found][1]
for _, row in ipairs(redis.call('XPENDING', KEYS[2], ARGV[2], first, last, #found, '${OWNER}')) do
  times[row[1]] = row[4]
end
for _, entry in ipairs(found) do
  if entry[2] then
    entries[#entries + 1] = entry
    counts[#counts + 1] = times[entry[1]] or 1
  else
    redis.call('XACK', KEYS[2], ARGV[2], entry[1]) -- deleted from outside: it would linger for ever
  end
end
return { last, entries, counts }`);

/** KEYS stream; ARGV group → the id up to which it was given its entries. */
export const DELIVERED: Script = script(`for _, g in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local at = {}
  for i = 1, #g, 2 do at[g[i]] = g[i + 1] end
  if at['name'] == ARGV[1] then return at['last-delivered-id'] end
end
return '0-0'`);

/** KEYS lease, stream; ARGV lease's value, group, '1' to delete where no other group reads, ids… → 1, or 0 when not ours. */
export const SETTLE: Script = script(`${FENCE}
redis.call('XACK', KEYS[2], ARGV[2], unpack(ARGV, 4))
if ARGV[3] == '1' and #redis.call('XINFO', 'GROUPS', KEYS[2]) == 1 then
  redis.call('XDEL', KEYS[2], unpack(ARGV, 4))
end
return 1`);

/** KEYS lease, stream; ARGV group, id → 'moved', or who is the owner. Drops the pending list. */
export const RESET_PARTITION: Script = script(`local held = redis.call('GET', KEYS[1])
if held then return held end
redis.call('XGROUP', 'DESTROY', KEYS[2], ARGV[1])
redis.call('XGROUP', 'CREATE', KEYS[2], ARGV[1], ARGV[2])
return 'moved'`);
