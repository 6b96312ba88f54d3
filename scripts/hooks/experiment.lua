-- experiment.lua - assigns users to the variants of an experiment, and tells both sides which one they were exposed to.
--
-- The upstream reads the header `x-experiment: NAME=VARIANT`; the answer carries it as well, so that a client or a log
-- behind weir can count exposures where they happened. An answer that failed is no exposure.
local config = {
  name = "checkout-button",
  share = 50,                     -- percent of the users that take part
  variants = {                    -- weights are relative; an upstream is optional: all may go to one that reads the header
    { name = "control", weight = 1, upstream = "stable" },
    { name = "blue", weight = 1, upstream = "canary" },
  },
  cookie = "user",                -- who has none takes no part
  header = "x-experiment",
  exposure_header = "x-experiment-exposure",
}

local total = 0
for _, variant in ipairs(config.variants) do
  total = total + variant.weight
end

local M = {}

-- Taking part and the variant are drawn apart: a greater share moves nobody to another variant.
local function assign(user)
  if weir.hash(user, config.name .. "/share") * 100 >= config.share then
    return nil
  end
  local at = weir.hash(user, config.name .. "/variant") * total
  local found = config.variants[1]
  for _, variant in ipairs(config.variants) do
    found = variant
    at = at - variant.weight
    if at < 0 then
      break
    end
  end
  return found
end

function M.on_request(req)
  local user = req:cookie(config.cookie)
  local variant = user and user ~= "" and assign(user)
  req:set_header(config.header, nil) -- nobody assigns himself
  if not variant then
    return nil
  end
  local assignment = config.name .. "=" .. variant.name
  req.ctx.exposure = assignment
  req:set_header(config.header, assignment)
  return variant.upstream
end

function M.on_response(req, resp)
  if req.ctx.exposure and resp.status < 400 then
    resp:set_header(config.exposure_header, req.ctx.exposure)
  end
end

return M
