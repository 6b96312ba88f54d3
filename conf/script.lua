-- script.lua - the hooks of script.yaml: who gets the canary.
local M = {}

-- Called before the split. Returns an upstream's name, an answer { status =, headers =, body = }, or nil: as configured.
function M.on_request(req)
  if weir.segment("staff") then
    return "canary"
  end
  local version = tonumber(req:header("x-app-version") or "")
  if not version then
    return nil
  end
  if version < 2 then
    return { status = 426, headers = { ["x-reason"] = "old app" }, body = "please update\n" }
  end
  local user = req:cookie("user")
  if user and version >= 3 and weir.hash(user, "shop-canary") < 0.1 then
    req.ctx.arm = "canary"
    return "canary"
  end
end

-- Called with the upstream's answer, before it goes back.
function M.on_response(req, resp)
  if req.ctx.arm then
    resp:set_header("x-arm", req.ctx.arm)
  end
end

return M
