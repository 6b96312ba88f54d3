-- jwt_claim.lua - by a claim of a JSON Web Token, such as a customer's plan, once its signature was checked.
--
-- Tokens come as `Authorization: Bearer` or in a cookie. Each row of `keys` is one issuer: with a public key (RS256, ES256) or
-- with a shared secret (HS256); a token counts when one of them has signed it and it has not expired. A token that does not
-- count is no error here: to refuse it is the service's business. `key = weir.file("login.pem")` reads a key from a file beside
-- this one; who can read a secret can sign, so let only weir read it.
-- Give the route's script a `budget` of 10ms: in each worker the first use of a public key takes a millisecond or two.
local config = {
  keys = {
    { alg = "HS256", iss = "internal", key = "change me: at least 32 random bytes" },
    { alg = "RS256", iss = "https://login.example.com", aud = "shop", leeway = 30, key = [[
-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAslEtT32MICpNL/3aSJMk
WvO1krkbZoFJUDM4YPQ8vII35y/mhbH55Aom3gYyYMNUv1U3lsiEitSSLWPLxORM
Zc4Ej0vt6Af6nwH6NmMmcIiFr0FsxGT8IxW/MGHXCTqriAfCLqIcpanTDly5ISob
FAsLC5ey9xVs4bNWdWoMHt9XUVgth7ciZ0stbtk4Ps6z99qX0xJRVqzh8eWAViGa
lRLGSBMU+m7IoksvkUj8EKeIj8/oRpQw2lmscYomw1X4ibCdRGHUQQYX4X04GGbZ
MXwJga/MvFFqSQ0a7lu2jyFkQwFKZx8jUfgUajNNQ+D1IDhZyFGKbSyqPX/vcLH6
dQIDAQAB
-----END PUBLIC KEY-----
]] },
  },
  cookie = "session",
  claim = "plan",                                    -- a text, or a list of which one counts
  upstreams = { beta = "canary", staff = "canary" }, -- value of the claim -> upstream
}

local M = {}

local function claims_of(token)
  for _, key in ipairs(config.keys) do
    local claims = weir.jwt.verify(token, key)
    if claims then
      return claims
    end
  end
end

function M.on_request(req)
  local token = (req:header("authorization") or ""):match("^[Bb]earer +(%S+)$") or req:cookie(config.cookie)
  local claims = token and claims_of(token)
  local values = claims and claims[config.claim]
  if type(values) ~= "table" then
    values = { values }
  end
  for _, value in ipairs(values) do
    if config.upstreams[value] then
      return config.upstreams[value]
    end
  end
end

return M
