-- maintenance_test.lua - what is closed, for whom, and what they read.
t.segment("staff", function(req) return req:header("x-staff") == "1" end)
local hook = t.hook()

t.test("browsers get a page", function()
  local answer = hook.on_request(t.request { headers = { accept = "text/html,application/xhtml+xml" } })
  t.equal(answer.status, 503)
  t.equal(answer.headers["content-type"], "text/html; charset=utf-8")
  t.equal(answer.headers["retry-after"], "1800")
  t.matches(answer.body, "Back soon")
end)

t.test("programs get JSON", function()
  for _, accept in ipairs { "application/json", "*/*" } do
    local answer = hook.on_request(t.request { headers = { accept = accept } })
    t.equal(answer.status, 503)
    t.equal(answer.headers["content-type"], "application/json")
    t.equal(answer.body, '{"error":"maintenance"}\n')
  end
  t.equal(hook.on_request(t.request {}).status, 503)
end)

t.test("staff and open paths pass", function()
  t.equal(hook.on_request(t.request { headers = { ["x-staff"] = "1" } }), nil)
  t.equal(hook.on_request(t.request { path = "/healthz" }), nil)
  t.equal(hook.on_request(t.request { path = "/status/db" }), nil)
  t.equal(hook.on_request(t.request { path = "/healthzz" }).status, 503)
end)
