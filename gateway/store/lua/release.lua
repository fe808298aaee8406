-- KEYS: the hold, the leases. ARGV: hold id, now, ttl of the tombstone (ms).
-- Returns 1, or 0 where the hold had ended.
local function target()
  return 0
end
return conclude(KEYS[1], KEYS[2], ARGV[1], 'released', target, tonumber(ARGV[2]), ARGV[3])
