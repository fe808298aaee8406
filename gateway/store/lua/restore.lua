-- KEYS: one counter per limit. ARGV: now, the limits as claims of what is used of them (msgpack). Returns how many.
-- Raises what is settled of each to at least that.
local now = tonumber(ARGV[1])
local claims = unpacked(ARGV[2])
for position, claim in ipairs(claims) do
  claim.key, claim.life, claim.ends = KEYS[position], claim.ttl, 0
  local u, r, t = read(claim, now)
  write(claim, max(u, claim.amount * claim.scale), r, t)
end
write_back()
return #claims
