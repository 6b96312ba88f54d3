-- targeting_service.lua - asks a service of your own which upstream a user belongs to, and remembers its answers.
--
--   POST /decide {"path":"/cart","user":"u-1"}   ->   200 {"upstream":"canary"}
--
-- The service is an upstream like any other, with its health checks and limits. Its answers are shared by all workers.
-- When it is slow, down or talks nonsense, requests go on by the route: for `retry` seconds that user is not asked for again.
local config = {
  service = "targeting",
  path = "/decide",
  timeout = "50ms",
  cookie = "user",                           -- who has none is not asked for
  ttl = 60,                                  -- seconds that an answer is good
  retry = 5,                                 -- seconds after a failure
  upstreams = { stable = true, canary = true }, -- what it may say
}

local USER_BYTES = 200 -- a longer one is nobody's

local M = {}

-- An upstream's name, or nil and what is wrong.
local function ask(req, user)
  local answer, failure = weir.fetch(config.service, {
    method = "POST",
    path = config.path,
    headers = { ["content-type"] = "application/json" },
    body = weir.json.encode({ user = user, path = req.path }, { sorted = true }),
    timeout = config.timeout,
  })
  if not answer then
    return nil, failure
  elseif answer.status ~= 200 then
    return nil, "status " .. answer.status
  end
  local decision = weir.json.decode(answer.body)
  local upstream = type(decision) == "table" and decision.upstream
  if not config.upstreams[upstream or ""] then
    return nil, "an answer that names no upstream"
  end
  return upstream
end

function M.on_request(req)
  local user = req:cookie(config.cookie)
  if not user or user == "" or #user > USER_BYTES then
    return nil
  end
  local key = "targeting_service/" .. user
  local known = weir.shared.get(key)
  if known ~= nil then
    return known or nil -- false: it failed a moment ago
  end
  local upstream, failure = ask(req, user)
  if failure then
    weir.log("warn", "the targeting service: " .. failure)
  end
  weir.shared.set(key, upstream or false, upstream and config.ttl or config.retry)
  return upstream
end

return M
