-- app_version.lua - by the version of the app: too old is told to update, new enough gets the canary.
--
-- Versions are in the order of semver.org 2.0.0 (weir.semver): 3.0.0-beta.2 < 3.0.0-beta.11 < 3.0.0.
-- Requests without a version, or with one that is none, are split by the route.
local semver = require("weir.semver")

local config = {
  header = "x-app-version",
  minimum = "2.0.0",       -- older ones are answered with 426
  canary_from = "3.0.0-beta.1",
  canary = "canary",
  stable = "stable",
  update_body = '{"error":"this version is too old, please update"}\n',
}

local minimum, canary_from = assert(semver.parse(config.minimum)), assert(semver.parse(config.canary_from))

local M = {}

function M.on_request(req)
  local version = semver.parse(req:header(config.header))
  if not version then
    return nil
  end
  if not semver.at_least(version, minimum) then
    return { status = 426, headers = { ["content-type"] = "application/json" }, body = config.update_body }
  end
  return semver.at_least(version, canary_from) and config.canary or config.stable
end

return M
