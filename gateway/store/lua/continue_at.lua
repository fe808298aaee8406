-- KEYS: the head of the chain. ARGV: number, hash. Returns 1, or 0 where the chain is as far already.
if (tonumber(redis.call('HGET', KEYS[1], 'number')) or 0) >= tonumber(ARGV[1]) then
  return 0
end
redis.call('HSET', KEYS[1], 'number', ARGV[1], 'hash', ARGV[2])
return 1
