-- locale.lua - by country, else by language.
--
-- A country comes from a header that a CDN in front sets. Anybody can send such a header, so it counts for requests in
-- the segment `from_cdn` only, which says how the CDN is known: by a secret header, or by its client certificate.
-- The language is the one in Accept-Language that the client likes best (RFC 9110 12.5.4) among those listed here.
local config = {
  country_header = "cf-ipcountry", -- CloudFront: cloudfront-viewer-country
  cdn_segment = "from_cdn",
  countries = { CH = "canary", AT = "canary" },   -- two letters -> upstream
  languages = { de = "canary", en = "stable" },   -- the first part of a language tag -> upstream
}

local RANGES_MAX = 32 -- of Accept-Language; nobody's browser sends more

local M = {}

-- The first part of a tag and its quality: "de-CH;q=0.8" -> "de", 0.8. Without a valid q it is 1.
local function read_range(text)
  local tag, parameters = text:match("^%s*([%a*]+)[^;]*;?(.*)$")
  if not tag then
    return nil, 0
  end
  local q = parameters:match("^%s*[qQ]%s*=%s*([01]%.?%d?%d?%d?)%s*$")
  return tag:lower(), math.min(tonumber(q) or 1, 1)
end

-- The upstream of the language with the highest quality; of equals, the first. q=0 says: not this one.
local function by_language(header)
  local best, best_q, count = nil, 0, 0
  for text in header:gmatch("[^,]+") do
    count = count + 1
    if count > RANGES_MAX then
      break
    end
    local tag, q = read_range(text)
    if tag and q > best_q and config.languages[tag] then
      best, best_q = config.languages[tag], q
    end
  end
  return best
end

function M.on_request(req)
  local country = weir.segment(config.cdn_segment) and req:header(config.country_header)
  local upstream = country and config.countries[country:upper()]
  return upstream or by_language(req:header("accept-language") or "")
end

return M
