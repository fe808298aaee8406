-- KEYS: the hold, the leases, the epoch. ARGV: the epoch expected, hold id, now, lease (ms), the record ('' for none).
-- Marks the hold: from here on the upstream may have been paid. Where nothing was reserved, makes it; where it has
-- ended, or the store is not the one expected, does nothing. Returns 1 or 0.
if not expected(KEYS[3], ARGV[1]) then
  return 0
end
local phase = call('HGET', KEYS[1], 'phase')
if phase and not is_open(phase) then
  return 0
end
if not phase then
  local ends = tonumber(ARGV[3]) + tonumber(ARGV[4])
  call('HSET', KEYS[1], 'lease', ends, 'claims', '')
  call('ZADD', KEYS[2], ends, ARGV[2])
end
call('HSET', KEYS[1], 'phase', 'dispatched')
if ARGV[5] ~= '' then
  call('HSET', KEYS[1], 'record', ARGV[5])
end
return 1
