-- shadow_redaction.lua - hides fields of JSON bodies in copies for a shadow, so that a rewrite never sees a card or a password.
--
-- A copy that cannot be vouched for is kept back: one whose body is compressed, is no JSON, or only says so. What is
-- recorded and compared is the redacted copy. The shadow needs `methods` for POST, and a `max_body` that bodies fit in.
local config = {
  fields = { "$.card.number", "$.card.cvc", "$.password", "$.items.*.note" }, -- * stands for each member or item
  replacement = "*",
  headers = { "x-api-key" },   -- gone from copies, beside authorization and cookie that weir removes by itself
  send_other_bodies = false,   -- true: bodies that do not say they are JSON go as they are
}

local paths = {}
for _, field in ipairs(config.fields) do
  local path = {}
  for part in field:gsub("^%$%.", ""):gmatch("[^.]+") do
    path[#path + 1] = part
  end
  paths[#paths + 1] = path
end

-- Hides what is at path[at] and below in a value; true: there was something.
local function hide(value, path, at)
  if type(value) ~= "table" then
    return false
  end
  local is_last, found = at == #path, false
  for key, member in pairs(value) do
    if path[at] == "*" or tostring(key) == path[at] then
      if is_last then
        value[key] = config.replacement
        found = true
      elseif hide(member, path, at + 1) then
        found = true
      end
    end
  end
  return found
end

local M = {}

function M.on_shadow(req)
  for _, name in ipairs(config.headers) do
    req:set_header(name, nil)
  end
  local body, kind = req:body(), (req:header("content-type") or ""):lower()
  if not body or body == "" then
    return true
  elseif not kind:find("json", 1, true) then
    return config.send_other_bodies
  end
  local document = not req:header("content-encoding") and weir.json.decode(body)
  if not document then
    return false
  end
  local found = false
  for _, path in ipairs(paths) do
    found = hide(document, path, 1) or found
  end
  if found then
    req:set_body(weir.json.encode(document))
  end
  return true
end

return M
