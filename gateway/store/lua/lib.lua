-- What the scripts of holds share; put in front of each of them.
--
-- Counters, sets of places and the set of leases are read once and written once in each run, however many operations
-- touch them: `write_back` is the last that a script does. Until an operation has read all that it needs it changes
-- nothing in here, so that one that fails leaves nothing for it to write.
--
-- A limit is a table with
--   described               as a hold keeps it: see store/gauges.py
--   key, meter              its counter, and the limit, in whichever window
--   unit, slots, held       slots: it is a set of leased places. held: set aside, and charged as spent when the hold
--                           ends; otherwise charged at once
--   scale, leak             see policy/windows.py
--   cap                     the highest level, scaled; of a shadow limit there is none
--   life, ends              for how long its counter is kept (ms) after it was used, or after `ends`; 0: for ever
-- The claims of a hold are four values for each: the description of its limit, its amount,
-- what it has put on the level so far (false: its amount is still set aside), and when.
--
-- What is packed are values one behind the other, with no array around them: `{unpacked(...)}` is made at once, where
-- an array grows value by value.

local call, pack, unpacked = redis.call, cmsgpack.pack, cmsgpack.unpack
local floor, max, min = math.floor, math.max, math.min
local EXACT = 9007199254740991
local STRANGER = {-2} -- the answer of a store that is not the one expected
local REFRESHED = 600000 -- a counter's life is begun anew when it is used, but no more often than this (ms)
local MANY = 1000 -- arguments of one command

-- Whether this is the store that the caller knows. Who expects '' takes any.
local function expected(key, epoch)
  return epoch == '' or call('GET', key) == epoch
end

local limits = {}
local function limit_of(base, described)
  local limit = limits[described]
  if limit then
    return limit
  end
  if type(described) == 'table' then -- in a hold that an earlier gateway made
    local old = described
    limit = {
      key = old.key, meter = old.meter, unit = old.unit, slots = old.slots, held = old.held,
      scale = old.scale, leak = old.leak, life = old.ttl, ends = 0,
    }
  else
    local name, meter, unit, slots, held, scale, leak, cap, life, ends = unpacked(described)
    limit = {
      key = base .. 'limit:' .. name, meter = meter, unit = unit, slots = slots, held = held,
      scale = scale, leak = leak, cap = cap, life = life, ends = ends,
    }
  end
  limit.described = described
  limits[described] = limit
  return limit
end

-- Claims as a hold keeps them.
local function claims_of(kept)
  local claims = kept and kept ~= '' and {unpacked(kept)} or {}
  if #claims == 1 then -- the array of an earlier gateway
    local old = claims[1]
    claims = {}
    for _, claim in ipairs(old) do
      local at = #claims
      claims[at + 1], claims[at + 2], claims[at + 4] = claim, claim.amount, claim.at
      claims[at + 3] = not claim.open and claim.charged
    end
  end
  return claims
end

local function packed(values)
  return #values > 0 and pack(unpack(values)) or ''
end

local counters, changed = {}, {}
local function load(limit)
  local key = limit.key
  local found = counters[key]
  if not found then
    local kept = call('HMGET', key, 'u', 'r', 't')
    local t = tonumber(kept[3])
    found = {u = tonumber(kept[1]) or 0, r = tonumber(kept[2]) or 0, t = t, since = t}
    counters[key] = found
  end
  limit.counter = found
  return found
end

local sets = {}
local function set_of(key)
  local set = sets[key]
  if not set then
    set = {key = key, added = {}, dropped = {}}
    sets[key] = set
  end
  return set
end

local function write_set(set)
  if #set.added > 0 then
    call('ZADD', set.key, unpack(set.added))
    set.added = {}
  end
  if #set.dropped > 0 then
    call('ZREM', set.key, unpack(set.dropped))
    set.dropped = {}
  end
end

local function put(set, score, member)
  local added = set.added
  local at = #added
  if at >= MANY then
    call('ZADD', set.key, unpack(added))
    added, at = {}, 0
    set.added = added
  end
  added[at + 1], added[at + 2] = score, member
