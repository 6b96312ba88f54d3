-- ab_cookie_test.lua - sides that are given once, and kept.
t.upstreams { "stable", "canary" }
local hook = t.hook()

local sides = { a = "stable", b = "canary" }

-- The upstream, and the cookie that the answer sets.
local function visit(cookies, scheme)
  local req, resp = t.request { cookies = cookies, scheme = scheme }, t.response { headers = { ["set-cookie"] = "own=1" } }
  local upstream = hook.on_request(req).upstream
  hook.on_response(req, resp)
  return upstream, resp:header("set-cookie")
end

t.test("a new browser gets a side, and a cookie beside the upstream's own", function()
  local upstream, cookie = visit {}
  local side = cookie:match("^own=1, ab=([ab]); Max%-Age=2592000; Path=/; SameSite=Lax$")
  t.equal(upstream, sides[side])
end)

t.test("who has a side keeps it and gets no other cookie", function()
  for side, upstream in pairs(sides) do
    t.equal({ visit { ab = side } }, { upstream, "own=1" })
  end
end)

t.test("a side that is none is drawn again", function()
  local upstream, cookie = visit { ab = "c" }
  t.equal(upstream, sides[cookie:match("ab=(%a)")])
end)

t.test("over TLS the cookie stays on TLS", function()
  local _, cookie = visit({}, "https")
  t.matches(cookie, "; Secure$")
end)

t.test("the sides fill evenly", function()
  local count, visits = 0, 1000
  for _ = 1, visits do
    count = count + (visit {} == "canary" and 1 or 0)
  end
  t.near(count / visits, 0.5, 0.12) -- seven times the deviation that chance has
end)
