-- Ending holds: what settle and release are made of; and before that, what the operations of one run share.

-- The words of this run, each sent once and then called by its number: names of steps, descriptions of limits, lists of
-- meters, accounts of rows (see rows.lua).
local WORDS = 5
local function word(number)
  return ARGV[WORDS + number]
end

local numbered = {}
local function limit_numbered(base, number)
  local limit = limit_of(base, word(number))
  numbered[number] = limit
  return limit
end

local lists_of_meters = {}
local function meters_numbered(number)
  local meters = lists_of_meters[number]
  if not meters then
    meters = {unpacked(word(number))}
    lists_of_meters[number] = meters
  end
  return meters
end

local accounts = {}
local function account_numbered(number)
  local account = accounts[number]
  if not account then
    account = account_of(unpacked(word(number)))
    accounts[number] = account
  end
  return account
end

local claimed, missing = {}, {}

-- Whether a hold whose claims are on the limits `claimed` lacks one of the meters.
local function lacks(count, meters)
  local position, last = 1, #meters
  for n = 1, count do -- most often they are the same, in the same order
    if position <= last and claimed[n].meter == meters[position] then
      position = position + 1
    end
  end
  if position > last then
    return false
  end
  local had = {}
  for n = 1, count do
    had[claimed[n].meter] = true
  end
  for n = 1, last do
    if not had[meters[n]] then
      return true
    end
  end
  return false
end

-- Its counter is known from now on, so that nothing fails half-way.
local function ready(limit)
  if not (limit.counter or limit.slots) then
    load(limit)
  end
  return limit
end

local function target(limit, amount, spent)
  if not spent then
    return 0
  end
  return limit.held and (spent[limit.unit] or 0) or amount
end

-- op: 3, hold, now, spent per unit (false: everything is given back), meters (0 for none), account and late account
-- (false: no row), how many numbers are added, how many by the late row (false: that was left out), how many tags; those
-- numbers and tags; claims: number and amount of each limit.
-- Returns 1 (2: its lease had left a row, and the late one was written), or 0 where the hold had ended. -1: it lacks a
-- claim on one of the meters, or has left a row: it stays as it is until claims and late row come along. Those of the
-- claims that it lacks are charged with the others. What stays is a tombstone, also where there was no hold: a
-- reservation that was under way for longer than this command must find it.
local function conclude(base, op, tombstone, most, row, late)
  local hold, now, spent = op[2], op[3], op[4]
  local key = base .. 'hold:' .. hold
  local kept = call('HMGET', key, 'phase', 'claims', 'left', 'lease')
  local phase, left = kept[1], kept[3]
  if phase == 'settled' or phase == 'released' then
    return 0
  end
  if left and op[6] and not op[9] then
    return -1
  end
  local claims = claims_of(kept[2])
  local count, given = 0, 0
  for n = 1, #claims, 4 do
    count = count + 1
    claimed[count] = ready(limits[claims[n]] or limit_of(base, claims[n]))
  end
  if op[5] > 0 and lacks(count, meters_numbered(op[5])) then
    return -1
  end
  local values = 10 + op[8] + (op[9] or 0) + op[10]
  for n = values + 1, #op, 2 do
    given = given + 1
    missing[given] = ready(numbered[op[n]] or limit_numbered(base, op[n]))
  end
  if op[6] then
    local tags = values - op[10] + 1
    if left then
      append(base, account_numbered(op[7]), late, op, 11 + op[8], op[9], tags, values, now, most)
    else
      append(base, account_numbered(op[6]), row, op, 11, op[8], tags, values, now, most)
    end
  end
  for n = 1, count do
    local limit, at = claimed[n], 4 * n
    local amount = claims[at - 2]
    if not limit.slots then
      charge(limit, amount, claims[at - 1], claims[at], target(limit, amount, spent), now)
    elseif phase ~= 'expired' then
      vacate(limit, hold, n, amount, tonumber(kept[4]))
    end
  end
  for n = 1, given do
    local limit = missing[n]
    if lacks(count, {limit.meter}) then
      charge(limit, 0, 0, now, target(limit, op[values + 2 * n], spent), now)
    end
  end
  if phase then
    call('DEL', key)
    if phase ~= 'expired' then
      drop(set_of(base .. 'leases'), hold)
    end
  end
  call('HSET', key, 'phase', spent and 'settled' or 'released')
  call('PEXPIRE', key, tombstone)
  return left and 2 or 1
end

-- Each operation by itself: what one cannot do is no reason for the others to fail. `perform` is called with each, and
-- with the two texts that come after it.
local function run(base, perform)
  local replies, count = {}, 0
  for at = WORDS + 1 + tonumber(ARGV[WORDS]), #ARGV, 3 do
    local done, reply = pcall(perform, ARGV[at], ARGV[at + 1], ARGV[at + 2])
    if not done and type(reply) ~= 'table' then
      reply = {err = 'ERR ' .. tostring(reply)}
    end
    count = count + 1
    replies[count] = reply
  end
  write_back()
  write_rows(base)
  return replies
end
