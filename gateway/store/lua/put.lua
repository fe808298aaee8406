-- KEYS: the entry, the index (entry → when it ends), their sizes, their total.
-- ARGV: id, entry, its size with what keeping it costs, ttl (ms), now, the bound, what keys of entries begin with.
-- Returns 1, or 0 where it did not fit. Room is made from what has ended, then from what ends soonest; a bounded
-- number per call, so that one large entry cannot stop the server for long.
local EXPIRED, PRESSED = 20, 200
local id, size, bound = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[6])
if size > bound then
  return 0
end
-- Reads it by a write that a server out of memory denies. After a deletion it would allow all that follows.
local total = redis.call('INCRBY', KEYS[4], 0)

local function drop(victim)
  total = total - (tonumber(redis.call('HGET', KEYS[3], victim)) or 0)
  redis.call('HDEL', KEYS[3], victim)
  redis.call('ZREM', KEYS[2], victim)
  redis.call('UNLINK', ARGV[7] .. victim)
end

drop(id)
for _, victim in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[5], 'LIMIT', 0, EXPIRED)) do
  drop(victim)
end
local pressed = 0
while total + size > bound and pressed < PRESSED do
  local soonest = redis.call('ZRANGE', KEYS[2], 0, 0)[1]
  if not soonest then
    total = 0
    break
  end
  drop(soonest)
  pressed = pressed + 1
end

local fits = total + size <= bound
if fits then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[4])
  redis.call('ZADD', KEYS[2], string.format('%.0f', tonumber(ARGV[5]) + tonumber(ARGV[4])), id)
  redis.call('HSET', KEYS[3], id, ARGV[3])
  total = total + size
end
redis.call('SET', KEYS[4], string.format('%.0f', total))
return fits and 1 or 0
