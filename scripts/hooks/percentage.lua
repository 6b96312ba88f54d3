-- percentage.lua - a share of the users gets the canary and keeps it; a holdout group never does.
--
-- Who is in hangs on the user's id alone: the same answer in every worker, after every restart. Raising `percent`
-- only adds users. The holdout is drawn apart, so that its users stay out at any percentage: whom to compare with later.
-- Requests without a user are split by the route.
local config = {
  canary = "canary",
  stable = "stable",
  percent = 10,           -- of the users that are not held out
  holdout_percent = 5,    -- of all users
  header = "x-user-id",   -- where the id of a user stands: this header, else ...
  cookie = "user",        -- ... this cookie
  salt = "checkout-v2",   -- another word draws other users
  holdout_salt = "holdout-2026", -- keep it over several features: the same users stay out of all of them
}

local M = {}

function M.on_request(req)
  local user = req:header(config.header) or req:cookie(config.cookie)
  if not user or user == "" then
    return nil
  end
  if weir.hash(user, config.holdout_salt) * 100 < config.holdout_percent then
    return config.stable
  end
  if weir.hash(user, config.salt) * 100 < config.percent then
    return config.canary
  end
  return config.stable
end

return M