end

-- What was added before is dropped all the same: members that have gone do not come back within a run.
local function drop(set, member)
  local dropped = set.dropped
  dropped[#dropped + 1] = member
  if #dropped >= MANY then
    write_set(set)
  end
end

-- How many places are taken.
local function taken(key, now)
  local set = set_of(key)
  if set.now ~= now then
    write_set(set)
    set.now, set.count, set.swept = now, call('ZCOUNT', key, '(' .. now, '+inf'), false
  end
  return set.count
end

-- The level (scaled), what is held, and the counter's own time, which never runs backwards.
local function read(limit, now)
  if limit.slots then
    return taken(limit.key, now), 0, now
  end
  local kept = limit.counter or load(limit)
  local u, t = kept.u, kept.t or now
  if now > t then
    u = u - (now - t) * limit.leak
    if u < 0 then
      u = 0
    end
    t = now
  end
  return u, kept.r, t
end

local function write(limit, u, r, t)
  local kept = limit.counter
  if u < 0 then
    u = 0
  elseif u > EXACT then
    u = EXACT
  end
  kept.u, kept.r, kept.t = u, r < 0 and 0 or r, t
  if not kept.key then
    kept.key = limit.key
    kept.life = limit.life > 0 and limit.life + max(0, limit.ends - t)
    changed[#changed + 1] = kept
  end
end

-- Makes `target` what a claim has charged, and ends its being held; returns when that was.
-- What is given back is at most what has not leaked since: the bucket leaks at most `leak` per ms, whoever
-- filled it, so that much of the charge may already be gone, and giving it back would be giving it twice.
local function charge(limit, amount, charged, at, target, now)
  local u, r, t = read(limit, now)
  if charged == false then
    r, charged = r - amount, 0
  end
  local change = (target - charged) * limit.scale
  if change < 0 then
    change = min(0, change + (t - at) * limit.leak)
  end
  write(limit, u + change, r, t)
  return t
end

-- The members by which one hold stands in one set of leases. Steps of one hold may take from the same set.
local FIRST = {'/1/1', '/2/1', '/3/1', '/4/1', '/5/1', '/6/1'} -- to write a number takes longer than all the rest
local function place(hold, position, number)
  return hold .. (number == 1 and FIRST[position] or '/' .. position .. '/' .. number)
end

local function occupy(limit, hold, position, amount, now, ends)
  local set = set_of(limit.key)
  if not set.swept then
    call('ZREMRANGEBYSCORE', limit.key, '-inf', now)
    set.swept, set.life = true, limit.life
  end
  for number = 1, amount do
    put(set, ends, place(hold, position, number))
  end
  set.count = set.count + amount
end

-- `lease` is the hold's: until then its places are counted.
local function vacate(limit, hold, position, amount, lease)
  local set = set_of(limit.key)
  for number = 1, amount do
    drop(set, place(hold, position, number))
  end
  if set.now and lease > set.now then
    set.count = set.count - amount
  end
end

local function extend(base, claims, hold, lease)
  for n = 1, #claims, 4 do
    local limit = limit_of(base, claims[n])
    if limit.slots then
      local set = set_of(limit.key)
      write_set(set)
      set.now = nil
      for number = 1, claims[n + 1] do
        call('ZADD', limit.key, 'XX', 'GT', lease, place(hold, (n + 3) / 4, number))
      end
    end
  end
end

local function is_open(phase)
  return phase == 'reserved' or phase == 'dispatched'
end

local function write_back()
  for _, kept in ipairs(changed) do
    call('HSET', kept.key, 'u', kept.u, 'r', kept.r, 't', kept.t)
    if kept.life and not (kept.since and floor(kept.since / REFRESHED) == floor(kept.t / REFRESHED)) then
      call('PEXPIRE', kept.key, kept.life)
    end
  end
  for _, set in pairs(sets) do
    write_set(set)
    if set.life then
      call('PEXPIRE', set.key, set.life)
    end
  end
end
