-- KEYS: the leases, the epoch.
-- ARGV: the epoch expected, now, how many at most, ttl of an expired hold (ms), what the keys begin with, about how many
-- rows stay.
-- Returns for each hold that ended the row it left, or '', or STRANGER. The claims stay with the hold, so that a late
-- settle finds what was charged, and `left` says that it left a row.
if not expected(KEYS[2], ARGV[1]) then
  return STRANGER
end
local now, base, most = tonumber(ARGV[2]), ARGV[5], tonumber(ARGV[6])
local leases, rows = set_of(KEYS[1]), {}
for _, hold in ipairs(call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[2], 'LIMIT', 0, ARGV[3])) do
  local key = base .. 'hold:' .. hold
  local kept = call('HMGET', key, 'phase', 'claims', 'record')
  drop(leases, hold)
  if is_open(kept[1]) then
    local row = kept[3] and append_record(base, record_of(kept[3]), now, most) or ''
    rows[#rows + 1] = row
    local claims = claims_of(kept[2])
    for n = 1, #claims, 4 do
      local limit, amount = limit_of(base, claims[n]), claims[n + 1]
      if limit.slots then
        vacate(limit, hold, (n + 3) / 4, amount, 0)
      else
        local target = kept[1] == 'dispatched' and amount or 0
        claims[n + 3] = charge(limit, amount, claims[n + 2], claims[n + 3], target, now)
        claims[n + 2] = target
      end
    end
    call('HSET', key, 'phase', 'expired', 'claims', packed(claims))
    if row ~= '' then
      call('HSET', key, 'left', 1)
    end
    call('HDEL', key, 'record', 'answer:admit', 'answer:reserve')
    call('PEXPIRE', key, ARGV[4])
  end
end
write_back()
write_rows(base)
return rows
