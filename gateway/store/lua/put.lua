-- KEYS: the entries' total size, the index (entry → when it ends), their sizes, then the entries.
-- ARGV: the bound, what keys of entries begin with, then for each entry: id, entry, its size with what keeping it
-- costs, ttl (ms), now.
-- Returns for each entry 1, or 0 where it did not fit. Room is made from what has ended, then from what ends soonest; a
-- bounded number for each, so that one large entry cannot stop the server for long.
local call = redis.call
local EXPIRED, PRESSED, FIELDS = 20, 200, 5
local bound, prefix = tonumber(ARGV[1]), ARGV[2]
-- Reads it by a write that a server out of memory denies. After a deletion it would allow all that follows.
local total = call('INCRBY', KEYS[1], 0)

-- What is kept is indexed together: one command for all instead of one for each. Before anything is looked up, or
-- dropped, the index says what is there.
local ends, sizes, fresh = {}, {}, {} -- fresh: what was kept in this run, indexed or not
local function index()
  if #ends > 0 then
    call('ZADD', KEYS[2], unpack(ends))
    call('HSET', KEYS[3], unpack(sizes))
    ends, sizes = {}, {}
  end
end

local function drop(victim, size)
  total = total - (tonumber(size) or 0)
  call('HDEL', KEYS[3], victim)
  call('ZREM', KEYS[2], victim)
  call('UNLINK', prefix .. victim)
end

-- Each moment is asked once for what has ended.
local swept
local function sweep(now)
  if swept ~= now then
    index()
    for _, victim in ipairs(call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, EXPIRED)) do
      drop(victim, call('HGET', KEYS[3], victim))
    end
    swept = now
  end
end

local function keep(key, id, entry, size, ttl, now, before)
  if fresh[id] then
    index()
    before = call('HGET', KEYS[3], id)
  elseif before then
    before = call('HGET', KEYS[3], id) -- it may have been dropped since
  end
  if before then
    drop(id, before)
  end
  sweep(now)
  local pressed = 0
  while total + size > bound and pressed < PRESSED do
    index()
    local soonest = call('ZRANGE', KEYS[2], 0, 0)[1]
    if not soonest then
      total = 0
      break
    end
    drop(soonest, call('HGET', KEYS[3], soonest))
    pressed = pressed + 1
  end
  if total + size > bound then
    return 0
  end
  call('SET', key, entry, 'PX', ttl)
  local at = #ends
  ends[at + 1], ends[at + 2], sizes[at + 1], sizes[at + 2], fresh[id] = tonumber(now) + ttl, id, id, size, true
  total = total + size
  return 1
end

local ids = {}
for position = 4, #KEYS do
  ids[position - 3] = ARGV[3 + (position - 4) * FIELDS]
end
local before = call('HMGET', KEYS[3], unpack(ids))
local kept = {}
for position = 4, #KEYS do
  local n = position - 3
  local at = 3 + (n - 1) * FIELDS
  local size, ttl = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  kept[n] = keep(KEYS[position], ids[n], ARGV[at + 1], size, ttl, ARGV[at + 4], before[n])
end
index()
call('SET', KEYS[1], total)
return kept
