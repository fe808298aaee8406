-- KEYS: as enter.lua. ARGV: as enter.lua, for operations that end holds, which are most of what leaves off the
-- clients' paths. Returns what each answers, or STRANGER.
if not expected(KEYS[2], ARGV[1]) then
  return STRANGER
end
-- First of all a write that a server out of memory denies. After a deletion it would allow all that follows.
call('SETRANGE', KEYS[2], 0, '')
local base, tombstone, most = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])

local function perform(operation, row, late)
  return conclude(base, {unpacked(operation)}, tombstone, most, row, late)
end

return run(base, perform)
