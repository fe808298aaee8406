-- KEYS: one counter per limit. ARGV: now, the limits as claims of what is used of them (msgpack). Returns how many.
-- Raises what is settled of each to at least that.
local now = tonumber(ARGV[1])
local claims = cmsgpack.unpack(ARGV[2])
for position, claim in ipairs(claims) do
  claim.key = KEYS[position]
  local u, r, t = read(claim, now)
  write(claim, math.max(u, claim.amount * claim.scale), r, t)
end
return #claims
