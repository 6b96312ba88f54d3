-- early_access.lua - for some time some users see the next version before everybody else; then it ends by itself.
--
-- Those in the segment (a header of your login, a network: as the configuration has it), and invited users by their
-- cookie. Before and after the time the route decides as if this hook was not there.
local config = {
  from = "2026-12-01T09:00:00Z",   -- in UTC
  till = "2026-12-15T09:00:00Z",
  segment = "early_access",
  cookie = "user",
  invited = { "u-1042", "u-2077" },
  upstream = "canary",
  header = "x-early-access",       -- on the answer, with the last day: so that a page can say so
}

-- Seconds since 1970. Years begin with March here, so that a leap day is the last one.
local function seconds(text)
  local year, month, day, hour, minute, second = text:match("^(%d+)-(%d+)-(%d+)T(%d+):(%d+):(%d+)Z$")
  assert(year, "write times as 2026-12-01T09:00:00Z")
  month = (month + 9) % 12
  year = year - month // 10
  local days = 365 * year + year // 4 - year // 100 + year // 400 + (306 * month + 5) // 10 + day - 719469
  return ((days * 24 + hour) * 60 + minute) * 60 + second
end

local from, till = seconds(config.from), seconds(config.till)

local invited = {}
for _, user in ipairs(config.invited) do
  invited[user] = true
end

local M = {}

function M.on_request(req)
  local now = weir.now()
  if now < from or now >= till then
    return nil
  end
  if weir.segment(config.segment) or invited[req:cookie(config.cookie) or ""] then
    req.ctx.early = true
    return config.upstream
  end
end

function M.on_response(req, resp)
  if req.ctx.early then
    resp:set_header(config.header, "till " .. config.till:sub(1, 10))
  end
end

return M
