-- KEYS: the hold, the leases, the epoch, then one counter per claim.
-- ARGV: the epoch expected, hold id, step, now, lease (ms), claims (msgpack).
-- Returns 1 (admitted), 0 (refused) or -1 (the hold has ended), then level, held and ahead of each claim,
-- as they were before; or STRANGER. A refusal leaves nothing behind.
if not expected(KEYS[3], ARGV[1]) then
  return STRANGER
end
local hold, step, now, lease = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local claims = cmsgpack.unpack(ARGV[6])
local kept = redis.call('HMGET', KEYS[1], 'phase', 'lease', 'claims', 'answer:' .. step)

if kept[1] and not (is_open(kept[1]) and tonumber(kept[2]) > now) then
  return {-1}
end
if kept[4] then
  return cmsgpack.unpack(kept[4])
end

local answer, readings = {1}, {}
for position, claim in ipairs(claims) do
  claim.key = KEYS[position + 3]
  local u, r, t = read(claim, now)
  readings[position] = {u, r, t}
  answer[#answer + 1] = u
  answer[#answer + 1] = r
  answer[#answer + 1] = t - now
  if u + (r + claim.amount) * claim.scale > claim.cap * claim.scale and not claim.shadow then
    answer[1] = 0
  end
end
if answer[1] == 0 then
  return answer
end

-- First of all a write that a server out of memory denies. After a deletion it would allow all that follows.
redis.call('HSET', KEYS[1], 'phase', kept[1] or 'reserved')
local ends = math.max(now + lease, tonumber(kept[2]) or 0)
local all = kept[3] and cmsgpack.unpack(kept[3]) or {}
extend(all, hold, whole(ends))
for position, claim in ipairs(claims) do
  all[#all + 1] = claim
  local u, r, t = unpack(readings[position])
  claim.charged, claim.at, claim.open = 0, t, false
  if claim.slots then
    redis.call('ZREMRANGEBYSCORE', claim.key, '-inf', whole(now))
    for _, member in ipairs(places(claim, hold, #all)) do
      redis.call('ZADD', claim.key, whole(ends), member)
    end
    redis.call('PEXPIRE', claim.key, claim.ttl)
  elseif claim.held then
    claim.open = true
    write(claim, u, r + claim.amount, t)
  else
    claim.charged = claim.amount
    write(claim, u + claim.amount * claim.scale, r, t)
  end
end
redis.call('HSET', KEYS[1], 'lease', whole(ends), 'claims', cmsgpack.pack(all), 'answer:' .. step, cmsgpack.pack(answer))
redis.call('ZADD', KEYS[2], whole(ends), hold)
return answer
