-- KEYS: the leases, the epoch, then the holds.
-- ARGV: the epoch expected, now, lease (ms), what the keys begin with, then the holds' ids.
-- Returns how many are still open, or STRANGER. A hold past its lease is not: its slots may have gone to somebody else.
if not expected(KEYS[2], ARGV[1]) then
  return STRANGER
end
local now, base = tonumber(ARGV[2]), ARGV[4]
local ends = now + tonumber(ARGV[3])
local leases, renewed = set_of(KEYS[1]), 0
for position = 3, #KEYS do
  local hold = ARGV[position + 2]
  local kept = call('HMGET', KEYS[position], 'phase', 'lease', 'claims')
  if is_open(kept[1]) and tonumber(kept[2]) > now then
    if ends > tonumber(kept[2]) then
      call('HSET', KEYS[position], 'lease', ends)
      put(leases, ends, hold)
      extend(base, claims_of(kept[3]), hold, ends)
    end
    renewed = renewed + 1
  end
end
write_back()
return renewed
