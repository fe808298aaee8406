-- KEYS: the leases, the epoch, then the holds. ARGV: the epoch expected, now, lease (ms), then the holds' ids.
-- Returns how many are still open, or STRANGER. A hold past its lease is not: its slots may have gone to somebody else.
if not expected(KEYS[2], ARGV[1]) then
  return STRANGER
end
local now = tonumber(ARGV[2])
local ends = now + tonumber(ARGV[3])
local renewed = 0
for position = 3, #KEYS do
  local hold = ARGV[position + 1]
  local kept = redis.call('HMGET', KEYS[position], 'phase', 'lease', 'claims')
  if is_open(kept[1]) and tonumber(kept[2]) > now then
    if ends > tonumber(kept[2]) then
      redis.call('HSET', KEYS[position], 'lease', whole(ends))
      redis.call('ZADD', KEYS[1], whole(ends), hold)
      extend(cmsgpack.unpack(kept[3]), hold, whole(ends))
    end
    renewed = renewed + 1
  end
end
return renewed
