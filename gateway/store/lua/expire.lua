-- KEYS: the leases. ARGV: now, how many at most, ttl of an expired hold (ms), what the keys of holds begin with.
-- Returns how many leases had ended. The claims stay with the hold, so that a late settle finds what was charged.
local now = tonumber(ARGV[1])
local late = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
for _, hold in ipairs(late) do
  local key = ARGV[4] .. hold
  local kept = redis.call('HMGET', key, 'phase', 'claims')
  redis.call('ZREM', KEYS[1], hold)
  if is_open(kept[1]) then
    local claims = cmsgpack.unpack(kept[2])
    for position, claim in ipairs(claims) do
      if claim.slots then
        vacate(claim, hold, position)
      else
        charge(claim, kept[1] == 'dispatched' and claim.amount or 0, now)
      end
    end
    redis.call('HSET', key, 'phase', 'expired', 'claims', cmsgpack.pack(claims))
    redis.call('PEXPIRE', key, ARGV[3])
  end
end
return #late
