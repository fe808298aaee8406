-- Making and growing holds: what reserve and enter are made of.

-- What is kept of a hold that may take more; nothing where it has ended. Of steps that were answered it has the answers.
-- A step's name is that of its field: `answer:admit`.
local function opened(base, hold, now, first, second)
  local key = base .. 'hold:' .. hold
  local phase = call('HGET', key, 'phase')
  if not phase then
    local claims = {nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil} -- room for three, made at once
    return {key = key, id = hold, phase = 'reserved', lease = 0, claims = claims, changed = false}
  end
  local kept = call('HMGET', key, 'lease', 'claims', first, second)
  local lease = tonumber(kept[1])
  if not is_open(phase) or lease <= now then
    return nil
  end
  local claims = claims_of(kept[2])
  return {
    key = key, id = hold, phase = phase, lease = lease, claims = claims, changed = false,
    [first] = kept[3], [second] = kept[4],
  }
end

-- One reservation, all of it or nothing: whether it was admitted, and level, held and ahead of each claim, as they were
-- before, packed. The claims are number and amount of each limit, from `from` to `to` of `op`. The second time it
-- answers as it did the first time.
local chosen, readings = {}, {}
local function step(base, hold, name, op, from, to, now, lease)
  if hold[name] then
    return true, hold[name]
  end
  local fits, at, count = true, 0, 0
  for n = from, to, 2 do
    local limit = numbered[op[n]] or limit_numbered(base, op[n])
    local u, r, t = read(limit, now)
    readings[at + 1], readings[at + 2], readings[at + 3] = u, r, t - now
    at, count = at + 3, count + 1
    chosen[count] = limit
    if u + (r + op[n + 1]) * limit.scale > limit.cap then
      fits = false
    end
  end
  local answer = at > 0 and pack(unpack(readings, 1, at)) or ''
  if not fits then
    return false, answer
  end
  hold[name], hold.changed = answer, true
  local claims, ends = hold.claims, max(now + lease, hold.lease)
  at = #claims
  if at > 0 and ends > hold.lease then
    extend(base, claims, hold.id, ends)
  end
  hold.lease = ends
  for n = 1, count do
    local limit, amount = chosen[n], op[from + 2 * n - 1]
    local u, r, t = readings[3 * n - 2], readings[3 * n - 1], readings[3 * n] + now
    local charged = 0
    if limit.slots then
      occupy(limit, hold.id, at / 4 + 1, amount, now, ends)
    elseif limit.held then
      charged = false
      write(limit, u, r + amount, t)
    else
      charged = amount
      write(limit, u + amount * limit.scale, r, t)
    end
    claims[at + 1], claims[at + 2], claims[at + 3], claims[at + 4] = limit.described, amount, charged, t
    at = at + 4
  end
  return true, answer
end

local function save(base, hold, first, second, record)
  local key, phase, lease, claims = hold.key, hold.phase, hold.lease, packed(hold.claims)
  if record then
    call('HSET', key, 'phase', phase, 'lease', lease, 'claims', claims, first, hold[first], second, hold[second],
      'record', record)
  else
    call('HSET', key, 'phase', phase, 'lease', lease, 'claims', claims, first, hold[first])
    if hold[second] then
      call('HSET', key, second, hold[second])
    end
  end
  put(set_of(base .. 'leases'), hold.lease, hold.id)
end

-- op: 1, hold, now, lease (ms), the step's name; claims.
local function reserve(base, op)
  local now, lease, name = op[3], op[4], word(op[5])
  local hold = opened(base, op[2], now, name, name)
  if not hold then
    return {-1, ''}
  end
  local fits, answer = step(base, hold, name, op, 6, #op, now, lease)
  if hold.changed then
    save(base, hold, name, '')
  end
  return {fits and 1 or 0, answer}
end

-- A cached answer; false where there is none, and 1 where there is and too much of them to be sent from here.
local MOST_SENT = 1048576 -- bytes in one run: each is copied three times
local sent = 0
local function kept_under(key)
  local size = redis.pcall('STRLEN', key)
  if type(size) ~= 'number' or size == 0 then
    return false
  end
  sent = sent + size
  return sent > MOST_SENT and 1 or call('GET', key)
end

-- op: 2, hold, now, lease (ms), the names of the first step and of the second, how many claims the first has; its
-- claims, and those of the second. `key`: of a cached answer, '' for none. `record`: as it is kept; '' for none.
-- Reserves what is to admit; then the answer under `key`, if it is there; if it is not, what is to answer, and
-- dispatches. Returns for the first step 1, 0 or -1 and its readings; then what is kept; then the same two of the
-- second step, where it was tried.
local function enter(base, op, key, record)
  local now, lease, first, second, middle = op[3], op[4], word(op[5]), word(op[6]), 7 + 2 * op[7]
  local hold = opened(base, op[2], now, first, second)
  if not hold then
    return {-1, '', false}
  end
  local entry = key ~= '' and not hold[second] and kept_under(key)
  if not entry then
    for n = middle + 1, #op, 2 do -- from here on nothing fails half-way
      local limit = numbered[op[n]] or limit_numbered(base, op[n])
      if not limit.counter then
        read(limit, now)
      end
    end
  end
  local fits, answer = step(base, hold, first, op, 8, middle, now, lease)
  if not fits then
    return {0, answer, false}
  end
  if entry then
    if hold.changed then
      save(base, hold, first, '')
    end
    return {1, answer, entry}
  end
  local answered, more = step(base, hold, second, op, middle + 1, #op, now, lease)
  record = record ~= '' and record
  if answered and (record or hold.phase ~= 'dispatched') then
    hold.phase, hold.changed = 'dispatched', true
  end
  if hold.changed then
    save(base, hold, first, second, answered and record)
  end
  return {1, answer, false, answered and 1 or 0, more}
end
