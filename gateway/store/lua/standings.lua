-- KEYS: one counter per limit. ARGV: now, the limits as claims of nothing (msgpack). Changes nothing.
-- Returns level, held and ahead of each.
local now = tonumber(ARGV[1])
local answer = {}
for position, claim in ipairs(unpacked(ARGV[2])) do
  claim.key = KEYS[position]
  local u, r, t = read(claim, now)
  answer[#answer + 1] = u
  answer[#answer + 1] = r
  answer[#answer + 1] = t - now
end
return answer
