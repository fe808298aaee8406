-- KEYS: the leases, the epoch; on a cluster, all others that are touched as well.
-- ARGV: the epoch expected, what the keys begin with, ttl of a tombstone (ms), about how many rows stay, how many words
-- follow, those words, and the operations: each a packed list (see lib.lua) with two texts after it, which are large
-- and packed twice otherwise.
-- Executes the operations in order, each of them whole or not at all, and returns what each answers (an error where it
-- failed); or STRANGER. An operation is
--   1, ...          reserve: see claim.lua
--   2, ...          enter, with the key of an answer and the record as it is to be kept: see claim.lua
--   3, ...          the end of a hold, with its row and the late one: see conclude.lua
if not expected(KEYS[2], ARGV[1]) then
  return STRANGER
end
-- First of all a write that a server out of memory denies. After a deletion it would allow all that follows.
call('SETRANGE', KEYS[2], 0, '')
local base, tombstone, most = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])

local function perform(operation, first, second)
  local op = {unpacked(operation)}
  local kind = op[1]
  if kind == 2 then
    return enter(base, op, first, second)
  elseif kind == 3 then
    return conclude(base, op, tombstone, most, first, second)
  end
  return reserve(base, op)
end

return run(base, perform)
