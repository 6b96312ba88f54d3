-- targeting_service_test.lua - what is asked, how long it is remembered, and that no failure of the service is one here.
t.upstreams { "stable", "canary", "targeting" }
local hook = t.hook()

local function visit(user)
  local got = hook.on_request(t.request { path = "/cart", cookies = { user = user } })
  return got and got.upstream
end

-- The service gives this answer from now on.
local function service(answer, failure)
  t.fetch("targeting", function() return answer, failure end)
end

t.test("the service is asked once in a minute for each user", function()
  service { status = 200, body = '{"upstream":"canary"}' }
  t.equal(visit("u-1"), "canary")
  t.equal(visit("u-1"), "canary")
  t.equal(#t.fetches(), 1)
  t.equal(t.fetches()[1], {
    upstream = "targeting", method = "POST", path = "/decide", timeout = 0.05,
    headers = { ["content-type"] = "application/json" }, body = '{"path":"/cart","user":"u-1"}',
  })
  service { status = 200, body = '{"upstream":"stable"}' }
  t.clock.advance(59)
  t.equal(visit("u-1"), "canary")
  t.equal(visit("u-2"), "stable")
  t.clock.advance(2)
  t.equal(visit("u-1"), "stable")
  t.equal(#t.fetches(), 3)
end)

t.test("whatever goes wrong, requests go on, and the service has five seconds of peace", function()
  for _, case in ipairs {
    { nil, "response_timeout", "response_timeout" },
    { { status = 503, body = "" }, nil, "status 503" },
    { { status = 200, body = "nonsense" }, nil, "names no upstream" },
    { { status = 200, body = '"canary"' }, nil, "names no upstream" },
    { { status = 200, body = '{"upstream":"other"}' }, nil, "names no upstream" },
  } do
    local asked = #t.fetches()
    service(case[1], case[2])
    t.equal(visit("u-1"), nil)
    t.equal(visit("u-1"), nil)
    t.equal(#t.fetches(), asked + 1)
    t.matches(t.logs()[#t.logs()].text, case[3])
    t.clock.advance(6)
  end
  service { status = 200, body = '{"upstream":"canary"}' }
  t.equal(visit("u-1"), "canary")
end)

t.test("who is nobody is not asked for", function()
  t.equal(hook.on_request(t.request {}), nil)
  t.equal(visit(""), nil)
  t.equal(visit(("u"):rep(201)), nil)
  t.equal(t.fetches(), {})
end)
