-- bench/peers/hook-envoy.lua - Envoy: the same. It has neither cookies nor a hash for scripts: a pattern, and FNV-1a.
local bit = require("bit")

local function hash(text)
  local h = 0x811c9dc5
  for i = 1, #text do
    h = bit.bxor(h, text:byte(i))
    h = bit.tobit(h + bit.lshift(h, 1) + bit.lshift(h, 4) + bit.lshift(h, 7) + bit.lshift(h, 8) + bit.lshift(h, 24))
  end
  return h
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local arm = "a"
  if headers:get("x-plan") == "staff" then
    arm = "b"
  else
    local id = string.match(headers:get("cookie") or "", "%f[%w]id=([^;]*)") or ""
    if hash(id) % 100 < 10 then arm = "b" end
  end
  headers:replace("x-arm", arm)
end
