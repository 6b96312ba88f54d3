-- app_version_test.lua - versions in their order, and what is no version.
t.upstreams { "stable", "canary" }
local hook = t.hook()

local function decide(version)
  return hook.on_request(t.request { headers = { ["x-app-version"] = version } })
end

t.test("versions from the beta on get the canary", function()
  for _, version in ipairs { "3.0.0-beta.1", "3.0.0-beta.1+7", "3.0.0-beta.2", "3.0.0-beta.11", "3.0.0-beta.1.1",
                             "3.0.0-beta.x", "3.0.0-rc", "3.0.0", "v3", "3.0.1", "3.10.0-alpha", "30.0",
                             "99999999999999999999.0.0" } do
    t.equal(decide(version), { upstream = "canary" }, version)
  end
end)

t.test("versions before it stay on stable", function()
  for _, version in ipairs { "3.0.0-beta", "3.0.0-beta.0", "3.0.0-alpha.99", "3.0.0-1", "2.99.99", "2.0.0", "2.0",
                             "02.1", "2.0.0+3" } do
    t.equal(decide(version), { upstream = "stable" }, version)
  end
end)

t.test("the old ones are told to update", function()
  for _, version in ipairs { "1.9.9", "1", "0.0.1", "2.0.0-rc.1" } do
    local answer = decide(version)
    t.equal(answer.status, 426, version)
    t.matches(answer.body, "please update")
  end
end)

t.test("what is no version is left to the route", function()
  for _, version in ipairs { "latest", "3.", ".3", "3..0", "3.0.0.0", "3.0.0-", "3.0.0 beta", ("9"):rep(200) } do
    t.equal(decide(version), nil, version)
  end
  t.equal(hook.on_request(t.request {}), nil)
end)
