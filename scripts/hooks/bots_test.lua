-- bots_test.lua - bots and browsers.
t.upstreams { "stable", "canary" }
local hook = t.hook()

local function ask(agent)
  local req = t.request { headers = { ["user-agent"] = agent, ["x-bot"] = "claimed" } }
  return hook.on_request(req), req:header("x-bot")
end

t.test("bots stay on stable", function()
  for _, agent in ipairs {
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "facebookexternalhit/1.1", "curl/7.88.1", "Acme-Probe/2 (status page)", "",
  } do
    local got, told = ask(agent)
    t.equal(got, { upstream = "stable" }, agent)
    t.equal(told, "1", agent)
  end
  t.equal(hook.on_request(t.request {}), { upstream = "stable" })
end)

t.test("browsers are split by the route, and cannot say that they are bots", function()
  local got, told = ask("Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0")
  t.equal(got, nil)
  t.equal(told, nil)
end)
