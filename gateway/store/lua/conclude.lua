-- Ending one hold: what settle and release share.
--
-- KEYS: the hold, the leases, the epoch, then one counter per claim given.
-- ARGV: the epoch expected, hold id, now, ttl of the tombstone (ms), the record (msgpack, '' for none).

local function charge_all(claims, given, target, hold, now)
  local had = {}
  for position, claim in ipairs(claims) do
    had[claim.meter] = true
    if claim.slots then
      vacate(claim, hold, position)
    else
      charge(claim, target(claim), now)
    end
  end
  for position, claim in ipairs(given) do
    if not had[claim.meter] then
      claim.key, claim.charged, claim.at = KEYS[position + 3], 0, now
      charge(claim, target(claim), now)
    end
  end
end

local function lacks(claims, meters)
  local had = {}
  for _, claim in ipairs(claims) do
    had[claim.meter] = true
  end
  for _, meter in ipairs(meters) do
    if not had[meter] then
      return true
    end
  end
  return false
end

-- Returns 1 (2: its lease had left a row), 0 where the hold had ended, or STRANGER. `target` says what each claim shall have charged. A hold that
-- lacks a claim on one of `meters` stays as it is, and the answer is -1; those of the claims `given` that it lacks are
-- charged with the others. What stays is a tombstone, also where there was no hold: a reservation that was under way
-- for longer than this command must find it.
local function conclude(phase, target, meters, given)
  if not expected(KEYS[3], ARGV[1]) then
    return STRANGER
  end
  local key, hold, now = KEYS[1], ARGV[2], tonumber(ARGV[3])
  local kept = redis.call('HMGET', key, 'phase', 'claims', 'left')
  if kept[1] == 'settled' or kept[1] == 'released' then
    return 0
  end
  local claims = kept[2] and cmsgpack.unpack(kept[2]) or {}
  if lacks(claims, meters) then
    return -1
  end
  if ARGV[5] ~= '' then
    append(cmsgpack.unpack(ARGV[5]), kept[3], now)
  end
  charge_all(claims, given, target, hold, now)
  redis.call('DEL', key)
  redis.call('HSET', key, 'phase', phase)
  redis.call('PEXPIRE', key, ARGV[4])
  redis.call('ZREM', KEYS[2], hold)
  return kept[3] and 2 or 1
end
