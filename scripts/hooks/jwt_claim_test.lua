-- jwt_claim_test.lua - tokens of both issuers, and those that do not count.
t.upstreams { "stable", "canary" }
local hook = t.hook("jwt_claim.lua", { budget_ms = 50 }) -- a key's first use takes longer than all others

-- All expire at 2026-01-01T01:00:00Z, an hour after the clock of tests begins. What they claim is the part in the middle.
local tokens = {
  rs256_beta = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2xvZ2luLmV4YW1wbGUuY29tIiwiYXVkIjoic2hvcCIsInN1YiI6InUtMSIsImV4cCI6MTc2NzIyOTIwMCwicGxhbiI6ImJldGEifQ.ZN885MU5TwH8DbWqoYxjHkXu1JAVIc8puPa7GAz5Au2yqWYXswWF4i4L0uza_A4jXA6Z-3relVPyTo9YnQ3XnakTmnGQzDLN8Ua4IpJ1kcQ54P3ADazOEF7bKOpxLz0ASIw7FiDEZMuKVyBz8ZnOmyS_qWJ5Yg1oPtBcFxPUJjNoK-JXuSCCmU1RLSIQ0snEz-gFEsyO8ibexpnfViHRFHGmH6HCtjvfDz-Sl5HiNlcp2Wiy-jDODD9dmEScgUQxfC8B8d2wPWrrZK-knhGNjXJJjQXxZrelctpBYsjqdie2wehYQCt75HcFTpLDD9qZBtAkIkUCLOWIbsALiphUtg",
  rs256_free = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2xvZ2luLmV4YW1wbGUuY29tIiwiYXVkIjoic2hvcCIsInN1YiI6InUtMiIsImV4cCI6MTc2NzIyOTIwMCwicGxhbiI6ImZyZWUifQ.i-qm29109RWFbqh06wS_GwuXG_UjnWsWkqs_yI4YKW25yP6EG3-13YrdWyYpXVywCRlOO6j-dAg5BwXx_MW22oobwMbT9fZE7SQIZItCF7PSdvRJ-7JlAObGH8P7v50L8oWi0EGZGHKPM6RzIvC8tqm4eqfYTTIMTI7uuxoE3tjCii8vwMdu8K4XY-IBbdDCMuLQflAF88TbmLxC7Gnef0UOja96-Od2eWxC8vqd0m-bKIuBSZ8KHZyRFEBDf6qC9QapW3BYb8jabBvz98-XrMcfUUfbhESs2WAiKu9RxJPQFuXozf7PeRomDf-MZ5bR_BiQ5kxXnZuDH5Ei6uop8A",
  hs256_free_and_staff = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJpbnRlcm5hbCIsInN1YiI6ImpvYiIsImV4cCI6MTc2NzIyOTIwMCwicGxhbiI6WyJmcmVlIiwic3RhZmYiXX0.LO3GCig0yCWWTv1gEQAO9W0mlKIp8spxygJ6brYmZfQ",
  hs256_wrong_secret = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJpbnRlcm5hbCIsInN1YiI6ImpvYiIsImV4cCI6MTc2NzIyOTIwMCwicGxhbiI6ImJldGEifQ.6AVtsxPdkTNzwcKM4fv_ya14xgjYa2xFuVGa_hgs7EU",
  hs256_without_plan = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJpbnRlcm5hbCIsInN1YiI6ImpvYiIsImV4cCI6MTc2NzIyOTIwMH0.waHcT0iEz1j94wsMEc9dndrc65opYpdXhV6gvbaT6rc",
}

local function bearer(token)
  return hook.on_request(t.request { headers = { authorization = "Bearer " .. token } })
end

t.test("RS256: the plan decides", function()
  t.equal(bearer(tokens.rs256_beta), { upstream = "canary" })
  t.equal(bearer(tokens.rs256_free), nil)
end)

t.test("HS256: one value of a list is enough", function()
  t.equal(bearer(tokens.hs256_free_and_staff), { upstream = "canary" })
  t.equal(bearer(tokens.hs256_without_plan), nil)
end)

t.test("a cookie will do", function()
  t.equal(hook.on_request(t.request { cookies = { session = tokens.rs256_beta } }), { upstream = "canary" })
end)

t.test("tokens expire, with some seconds for clocks that differ", function()
  t.clock.set("2026-01-01T01:00:15Z")
  t.equal(bearer(tokens.rs256_beta), { upstream = "canary" })
  t.equal(bearer(tokens.hs256_free_and_staff), nil)
  t.clock.advance(30)
  t.equal(bearer(tokens.rs256_beta), nil)
end)

t.test("what nobody here has signed does not count", function()
  t.equal(bearer(tokens.hs256_wrong_secret), nil)
  t.equal(bearer((tokens.rs256_beta:gsub(".$", "A"))), nil)
  t.equal(bearer("nonsense"), nil)
  t.equal(hook.on_request(t.request { headers = { authorization = "Basic dTpw" } }), nil)
  t.equal(hook.on_request(t.request {}), nil)
end)
