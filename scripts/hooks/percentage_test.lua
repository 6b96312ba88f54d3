-- percentage_test.lua - shares of users, and who stays out.
t.upstreams { "stable", "canary" }
local hook = t.hook()

local function side(user)
  return hook.on_request(t.request { headers = { ["x-user-id"] = user } }).upstream
end

t.test("one in ten of those who are not held out gets the canary", function()
  local held_out, canary, users = 0, 0, 2000
  for i = 1, users do
    local user = "user-" .. i
    if weir.hash(user, "holdout-2026") < 0.05 then
      held_out = held_out + 1
      t.equal(side(user), "stable")
    elseif side(user) == "canary" then
      canary = canary + 1
    end
  end
  t.near(held_out / users, 0.05, 0.01)
  t.near(canary / (users - held_out), 0.10, 0.02)
end)

t.test("a user stays on a side, whichever way the id comes", function()
  for i = 1, 20 do
    local user = "user-" .. i
    local req = t.request { cookies = { user = user } }
    t.equal(hook.on_request(req).upstream, side(user))
  end
end)

t.test("who has no id is split by the route", function()
  t.equal(hook.on_request(t.request {}), nil)
  t.equal(hook.on_request(t.request { headers = { ["x-user-id"] = "" } }), nil)
end)
