import { type Script, script } from './scripts.ts';

export const NOW = `
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
`;

const FIELD = `
local function field(reply, name)
  for i = 1, #reply, 2 do if reply[i] == name then return reply[i + 1] end end
end
local function group(name)
  for _, g in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do if field(g, 'name') == name then return g end end
end
`;

/** KEYS stream, due, members (or none); ARGV consumer. Moves what is due → ms to the next one, -1 for none. */
export const MOVE: Script = script(`${NOW}
local seen = KEYS[3] and tonumber(redis.call('ZSCORE', KEYS[3], ARGV[1]) or 0)
if seen and now - seen > 2000 then
  redis.pcall('ZADD', KEYS[3], now, ARGV[1])
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now - 3600000)
end
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 100)) do
  local id = redis.call('XADD', KEYS[1], 'NOMKSTREAM', '*', unpack(cmsgpack.unpack(string.sub(member, 17))))
  if not id then return -1 end
  redis.call('ZREM', KEYS[2], member)
end
local first = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
return first[2] and math.max(0, first[2] - now) or -1`);

/**
 * KEYS stream, due, a dedup mark per message where there is a window; ARGV window, then per message: a number for its
 * ordering key (0: none), delay, 16 random bytes where there is a delay, number of fields, fields… → per message its id,
 * '' when held back, '~' when an earlier one of its key was refused, or '!' and the error; or 0: no stream.
 */
export const SEND: Script = script(`${NOW}
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local out, at, window, refused = {}, 3, ARGV[1], {}
while at <= #ARGV do
  local m = #out + 1
  local key, delay, last = ARGV[at - 1], tonumber(ARGV[at]), at + 2 + ARGV[at + 2]
  local id = refused[key] and '~' or window ~= '0' and redis.call('GET', KEYS[2 + m])
  if not id then
    if delay > 0 then
      local fields = {}
      for i = at + 3, last do fields[#fields + 1] = ARGV[i] end
      -- A millisecond more, because now is rounded down.
      id = redis.pcall('ZADD', KEYS[2], now + 1 + delay, ARGV[at + 1] .. cmsgpack.pack(fields))
      if type(id) == 'number' then id = '' end
    else
      id = redis.pcall('XADD', KEYS[1], '*', unpack(ARGV, at + 3, last))
    end
    if type(id) == 'table' then
      id = '!' .. id.err
      if key ~= '0' then refused[key] = true end
    elseif window ~= '0' then
      redis.pcall('SET', KEYS[2 + m], id, 'PX', window)
    end
  end
  out[m] = id
  at = last + 2
end
return out`);

/**
 * KEYS stream; ARGV body and headers of each message → per message its id, or '!' and the error; or 0: no stream. A
 * pipeline of XADD says the same, at twice the cost for the client.
 */
export const ADD: Script = script(`if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local out = {}
for at = 1, #ARGV, 2 do
  local id = redis.pcall('XADD', KEYS[1], '*', 'body', ARGV[at], 'headers', ARGV[at + 1])
  out[#out + 1] = type(id) == 'table' and '!' .. id.err or id
end
return out`);

/** KEYS stream; ARGV group ('' for none), id, '1' to create → 'made', 'there' or what is missing. */
export const CREATE: Script = script(`${FIELD}
local exists = redis.call('EXISTS', KEYS[1]) == 1
if exists and (ARGV[1] == '' or group(ARGV[1])) then return 'there' end
if ARGV[3] ~= '1' then return exists and 'group' or 'stream' end
if ARGV[1] == '' then
  redis.call('XGROUP', 'CREATE', KEYS[1], 'waybill:new', '0', 'MKSTREAM')
  redis.call('XGROUP', 'DESTROY', KEYS[1], 'waybill:new')
  return 'made'
end
local args = { 'XGROUP', 'CREATE', KEYS[1], ARGV[1], ARGV[2], 'MKSTREAM' }
-- Without it the lag of a group that starts at the end of a stream is unknown (Redis 7 and later).
local added = exists and ARGV[2] == '$' and field(redis.call('XINFO', 'STREAM', KEYS[1]), 'entries-added')
if added then args[7], args[8] = 'ENTRIESREAD', added end
redis.call(unpack(args))
return 'made'`);

/** KEYS stream, members; ARGV group, id, ms that a consumer counts as live → 'moved', or who is live. Drops the pending list. */
export const RESET: Script = script(`${NOW}
local live = redis.call('ZRANGEBYSCORE', KEYS[2], now - ARGV[3], '+inf')
if #live > 0 then return table.concat(live, ', ') end
redis.call('XGROUP', 'DESTROY', KEYS[1], ARGV[1])
redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], ARGV[2])
return 'moved'`);

/** KEYS stream, due; ARGV group, cap → [exists, undelivered, pending, held back, oldest id or '', capped, now]. */
export const LAG: Script = script(`${NOW}${FIELD}
local g = redis.call('EXISTS', KEYS[1]) == 1 and group(ARGV[1])
if not g then return { 0 } end
local after = '(' .. field(g, 'last-delivered-id')
local first = redis.call('XRANGE', KEYS[1], after, '+', 'COUNT', 1)[1]
local count, capped = field(g, 'lag'), 0
if not first then
  count = 0
elseif not count then
  count = 0
  local start = after
  repeat
    local page = redis.call('XRANGE', KEYS[1], start, '+', 'COUNT', 1000)
    count = count + #page
    if #page > 0 then start = '(' .. page[#page][1] end
    if count >= tonumber(ARGV[2]) then capped = 1 end
  until #page < 1000 or capped == 1
end
local pending = field(g, 'pending')
local oldest = pending > 0 and redis.call('XPENDING', KEYS[1], ARGV[1])[2] or (first and first[1]) or ''
return { 1, count, pending, redis.call('ZCARD', KEYS[2]), oldest, capped, now }`);

/**
 * KEYS stream, settings; ARGV default retention → how many were removed. Never past the first entry that some group has
 * not settled: its first pending one, or the one after its last delivered. Without a group nothing is removed.
 */
export const TRIM: Script = script(`${NOW}${FIELD}
local function parts(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return ms, seq
end
local function less(a, b)
  local am, as = parts(a)
  local bm, bs = parts(b)
  if am ~= bm then return tonumber(am) < tonumber(bm) end
  if #as ~= #bs then return #as < #bs end
  return as < bs
end
local lowest
for _, g in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local need = field(g, 'last-delivered-id')
  local ms, seq = parts(need)
  if #seq < 15 then need = ms .. '-' .. string.format('%.0f', seq + 1) end
  if field(g, 'pending') > 0 then
    local first = redis.call('XPENDING', KEYS[1], field(g, 'name'))[2]
    if less(first, need) then need = first end
  end
  if not lowest or less(need, lowest) then lowest = need end
end
if not lowest then return 0 end
local keep = tonumber(redis.call('HGET', KEYS[2], 'retention') or ARGV[1])
local cut = string.format('%.0f', math.max(0, now - keep)) .. '-0'
if keep > 0 and less(cut, lowest) then lowest = cut end
return redis.call('XTRIM', KEYS[1], 'MINID', lowest)`);

/** KEYS stream → the id from which on all is held; '' when nothing was removed, as far as the server can tell. */
export const OLDEST: Script = script(`${FIELD}
if redis.call('EXISTS', KEYS[1]) == 0 then return '' end
local info = redis.call('XINFO', 'STREAM', KEYS[1])
local added, first = field(info, 'entries-added'), field(info, 'first-entry')
if added and added == field(info, 'length') then return '' end
return first and first[1] or field(info, 'last-generated-id')`);
