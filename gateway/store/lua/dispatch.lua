-- KEYS: the hold. Marks it: from here on the upstream may have been paid.
if redis.call('HGET', KEYS[1], 'phase') == 'reserved' then
  redis.call('HSET', KEYS[1], 'phase', 'dispatched')
  return 1
end
return 0
