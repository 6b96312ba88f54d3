-- locale_test.lua - countries that can be believed, and languages by their quality.
t.upstreams { "stable", "canary" }
t.segment("from_cdn", function(req) return req:header("x-cdn-key") == "secret" end)
local hook = t.hook()

local function by_language(value)
  local got = hook.on_request(t.request { headers = { ["accept-language"] = value } })
  return got and got.upstream
end

t.test("a country counts when the CDN says it", function()
  local function by_country(country, key)
    return hook.on_request(t.request { headers = { ["cf-ipcountry"] = country, ["x-cdn-key"] = key } })
  end
  t.equal(by_country("CH", "secret"), { upstream = "canary" })
  t.equal(by_country("at", "secret"), { upstream = "canary" })
  t.equal(by_country("FR", "secret"), nil)
  t.equal(by_country("CH", "guess"), nil)
end)

t.test("a country that is not listed leaves it to the language", function()
  local req = t.request {
    headers = { ["cf-ipcountry"] = "FR", ["x-cdn-key"] = "secret", ["accept-language"] = "de" },
  }
  t.equal(hook.on_request(req), { upstream = "canary" })
end)

t.test("the language that is liked best wins", function()
  t.equal(by_language("de"), "canary")
  t.equal(by_language("en, de"), "stable")
  t.equal(by_language("en;q=0.8, de-CH;q=0.9"), "canary")
  t.equal(by_language("fr, de;q=0.7, en;q=0.3"), "canary")
  t.equal(by_language("EN-us ; Q=0.5,de; q = 0.4"), "stable")
  t.equal(by_language("de;q=2, en;q=0.1"), "canary", "a broken q counts as none")
end)

t.test("q=0, nothing listed, and nonsense", function()
  t.equal(by_language("de;q=0, en;q=0.000"), nil)
  t.equal(by_language("fr, *"), nil)
  t.equal(by_language(",,;;q=1,%%%"), nil)
  t.equal(hook.on_request(t.request {}), nil)
end)

t.test("a list without end is not read to its end", function()
  t.equal(by_language(("xx, "):rep(31) .. "de"), "canary")
  t.equal(by_language(("xx, "):rep(5000) .. "de"), nil)
end)
