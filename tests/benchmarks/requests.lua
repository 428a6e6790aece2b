-- wrk script: sends whole HTTP requests that were written to a file before, each once.
-- Arguments after "--": the file. A record is eight digits of length, then the request.
local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  prepared, sent = {}, 0
  local file = assert(io.open(args[1], "rb"))
  local head = file:read(8)
  while head do
    prepared[#prepared + 1] = file:read(tonumber(head))
    head = file:read(8)
  end
  file:close()
  size = #prepared
end

function request()
  sent = sent + 1
  return prepared[(sent - 1) % size + 1]
end

function done(summary, latency, requests)
  local sent, size = 0, 0
  for _, thread in ipairs(threads) do
    sent, size = sent + thread:get("sent"), size + thread:get("size")
  end
  local errors = summary.errors
  print(string.format(
    '{"requests":%d,"micros":%d,"refused":%d,"broken":%d,"sent":%d,"prepared":%d,"p50":%d,"p99":%d}',
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    sent, size, latency:percentile(50), latency:percentile(99)))
end
