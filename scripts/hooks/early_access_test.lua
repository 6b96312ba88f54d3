-- early_access_test.lua - who sees it, from when, till when.
t.upstreams { "stable", "canary" }
t.segment("early_access", function(req) return req:header("x-beta") == "1" end)
local hook = t.hook()

local function tester()
  return t.request { headers = { ["x-beta"] = "1" } }
end

t.test("it begins and ends by itself", function()
  t.clock.set("2026-12-01T08:59:59Z")
  t.equal(hook.on_request(tester()), nil)
  t.clock.advance(1)
  t.equal(hook.on_request(tester()), { upstream = "canary" })
  t.clock.set("2026-12-15T08:59:59.999Z")
  t.equal(hook.on_request(tester()), { upstream = "canary" })
  t.clock.set("2026-12-15T09:00:00Z")
  t.equal(hook.on_request(tester()), nil)
end)

t.test("it is for testers and for who was invited", function()
  t.clock.set("2026-12-02T00:00:00Z")
  t.equal(hook.on_request(t.request { cookies = { user = "u-1042" } }), { upstream = "canary" })
  t.equal(hook.on_request(t.request { cookies = { user = "u-1" } }), nil)
  t.equal(hook.on_request(t.request {}), nil)
end)

t.test("they are told till when", function()
  t.clock.set("2026-12-02T00:00:00Z")
  local early, resp = tester(), t.response {}
  hook.on_request(early)
  hook.on_response(early, resp)
  t.equal(resp:header("x-early-access"), "till 2026-12-15")
  local other, plain = t.request {}, t.response {}
  hook.on_request(other)
  hook.on_response(other, plain)
  t.equal(plain:header("x-early-access"), nil)
end)
