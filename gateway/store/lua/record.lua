-- KEYS: a hash of records, the version. ARGV: kind, id, channel, and the record; without one it is deleted.
-- Returns 1, or 0 where there was nothing to delete. Whoever listens hears of every change, and the version tells
-- those who missed it.
if ARGV[4] then
  redis.call('HSET', KEYS[1], ARGV[2], ARGV[4])
elseif redis.call('HDEL', KEYS[1], ARGV[2]) == 0 then
  return 0
end
local version = redis.call('INCR', KEYS[2])
redis.call('PUBLISH', ARGV[3], string.format('%.0f', version) .. ':' .. ARGV[1] .. ':' .. ARGV[2])
return 1
