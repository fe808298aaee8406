-- KEYS: the hold, the leases. ARGV: hold id, now, ttl of the tombstone (ms), spent per unit (msgpack).
-- Returns 1, or 0 where the hold had ended.
local spent = cmsgpack.unpack(ARGV[4])
local function target(claim)
  return claim.held and (spent[claim.unit] or 0) or claim.amount
end
return conclude(KEYS[1], KEYS[2], ARGV[1], 'settled', target, tonumber(ARGV[2]), ARGV[3])
