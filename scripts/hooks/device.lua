-- device.lua - by the kind of device: phones, tablets, televisions, desktops.
--
-- Chromium's hint Sec-CH-UA-Mobile goes before the User-Agent (weir.ua), which many browsers no longer fill in truly.
-- The upstream is told what was found.
local ua = require("weir.ua")

local config = {
  upstreams = { phone = "canary", tablet = "canary" }, -- tv, desktop, other: a kind that is not listed is split by the route
  header = "x-device",
}

local M = {}

function M.on_request(req)
  local device = ua.device(req:header("user-agent"))
  if req:header("sec-ch-ua-mobile") == "?1" and device ~= "tablet" then
    device = "phone"
  end
  req:set_header(config.header, device) -- also over what a client claims
  return config.upstreams[device]
end

return M
