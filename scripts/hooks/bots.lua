-- bots.lua - keeps bots on stable, so that crawlers never index a canary and never count in its evidence.
--
-- Crawlers, previews of links, monitors and programs are known by their User-Agent (weir.ua), and so is who sends none: an
-- honest bot's word, no defence against others. The upstream is told, with x-bot: 1.
local ua = require("weir.ua")

local config = {
  upstream = "stable",
  header = "x-bot",
  more = { "acme-probe/" }, -- words in lower case that tell a bot, beside those of weir.ua
}

local M = {}

local function is_bot(agent)
  if ua.is_bot(agent) then
    return true
  end
  agent = agent:sub(1, 512):lower()
  for _, word in ipairs(config.more) do
    if agent:find(word, 1, true) then
      return true
    end
  end
  return false
end

function M.on_request(req)
  local found = is_bot(req:header("user-agent"))
  req:set_header(config.header, found and "1" or nil) -- also over what a client claims
  return found and config.upstream or nil
end

return M
