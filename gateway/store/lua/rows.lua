-- Writing rows of the ledger: part of every script that ends holds.
--
-- A record is what store/ledger.py packed:
--   ledger, head, sums, tagsums, recent   the keys; head is the number, hash and time of the last row ever written
--   most                                  about so many rows stay
--   row, added                            the row, and what it adds to each of its sums
--   late, late_added                      the same for a request whose lease has left its row already
--   who, late_who                         its sum, and that of its lease
--   other                                 the sum it goes to once its day has FIELDS of them
--   tags                                  its sums among those of tags

-- Clients can invent names of models and tags: a day's sums stay a few megabytes.
local FIELDS = 20000
local OTHER_TAG = 'other' -- no tag is called that: each is name=value
local RECENT, RECENT_MS = 20, 35 * 24 * 3600 * 1000

local function add(key, field, other, added)
  local kept = redis.call('HGET', key, field)
  if not kept and redis.call('HLEN', key) >= FIELDS then
    field = other
    kept = redis.call('HGET', key, field)
  end
  local sums = kept and cmsgpack.unpack(kept) or {}
  for position, number in ipairs(added) do
    sums[position] = (sums[position] or 0) + number
  end
  redis.call('HSET', key, field, cmsgpack.pack(sums))
end

-- The row (or its late form) becomes the last of the chain: see policy/chain.py. Returns it; '' where there is none.
local function append(record, late, now)
  local row, added, who = record.row, record.added, record.who
  if late then
    row, added, who = record.late, record.late_added, record.late_who
  end
  if row == '' then
    return row
  end
  local head = redis.call('HMGET', record.head, 'number', 'hash', 'at')
  local number = whole((tonumber(head[1]) or 0) + 1)
  local hash = redis.sha1hex((head[2] or '') .. '\n' .. number .. '\n' .. row)
  local at = whole(math.max(now, tonumber(head[3]) or 0))
  local position = redis.call('XADD', record.ledger, 'MAXLEN', '~', whole(record.most), at .. '-*',
    'n', number, 'row', row, 'hash', hash)
  redis.call('HSET', record.head, 'number', number, 'hash', hash, 'at', at)
  redis.call('LPUSH', record.recent, position)
  redis.call('LTRIM', record.recent, 0, RECENT - 1)
  redis.call('PEXPIRE', record.recent, RECENT_MS)
  add(record.sums, who, record.other, added)
  for _, tag in ipairs(record.tags) do
    add(record.tagsums, tag, OTHER_TAG, added)
  end
  return row
end
