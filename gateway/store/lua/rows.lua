-- Writing rows of the ledger: part of every script that ends holds. `write_rows` has to follow.
--
-- A record, as a hold keeps it for the end of its lease, is what store/ledger.py packed:
--   1 the row; 2 the key whose recent rows it is among (hashed); 3 its day; 4 its sum, 5 and the sum it goes to once the
--   day has FIELDS of them; 6, 7 the row and its sum for a request whose lease has left a row already; 8, 9 how many
--   numbers are added, and then; those numbers, and its sums among those of tags.

-- Clients can invent names of models and tags: a day's sums stay a few megabytes.
local FIELDS = 20000
local OTHER_TAG = 'other' -- no tag is called that: each is name=value
local RECENT, TRIMMED, RECENT_MS = 20, 40, 35 * 24 * 3600 * 1000

local days, lists, head = {}, {}, nil

-- A record as it is read, also one that an earlier gateway left with its hold.
local function record_of(kept)
  local record = {unpacked(kept)}
  local old = record[1]
  if type(old) == 'table' then
    local day, recent = string.match(old.sums, 'sums:(.*)'), string.match(old.recent, 'recent:(.*)')
    record = {old.row, recent, day, old.who, old.other, '', old.who, #old.added, 0}
    for _, values in ipairs({old.added, old.tags}) do
      for _, value in ipairs(values) do
        record[#record + 1] = value
      end
    end
  end
  return record
end

local function total_of(key, field, other)
  local day = days[key]
  if not day then
    day = {}
    days[key] = day
  end
  local total = day[field]
  if total then
    return total
  end
  local kept = call('HGET', key, field)
  if not kept then
    day[1] = day[1] or call('HLEN', key)
    if day[1] >= FIELDS and field ~= other then
      return total_of(key, other, other)
    end
    day[1] = day[1] + 1
  end
  total = kept and unpacked(kept) or {}
  day[field] = total
  return total
end

-- Where rows are added up: `recent`, `day`, `who` and `other` are 2, 3, 4 and 5 of a record.
local function account_of(recent, day, who, other)
  return {recent = recent, day = day, who = who, other = other}
end

local function add(total, values, from, count)
  for n = 1, count do
    local value = values[from + n - 1]
    if value ~= 0 or not total[n] then
      total[n] = (total[n] or 0) + value
    end
  end
end

-- The row becomes the last of the chain: see policy/chain.py. Returns it; '' where there is none. Of `values` it adds
-- `count` from `from`, also to the tags from `tag` to `last`. About `most` rows stay.
local function append(base, account, row, values, from, count, tag, last, now, most)
  if row == '' then
    return row
  end
  if not head then
    local kept = call('HMGET', base .. 'ledger:head', 'number', 'hash', 'at')
    head = {tonumber(kept[1]) or 0, kept[2] or '', tonumber(kept[3]) or 0}
  end
  local day, total = account.day, account.total or total_of(base .. 'sums:' .. account.day, account.who, account.other)
  account.total = total
  local tags = {}
  for n = tag, last do
    tags[n - tag + 1] = total_of(base .. 'tagsums:' .. day, values[n], OTHER_TAG)
  end
  local number, at = head[1] + 1, max(now, head[3])
  if at ~= head[3] or not head[4] then
    head[3], head[4] = at, at .. '-*'
  end
  local text = string.format('%d', number)
  local hash = redis.sha1hex(head[2] .. '\n' .. text .. '\n' .. row)
  local position = call('XADD', base .. 'ledger', 'MAXLEN', '~', most, head[4], 'n', text, 'row', row, 'hash', hash)
  head[1], head[2] = number, hash
  add(total, values, from, count)
  for n = 1, #tags do
    add(tags[n], values, from, count)
  end
  local list = lists[account.recent]
  if not list then
    list = {}
    lists[account.recent] = list
  end
  list[#list + 1] = position
  return row
end

-- `append` of a record that is that of a lease.
local function append_record(base, record, now, most)
  local account = account_of(unpack(record, 2, 5))
  local tag = 10 + record[8] + record[9]
  return append(base, account, record[1], record, 10, record[8], tag, #record, now, most)
end

local function write_rows(base)
  if not head then
    return
  end
  call('HSET', base .. 'ledger:head', 'number', head[1], 'hash', head[2], 'at', head[3])
  for key, list in pairs(lists) do
    local name = base .. 'recent:' .. key
    if call('LPUSH', name, unpack(list)) > TRIMMED then
      call('LTRIM', name, 0, RECENT - 1)
    end
    call('PEXPIRE', name, RECENT_MS)
  end
  for key, day in pairs(days) do
    local fields = {}
    for field, total in pairs(day) do
      if field ~= 1 and total[1] then
        local at = #fields
        fields[at + 1], fields[at + 2] = field, pack(total)
        if at >= MANY then
          call('HSET', key, unpack(fields))
          fields = {}
        end
      end
    end
    if #fields > 0 then
      call('HSET', key, unpack(fields))
    end
  end
end
