-- KEYS: the hold, the leases, the epoch, then one counter per claim given.
-- ARGV: the epoch expected, hold id, now, ttl of the tombstone (ms), the record, spent per unit (msgpack), then the
-- meters of the claims that the hold should have, and such claims themselves (msgpack): see conclude.lua.
-- Returns 1 (2: its lease had left a row), 0 where the hold had ended, -1 where it lacks a claim, or STRANGER.
local spent = cmsgpack.unpack(ARGV[6])
local function target(claim)
  return claim.held and (spent[claim.unit] or 0) or claim.amount
end
return conclude('settled', target, cmsgpack.unpack(ARGV[7]), cmsgpack.unpack(ARGV[8]))
