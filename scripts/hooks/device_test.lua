-- device_test.lua - User-Agents of the world, and the hint that goes before them.
t.upstreams { "stable", "canary" }
local hook = t.hook()

local agents = {
  phone = {
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36",
  },
  tablet = {
    "Mozilla/5.0 (iPad; CPU OS 12_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/12.1 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 13; SM-X906C) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
  },
  tv = { "Mozilla/5.0 (SMART-TV; Linux; Tizen 5.0) AppleWebKit/537.36 (KHTML, like Gecko) Version/5.0 TV Safari/537.36" },
  desktop = {
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:127.0) Gecko/20100101 Firefox/127.0",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
  },
  other = { "curl/7.88.1", "" },
}

t.test("each kind is found, and told to the upstream", function()
  for kind, list in pairs(agents) do
    for _, agent in ipairs(list) do
      local req = t.request { headers = { ["user-agent"] = agent } }
      local wanted = (kind == "phone" or kind == "tablet") and { upstream = "canary" } or nil
      t.equal(hook.on_request(req), wanted, agent)
      t.equal(req:header("x-device"), kind, agent)
    end
  end
end)

t.test("the hint goes before the agent, but makes no phone of a tablet", function()
  local function with_hint(agent)
    local req = t.request { headers = { ["user-agent"] = agent, ["sec-ch-ua-mobile"] = "?1" } }
    hook.on_request(req)
    return req:header("x-device")
  end
  t.equal(with_hint(agents.desktop[2]), "phone")
  t.equal(with_hint(agents.tablet[2]), "tablet")
end)

t.test("who says nothing is nothing, and what a client claims does not get through", function()
  local req = t.request { headers = { ["x-device"] = "phone" } }
  t.equal(hook.on_request(req), nil)
  t.equal(req:header("x-device"), "other")
end)
