-- ua.lua - weir.ua: classes of devices, and bots that say so, from a User-Agent.
--
-- A User-Agent is a claim, and browsers send less and less of it: good for choosing a layout, not for keeping anybody out. The
-- first 512 bytes are looked at.
local M = {}

local LOOKED_AT = 512

-- Words in lower case; the first line with one that fits counts: tablets with Android say Android, but not Mobile.
local devices = {
  { "tv", { "smart-tv", "smarttv", "appletv", "googletv", "hbbtv", "bravia", "roku" } },
  { "tablet", { "ipad", "tablet", "kindle", "silk/" } },
  { "phone", { "iphone", "ipod", "windows phone", "mobile" } },
  { "tablet", { "android" } },
  { "desktop", { "windows nt", "macintosh", "x11", "cros " } },
}

local bots = {
  "bot", "crawl", "spider", "slurp", "facebookexternalhit", "mediapartners", "preview", "headless", "lighthouse",
  "monitor", "pingdom", "uptime", "curl/", "wget/", "python-", "go-http-client", "java/", "okhttp", "libwww", "scrapy",
}

local function lower(agent)
  return (agent or ""):sub(1, LOOKED_AT):lower()
end

local function has_one(agent, words)
  for _, word in ipairs(words) do
    if agent:find(word, 1, true) then
      return true
    end
  end
  return false
end

-- "phone", "tablet", "tv", "desktop" or "other"; nil is an agent that says nothing.
function M.device(agent)
  agent = lower(agent)
  for _, device in ipairs(devices) do
    if has_one(agent, device[2]) then
      return device[1]
    end
  end
  return "other"
end

-- Does it call itself a bot, a monitor or a program? So does who sends none.
function M.is_bot(agent)
  agent = lower(agent)
  return agent == "" or has_one(agent, bots)
end

return M
