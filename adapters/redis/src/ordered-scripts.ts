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
 * KEYS lease, stream; ARGV lease's value, group, count, from, ids to leave out… → 0 when it is no longer ours; else, from
 * an id on (without it), [last id looked at or '', entries, delivery counts] of what is pending, and from '>' [the id
 * behind which nothing was delivered, or '' where there may be more, entries].
 */
export const READ: Script = script(`${FENCE}
if ARGV[4] == '>' then
  local reply = redis.call('XREADGROUP', 'GROUP', ARGV[2], '${OWNER}', 'COUNT', ARGV[3], 'STREAMS', KEYS[2], '>')
  local found = reply and reply[1] and reply[1][2] or {}
  if #found >= tonumber(ARGV[3]) then return { '', found } end
  for _, g in ipairs(redis.call('XINFO', 'GROUPS', KEYS[2])) do
    local at = {}
    for i = 1, #g, 2 do at[g[i]] = g[i + 1] end
    if at['name'] == ARGV[2] then return { at['last-delivered-id'], found } end
  end
  return { '', found }
end
local out, ids, times, entries, counts, alive = {}, {}, {}, {}, {}, {}
for i = 5, #ARGV do out[ARGV[i]] = true end
local rows = redis.call('XPENDING', KEYS[2], ARGV[2], '(' .. ARGV[4], '+', ARGV[3], '${OWNER}')
for _, row in ipairs(rows) do
  if not out[row[1]] then ids[#ids + 1], times[row[1]] = row[1], row[4] + 1 end
end
if #ids > 0 then
  for _, entry in ipairs(redis.call('XCLAIM', KEYS[2], ARGV[2], '${OWNER}', '0', unpack(ids))) do
    if entry and entry[2] then
      entries[#entries + 1], counts[#counts + 1], alive[entry[1]] = entry, times[entry[1]], true
    end
  end
  for _, id in ipairs(ids) do
    if not alive[id] then redis.call('XACK', KEYS[2], ARGV[2], id) end -- deleted from outside: it would linger for ever
  end
end
return { #rows > 0 and rows[#rows][1] or '', entries, counts }`);

/**
 * KEYS lease, stream; ARGV lease's value, group, ids… These were given back unhandled: their delivery was none, or
 * whoever stands behind a message that kills its consumers would be given up with it.
 */
export const UNCOUNT: Script = script(`${FENCE}
for i = 3, #ARGV do
  local row = redis.call('XPENDING', KEYS[2], ARGV[2], ARGV[i], ARGV[i], 1, '${OWNER}')[1]
  if row then
    local count = tostring(math.max(0, row[4] - 1))
    redis.call('XCLAIM', KEYS[2], ARGV[2], '${OWNER}', '0', ARGV[i], 'RETRYCOUNT', count, 'JUSTID')
  end
end
return 1`);

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
