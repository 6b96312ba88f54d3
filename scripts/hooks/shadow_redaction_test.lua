-- shadow_redaction_test.lua - what is hidden, what is left alone, and what is kept back.
local hook = t.hook()

local function copy(body, headers)
  headers = headers or { ["content-type"] = "application/json" }
  return hook.on_shadow(t.request { method = "POST", headers = headers, body = body })
end

local function body(text)
  return copy(text).body
end

t.test("fields are hidden where they are", function()
  t.equal(body('{"card":{"number":"4111"}}'), '{"card":{"number":"*"}}')
  t.equal(body('{"password":{"old":"a","new":"b"}}'), '{"password":"*"}')
  t.equal(body('{"items":[{"note":"a"},{"note":"b"}]}'), '{"items":[{"note":"*"},{"note":"*"}]}')
end)

t.test("what has none of them goes byte by byte", function()
  for _, text in ipairs { '{ "card": { "name": "A" } }', '{"items":[1,"note"],"card":"number"}', "[]", '"password"' } do
    t.equal(body(text), text)
  end
end)

t.test("what cannot be vouched for is kept back", function()
  t.equal(copy('{"card":{"number":"4111"'), nil)
  t.equal(copy("gzip", { ["content-type"] = "application/json", ["content-encoding"] = "gzip" }), nil)
end)

t.test("other bodies are kept back, too", function()
  t.equal(copy("a=1&password=b", { ["content-type"] = "application/x-www-form-urlencoded" }), nil)
  t.equal(copy('{"password":"b"}', {}), nil)
end)

t.test("copies without a body go", function()
  t.equal(hook.on_shadow(t.request {}).body, nil)
  t.equal(body(""), "")
end)

t.test("a key of the service stays here", function()
  local got = copy("{}", { ["content-type"] = "application/json", ["x-api-key"] = "k", accept = "*/*" })
  t.equal(got:header("x-api-key"), nil)
  t.equal(got:header("accept"), "*/*")
end)
