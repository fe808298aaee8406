-- KEYS: the leases, the epoch.
-- ARGV: the epoch expected, now, how many at most, ttl of an expired hold (ms), what the keys of holds begin with.
-- Returns for each hold that ended the row it left, or '', or STRANGER. The claims stay with the hold, so that a late
-- settle finds what was charged, and `left` says that it left a row.
if not expected(KEYS[2], ARGV[1]) then
  return STRANGER
end
local now, rows = tonumber(ARGV[2]), {}
for _, hold in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[2], 'LIMIT', 0, ARGV[3])) do
  local key = ARGV[5] .. hold
  local kept = redis.call('HMGET', key, 'phase', 'claims', 'record')
  redis.call('ZREM', KEYS[1], hold)
  if is_open(kept[1]) then
    local row = kept[3] and append(cmsgpack.unpack(kept[3]), false, now) or ''
    rows[#rows + 1] = row
    local claims = cmsgpack.unpack(kept[2])
    for position, claim in ipairs(claims) do
      if claim.slots then
        vacate(claim, hold, position)
      else
        charge(claim, kept[1] == 'dispatched' and claim.amount or 0, now)
      end
    end
    redis.call('HSET', key, 'phase', 'expired', 'claims', cmsgpack.pack(claims))
    if row ~= '' then
      redis.call('HSET', key, 'left', 1)
    end
    redis.call('HDEL', key, 'record')
    redis.call('PEXPIRE', key, ARGV[4])
  end
end
return rows
