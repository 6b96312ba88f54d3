-- experiment_test.lua - who takes part, on which side, and who is told.
t.upstreams { "stable", "canary" }
local hook = t.hook()

local upstreams = { control = "stable", blue = "canary" }

-- A request and the variant of its user: nil when that one takes no part.
local function ask(user)
  local req = t.request { cookies = { user = user }, headers = { ["x-experiment"] = "checkout-button=own choice" } }
  local got = hook.on_request(req)
  local variant = (req:header("x-experiment") or ""):match("^checkout%-button=(.*)$")
  t.equal(got and got.upstream, variant and upstreams[variant])
  return req, variant
end

t.test("half of the users take part, and half of those see each variant", function()
  local counts, users = { none = 0, control = 0, blue = 0 }, 1000
  for i = 1, users do
    local _, variant = ask("user-" .. i)
    counts[variant or "none"] = counts[variant or "none"] + 1
  end
  t.near(counts.none / users, 0.5, 0.05)
  t.near(counts.control / users, 0.25, 0.05)
  t.near(counts.blue / users, 0.25, 0.05)
end)

t.test("exposures are told with answers that are good", function()
  for i = 1, 20 do
    local req, variant = ask("user-" .. i)
    local good, bad = t.response { status = 200 }, t.response { status = 500 }
    hook.on_response(req, good)
    hook.on_response(req, bad)
    t.equal(good:header("x-experiment-exposure"), variant and "checkout-button=" .. variant)
    t.equal(bad:header("x-experiment-exposure"), nil)
  end
end)

t.test("who is nobody takes no part", function()
  local req = t.request { headers = { ["x-experiment"] = "checkout-button=blue" } }
  t.equal(hook.on_request(req), nil)
  t.equal(req:header("x-experiment"), nil)
end)
