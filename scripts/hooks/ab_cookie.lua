-- ab_cookie.lua - gives each browser a side at its first request, and keeps it there by a cookie.
--
-- For sites that know no users. The cookie names the side itself: it can be read by a page's own scripts and by analytics,
-- and changed by who wants to look at the other side. What it says counts only when it is a side.
local config = {
  cookie = "ab",
  sides = { a = "stable", b = "canary" },
  share_b = 50,              -- percent of new browsers
  max_age = 30 * 24 * 3600,  -- seconds
  attributes = "; Path=/; SameSite=Lax",
}

local M = {}

function M.on_request(req)
  local side = req:cookie(config.cookie)
  if not config.sides[side or ""] then
    side = math.random() * 100 < config.share_b and "b" or "a"
    req.ctx.new_side = side
  end
  return config.sides[side]
end

-- Added, since the upstream may set cookies of its own.
function M.on_response(req, resp)
  local side = req.ctx.new_side
  if side then
    local secure = req.scheme == "https" and "; Secure" or ""
    resp:add_header("set-cookie",
                    config.cookie .. "=" .. side .. "; Max-Age=" .. config.max_age .. config.attributes .. secure)
  end
end

return M
