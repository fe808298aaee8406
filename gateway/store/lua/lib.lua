-- What the scripts of holds share; put in front of each of them.
--
-- A claim is a table that Python made and the hold keeps:
--   key, unit, amount, cap    the counter, and what is asked of it
--   meter                     the limit, in whichever window
--   slots                     it is a place in a set of leases; the rest does not apply
--   scale, leak, ttl          see policy/windows.py; ttl (ms, 0: for ever) is how long the counter is kept
--   held                      charged as spent when the hold is settled; otherwise charged at once
--   shadow                    counted, never refused
-- and to which the scripts add
--   open                      its amount is still set aside in r
--   charged, at               what it has put on the level so far, and when

local EXACT = 9007199254740991
local STRANGER = {-2} -- the answer of a store that is not the one expected

-- Whether this is the store that the caller knows. Who expects '' takes any.
local function expected(key, epoch)
  return epoch == '' or redis.call('GET', key) == epoch
end

local function whole(number)
  return string.format('%.0f', number)
end

-- The level (scaled), what is held, and the counter's own time, which never runs backwards.
local function read(claim, now)
  if claim.slots then
    return redis.call('ZCOUNT', claim.key, '(' .. whole(now), '+inf'), 0, now
  end
  local kept = redis.call('HMGET', claim.key, 'u', 'r', 't')
  local u, r, t = tonumber(kept[1]) or 0, tonumber(kept[2]) or 0, tonumber(kept[3]) or now
  if now > t then
    u = math.max(0, u - (now - t) * claim.leak)
    t = now
  end
  return u, r, t
end

local function write(claim, u, r, t)
  u = math.max(0, math.min(u, EXACT))
  redis.call('HSET', claim.key, 'u', whole(u), 'r', whole(math.max(0, r)), 't', whole(t))
  if claim.ttl > 0 then
    redis.call('PEXPIRE', claim.key, claim.ttl)
  end
end

-- Makes `target` what the claim has charged, and ends its being held.
-- What is given back is at most what has not leaked since: the bucket leaks at most `leak` per ms, whoever
-- filled it, so that much of the charge may already be gone, and giving it back would be giving it twice.
local function charge(claim, target, now)
  local u, r, t = read(claim, now)
  if claim.open then
    r = r - claim.amount
    claim.open = false
  end
  local change = (target - claim.charged) * claim.scale
  if change < 0 then
    change = math.min(0, change + (t - claim.at) * claim.leak)
  end
  claim.charged, claim.at = target, t
  write(claim, u + change, r, t)
end

-- The members by which one hold stands in one set of leases. Steps of one hold may take from the same set.
local function places(claim, hold, position)
  local members = {}
  for number = 1, claim.amount do
    members[number] = hold .. '/' .. position .. '/' .. number
  end
  return members
end

local function vacate(claim, hold, position)
  for _, member in ipairs(places(claim, hold, position)) do
    redis.call('ZREM', claim.key, member)
  end
end

local function extend(claims, hold, lease)
  for position, claim in ipairs(claims) do
    if claim.slots then
      for _, member in ipairs(places(claim, hold, position)) do
        redis.call('ZADD', claim.key, 'XX', 'GT', lease, member)
      end
    end
  end
end

local function is_open(phase)
  return phase == 'reserved' or phase == 'dispatched'
end
